"""An MLflow model directory: where its ONNX file is and which run made it.

``MLmodel`` is YAML, read by PyYAML's base loader: it is its safe loader without tags, types and
merged keys. Each value is a text, a list or a mapping, and an alias is one more name of the same
object, so reading takes time and memory in proportion to the file, whatever is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

if TYPE_CHECKING:
    from pathlib import Path

MLMODEL_FILE: Final = "MLmodel"

_MAX_BYTES: Final = 1 << 20
#: Keys, values and aliases; mlflow writes about a hundred, its signatures are one text each. PyYAML
#: takes half a second for so many.
_MAX_NODES: Final = 20_000
#: As a plain scalar, what YAML calls null.
_NULL: Final = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """What ``MLmodel`` says.

    Attributes:
        model_path: Model path of the ONNX file, relative to the directory.
        run_id: Id of the run that logged it; empty if it does not say.
    """

    model_path: str
    run_id: str


def read_mlflow_model(directory: Path) -> MlflowModel:
    """Read ``MLmodel``.

    Raises:
        ModelRefused: It is missing, is no YAML, or the model has no ONNX flavour.
    """
    try:
        content = _mapping(_loaded(read_bounded(directory / MLMODEL_FILE, _MAX_BYTES).decode()))
    except (OSError, ValueError) as error:
        raise ModelRefused(
            f"{directory} is no MLflow model: {MLMODEL_FILE} cannot be read: {error}"
        ) from error
    flavors = _mapping(content.get("flavors"))
    data = _text(_mapping(flavors.get("onnx")).get("data"))
    if not data:
        raise ModelRefused(
            f"{directory} has the flavours {', '.join(sorted(flavors)) or 'none'}, expected onnx "
            "with the path of its file under data; log the model with mlflow.onnx.log_model"
        )
    check_relative(data)
    return MlflowModel(data, _text(content.get("run_id")))


def _loaded(text: str) -> Any:
    """The content of a YAML document.

    Raises:
        ValueError: It is none; the message names the line.
    """
    import yaml  # by `penstock push` of an MLflow model only

    class Loader(yaml.BaseLoader):
        nodes = 0

        def compose_node(self, parent: Any, index: int) -> Any:
            self.nodes += 1
            if self.nodes > _MAX_NODES:
                raise yaml.YAMLError(f"it has more than {_MAX_NODES} values")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - safer than the safe loader, see above
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping with texts as keys; empty if the value is another one."""
    if not isinstance(value, dict):
        return {}
    return {key: one for key, one in value.items() if isinstance(key, str)}


def _text(value: Any) -> str:
    """A text; empty if the value is none, or null."""
    return value if isinstance(value, str) and value not in _NULL else ""
