"""``penstock.toml`` and ``model.toml`` with every option commented out: its default, its meaning.

Both are made from what decodes them: the fields of the options, their defaults, and what their
docstrings say of them. A line that begins with ``#`` and a key is a setting; one that begins with
``#`` and a blank is text.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from dataclasses import MISSING, dataclass, field, fields
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.options import BatchingOptions
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.quality.rules import QualityOptions
from penstock.runtimes.onnx_settings import OnnxSettings
from penstock.server.rollout.rollout_spec import RolloutSpec
from penstock.server.rollout.tolerance import Tolerance

from .config import OPTIONS
from .gates_options import BudgetOptions, EvaluationOptions, GatesOptions
from .model_config import ModelConfig
from .model_log import LogOptions
from .process_options import ProcessOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WIDTH: Final = 96
_BYTES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_SECONDS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_ATTRIBUTE: Final = re.compile(r"    (\w+): (.*)")
_SERVER: Final = """\
Configuration of the server, with the defaults: remove the # before a key to change it.
The environment (PENSTOCK_<NAME>) and the command line (--<name>) say the same, and win.
"""
_MODEL: Final = """\
Configuration of one model, with the defaults: copy it to REGISTRY/<model>/model.toml.
Remove the # before a key to change it. A running server follows the file.
"""


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of ``model.toml``.

    Attributes:
        name: Its name; empty for the keys outside all tables.
        options: Type of its decoded content.
        keys: Field -> key, where the names differ.
        hidden: Fields that are no keys of the table.
        unset: Fields whose default stands for "not given" and cannot be written.
    """

    name: str
    options: Any
    keys: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()


_TABLES: Final = frozenset(
    {
        *("batching", "settings", "rollout", "monitoring", "feedback", "quality", "log"),
        *("process", "gates"),
    }
)
_SECTIONS: Final = (
    _Section("", ModelConfig, hidden=_TABLES),
    _Section("batching", BatchingOptions, keys={"slo_seconds": "slo_milliseconds"}),
    _Section("process", ProcessOptions, unset=frozenset({"memory_bytes", "cpu_seconds"})),
    _Section("runtime", OnnxSettings),
    _Section(
        "rollout",
        RolloutSpec,
        keys={
            "hold_seconds": "hold",
            "deadline_seconds": "deadline",
            "sticky": "sticky_header",
            "watch_seconds": "watch",
            "warm_up_seconds": "warm_up",
        },
        hidden=frozenset({"slow_seconds", "slo_seconds", "segments"}),
    ),
    _Section("rollout.tolerance", Tolerance),
    _Section(
        "monitoring",
        DriftOptions,
        keys={
            "window_seconds": "window",
            "max_window_seconds": "max_window",
            "learning_seconds": "learning_time",
            "baseline_seconds": "baseline_time",
        },
    ),
    _Section("feedback", FeedbackOptions, unset=frozenset({"classes"})),
    _Section("quality", QualityOptions, keys={"max_age_seconds": "max_age"}),
    _Section("log", LogOptions),
    _Section("gates", GatesOptions, hidden=frozenset({"evaluation", "budgets"})),
    _Section("gates.evaluation", EvaluationOptions),
    _Section("gates.budgets", BudgetOptions),
)
#: Defaults that are written otherwise than they are kept.
_WRITTEN: Final = {"version_policy": '"all"', "fields": "{}", "outputs": "{}"}


def server_template(registry: str) -> str:
    """``penstock.toml`` for a registry; that key alone is set."""
    lines = [*_text(_SERVER), ""]
    for one in OPTIONS:
        if one.name == "registry":
            lines += [*_text(one.help), f"registry = {json.dumps(registry)}", ""]
        else:
            choices = f" One of {', '.join(one.choices)}." if one.choices else ""
            lines += [*_text(one.help + choices), _setting(one.name, _toml(one.name, one.default))]
            lines.append("")
    return "\n".join(lines)


def model_template() -> str:
    """``model.toml``; nothing is set."""
    lines = [*_text(_MODEL), ""]
    for section in _SECTIONS:
        if section.name == "runtime":
            lines += _text("Settings of the runtime. These are those of ONNX models.")
        if section.name:
            lines += [f"[{section.name}]", ""]
        for key, written, meaning in _keys(section):
            lines += [*_text(meaning), _setting(key, written), ""]
    return "\n".join(lines)


def _keys(section: _Section) -> Iterator[tuple[str, str | None, str]]:
    """Key, default as TOML or ``None``, and meaning."""
    meanings = attribute_docs(section.options)
    for one in fields(section.options):
        if one.name in section.hidden:
            continue
        key = section.keys.get(one.name, one.name)
        value: Any = one.default if one.default_factory is MISSING else one.default_factory()
        if key in _WRITTEN:
            written: str | None = _WRITTEN[key]
        elif value == "" or one.name in section.unset:
            written = None
        elif key != one.name and one.name.endswith("_seconds"):
            written = _duration(value)
        else:
            written = _toml(key, value)
        yield key, written, meanings.get(one.name, "")


def attribute_docs(kind: type) -> dict[str, str]:
    """Attribute -> what the docstring of its class says of it; empty without docstrings."""
    _, _, text = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            break
        if match := _ATTRIBUTE.fullmatch(line):
            name = match[1]
            found[name] = match[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def _setting(key: str, written: str | None) -> str:
    return f"#{key} =   # not set by default" if written is None else f"#{key} = {written}"


def _toml(key: str, value: Any) -> str | None:
    """A default as TOML; ``None`` if there is none that can be written."""
    if value is None or value == math.inf:
        return None
    if key.endswith("_bytes") and isinstance(value, int):
        size, unit = next((one for one in _BYTES if value and value % one[0] == 0), (1, ""))
        return f'"{value // size}{unit}"' if unit else str(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _duration(seconds: float) -> str | None:
    if math.isinf(seconds):
        return None
    size, unit = next(one for one in _SECONDS if seconds % one[0] == 0)
    return f'"{seconds / size:g}{unit}"'


def _text(text: str) -> list[str]:
    """Lines of a comment."""
    plain = text.replace("``", "`")
    return [f"# {line}" for part in plain.splitlines() for line in wrap(part, _WIDTH)]
