"""The drift and the labels of each version for the status, with their words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift_summary.summary import DriftSummary, drift_words
from penstock.monitoring.feedback.label_summary import LabelSummary, label_words
from penstock.monitoring.probability import what_to_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .monitor_client import Monitored

#: States beside those of drift and labels.
UNKNOWN: Final = "unknown"
OFF: Final = "off"
NONE: Final = "none"
_NOT_SAMPLED: Final = OFF, "not sampled: sample_rate is 0"


def add_monitored(
    models: Iterable[dict[str, Any]],
    found: Monitored,
    watched: Callable[[str], bool],
    sample_rate: float,
    now: float,
) -> None:
    """Add ``drift`` and ``labels`` to each version of the status.

    Args:
        models: The models of the status.
        found: The answer of the monitor.
        watched: Whether ``model.toml`` of a model lets its drift be watched.
        sample_rate: Share of requests that are sampled.
        now: Unix seconds.
    """
    for model in models:
        name = model["name"]
        for one in model["versions"]:
            key = name, str(one["version"])
            off = _off(found, watched=watched(name), sampled=sample_rate > 0)
            one["drift"] = _drift(found, key, off)
            one["labels"] = _labels(found, key, now, sampled=sample_rate > 0)


def _off(found: Monitored, *, watched: bool, sampled: bool) -> tuple[str, str]:
    """State and words where no drift is told; empty where it is."""
    if not sampled:
        return _NOT_SAMPLED
    if found.problem:
        return UNKNOWN, f"unknown: {found.problem}"
    if not watched:
        return OFF, "not watched: drift is false in model.toml"
    if not found.drift_watched:
        return OFF, f"not watched: {what_to_install()}"
    return "", ""


def _drift(found: Monitored, key: tuple[str, str], off: tuple[str, str]) -> dict[str, Any]:
    state, words = off
    if state:
        return {**DriftSummary(state).to_json(), "words": words}
    one = found.drift.get(key)
    if one is None:
        return {**DriftSummary(NONE).to_json(), "words": "no rows yet"}
    return {**one.to_json(), "words": drift_words(one)}


def _labels(found: Monitored, key: tuple[str, str], now: float, *, sampled: bool) -> dict[str, Any]:
    if not sampled:
        state, words = _NOT_SAMPLED
        return {**LabelSummary(state).to_json(), "words": words}
    if found.problem:
        return {**LabelSummary(UNKNOWN).to_json(), "words": f"unknown: {found.problem}"}
    one = found.labels.get(key)
    told = LabelSummary(NONE) if one is None else one
    return {**told.to_json(), "words": label_words(one, now)}
