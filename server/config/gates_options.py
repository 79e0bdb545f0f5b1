"""``[gates]`` of ``model.toml``: what a version must show before it may serve.

[gates]
timeout_seconds = 300            # all of them together
golden = 1                       # fewest golden requests, all answered as stored
schema = true                    # clients of the version that serves can go on
card = ["owner", "intended_use"] # keys of the version's metadata
robustness = ["missing", "extremes", "shuffled"]
approval = true                  # by another person than who pushed it
approval_days = 30               # for how long an approval lets it be loaded

[gates.evaluation]
data = "holdout.csv"             # in the directory of the model: .csv with a heading, or .jsonl
label = "target"                 # its column
metric = "accuracy"              # or auc, log_loss, brier, mae, rmse
least = 0.9                      # the metric at least; most = … of an error
margin = 0.0                     # better than the version that serves by so much
unit = "customer"                # column: rows of one unit resemble each other
slices = ["country"]             # columns whose values divide the rows
largest_gap = 0.05               # of a slice from all the others

[gates.budgets]
rows = 1                         # in one run
p99_milliseconds = 5             # of a run
memory_bytes = "200MiB"          # by which a process grows
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

import msgspec

from penstock.monitoring.files.decoding import convert
from penstock.server.files.config_error import ConfigError
from penstock.server.files.size import Size

Metric = Literal["accuracy", "auc", "log_loss", "brier", "mae", "rmse"]
#: Metrics of which more is better.
ASCENDING: Final = frozenset({"accuracy", "auc"})
Trial = Literal["missing", "extremes", "shuffled"]

_MOST_NAMES: Final = 16
_Column = Annotated[str, msgspec.Meta(min_length=1, max_length=256, description="a column's name")]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="a key")]
_Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300, description="a number")]


@dataclass(frozen=True)
class EvaluationOptions:
    """How a version is measured on held-out rows.

    Attributes:
        data: File in the directory of the model.
        label: Its column of true values.
        metric: The figure.
        least: Smallest value of the metric that passes; ``None`` asks nothing.
        most: Largest error that passes; ``None`` asks nothing.
        margin: By how much the version must be better than the one that serves; below 0 it may be
            worse by so much; ``None`` asks nothing.
        unit: Column that names what rows come in; empty where each row is a unit by itself.
        slices: Columns whose values divide the rows.
        largest_gap: Largest distance of the metric of a slice from that of all other rows.
    """

    data: str = ""
    label: str = ""
    metric: Metric = "accuracy"
    least: float | None = None
    most: float | None = None
    margin: float | None = None
    unit: str = ""
    slices: tuple[str, ...] = ()
    largest_gap: float | None = None


@dataclass(frozen=True)
class BudgetOptions:
    """What a version may cost on this machine; ``None`` asks nothing.

    Attributes:
        rows: Rows of a run.
        p99_milliseconds: 99th percentile of the time of a run.
        memory_bytes: By how much a process grows that loads and runs it.
    """

    rows: int = 1
    p99_milliseconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class GatesOptions:
    """What a version must show before it may serve; by default nothing.

    Attributes:
        timeout_seconds: Seconds that all gates of a version may take together.
        golden: Fewest golden requests.
        schema: Whether clients of the version that serves must be able to go on.
        card: Keys of the metadata that a version must have.
        robustness: Further inputs that it must bear.
        approval: Whether a person must approve it, who is not the one that pushed it.
        approval_days: For how long an approval lets it be loaded.
        evaluation: Evaluation on held-out rows; ``None`` for none.
        budgets: Limits of its time and memory.
    """

    timeout_seconds: float = 300.0
    golden: int = 0
    schema: bool = False
    card: tuple[str, ...] = ()
    robustness: tuple[Trial, ...] = ()
    approval: bool = False
    approval_days: float = 30.0
    evaluation: EvaluationOptions | None = None
    budgets: BudgetOptions = BudgetOptions()

    @property
    def measured(self) -> bool:
        """Whether there is a gate for which the version has to be loaded or read."""
        return self != GatesOptions(
            timeout_seconds=self.timeout_seconds,
            approval=self.approval,
            approval_days=self.approval_days,
        )


class _Evaluation(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `EvaluationOptions`."""

    data: Annotated[
        str, msgspec.Meta(min_length=1, max_length=512, description="a file's name")
    ] = ""
    label: _Column = ""
    metric: Metric = "accuracy"
    least: _Number | None = None
    most: _Number | None = None
    margin: _Number | None = None
    unit: _Column = ""
    slices: Annotated[tuple[_Column, ...], msgspec.Meta(max_length=_MOST_NAMES)] = ()
    largest_gap: Annotated[float, msgspec.Meta(gt=0, le=1e300)] | None = None


class _Memory(Size, least=1 << 20):
    """Memory of a model."""


class _Budgets(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `BudgetOptions`."""

    rows: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 1
    p99_milliseconds: Annotated[float, msgspec.Meta(gt=0, le=3_600_000)] | None = None
    memory_bytes: _Memory | None = None


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written; see `GatesOptions`, whose defaults these are."""

    timeout_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 300.0
    golden: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    schema: bool = False
    card: Annotated[tuple[_Key, ...], msgspec.Meta(max_length=_MOST_NAMES)] = ()
    robustness: Annotated[tuple[Trial, ...], msgspec.Meta(max_length=_MOST_NAMES)] = ()
    approval: bool = False
    approval_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] = 30.0
    evaluation: _Evaluation = msgspec.field(default_factory=_Evaluation)
    budgets: _Budgets = msgspec.field(default_factory=_Budgets)


def parse_gates(table: Any, source: str) -> GatesOptions:
    """Check the decoded table; `source` names the file in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    said = convert(_Table, table, source, "gates", noun="a table", error=ConfigError)
    evaluation = None
    if said.evaluation != _Evaluation():
        evaluation = EvaluationOptions(**msgspec.structs.asdict(said.evaluation))
        _check_evaluation(evaluation, f"{source}: gates.evaluation")
    budgets = msgspec.structs.asdict(said.budgets)
    if said.budgets.memory_bytes is not None:
        budgets["memory_bytes"] = int(said.budgets.memory_bytes)
    rest = msgspec.structs.asdict(said) | {
        "evaluation": evaluation,
        "budgets": BudgetOptions(**budgets),
    }
    return GatesOptions(**rest)


def _check_evaluation(said: EvaluationOptions, place: str) -> None:
    for key in ("data", "label"):
        if not getattr(said, key):
            raise ConfigError(f"{place}.{key} is missing")
    path = PurePosixPath(said.data)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in {".csv", ".jsonl"}:
        raise ConfigError(
            f"{place}.data is {said.data!r}, expected a .csv or .jsonl file in the directory of "
            "the model"
        )
    ascending = said.metric in ASCENDING
    wrong, right = ("most", "least") if ascending else ("least", "most")
    if getattr(said, wrong) is not None:
        better = "higher" if ascending else "lower"
        raise ConfigError(
            f"{place}.{wrong} is {getattr(said, wrong)}, but of {said.metric} {better} is better; "
            f"expected {right}"
        )
    if (said.largest_gap is None) != (not said.slices):
        raise ConfigError(f"{place} has one of slices and largest_gap; expected both or none")
    asked = said.least, said.most, said.margin, said.largest_gap
    if all(one is None for one in asked):
        raise ConfigError(f"{place} asks nothing; expected {right}, margin or slices")
