"""Counts rows unlike the baseline, by input and version, since the monitor began.

Where `model.toml` declares nothing, this is what there is: the range of the numbers, the
categories, the share of missing values. Rows are counted, never refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .constraints import usual_faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.quality.field_counters import FieldCounters

    from .baseline import Reference
    from .constraints import Faults

#: Inputs of all versions that are counted; each that ever had a fault has counters of its own.
MOST_FIELDS: Final = 512


class LearntField:
    """One input of one version.

    Attributes:
        model: Name of the model.
        version: As the registry has it.
        name: Name of the input.
        reference: The reference that its rows are compared with.
        usual: As `usual_faults` gives them, for as many rows as the reference has.
        rows: Rows since the monitor began or the baseline changed.
        faults: Faults in these rows by kind, as in `Faults`.
    """

    def __init__(self, model: str, version: str, name: str, reference: Reference) -> None:
        self.model, self.version, self.name = model, version, name
        self.reference = reference
        self.usual = usual_faults(reference)
        self.rows = 0
        self.faults = [0, 0, 0]
        self.counters: FieldCounters | None = None


class LearntFaults:
    """The fault counts of all inputs. One thread.

    Args:
        counters: Counters of the monitor process, for metrics.
    """

    def __init__(self, counters: CounterFile) -> None:
        self._counters = counters
        self._fields: dict[tuple[str, str, str], LearntField] = {}

    def count(
        self, model: str, version: str, name: str, reference: Reference, rows: int, faults: Faults
    ) -> None:
        """Take rows of an input.

        Args:
            model: Name of the model.
            version: As the registry has it.
            name: Name of the input.
            reference: The reference that its rows are compared with.
            rows: Number of rows.
            faults: Faults in these rows.
        """
        key = model, version, name
        field = self._fields.get(key)
        if field is None:
            if len(self._fields) >= MOST_FIELDS:
                return
            field = self._fields[key] = LearntField(model, version, name, reference)
        field.rows += rows
        if any(faults):
            if field.counters is None:
                field.counters = self._counters.field(model, version, name)
            field.counters.count_learnt(faults)
            field.faults = [old + new for old, new in zip(field.faults, faults, strict=True)]

    def forget(self, model: str, version: str) -> None:
        """Start anew with a version: its baseline is another one now."""
        for key in [key for key in self._fields if key[:2] == (model, version)]:
            del self._fields[key]

    def fields(self) -> Iterable[LearntField]:
        """All counted inputs."""
        return self._fields.values()
