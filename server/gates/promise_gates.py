"""The gates of what a version promises: golden requests, clients that can go on, a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.loading.golden_examples import mismatches, read_examples
from penstock.server.registry.signature_diff import breaking_changes

from .gate_report import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .subject import Subject

GOLDEN: Final = "golden"
SCHEMA: Final = "schema"
CARD: Final = "card"
_SHOWN: Final = 3


def golden_gate(directory: Path, subject: Subject, fewest: int) -> GateResult:
    """Whether there are enough golden requests, and all are answered as stored.

    Args:
        directory: Directory of the version.
        subject: The version.
        fewest: How many there must be.

    Raises:
        ModelRefused: They cannot be read.
    """
    golden = read_examples(directory, subject.model.signature)
    known = sum(bool(one.expected) for one in golden.examples)
    figures = {"requests": len(golden.examples), "with_answers": known, "expected": fewest}
    if wrong := mismatches(subject.model, golden):
        return GateResult(GOLDEN, Verdict.FAILED, "; ".join(wrong[:_SHOWN]), figures)
    verdict = Verdict.PASSED if known >= fewest else Verdict.TOO_LITTLE
    reason = f"{known} golden requests with answers, expected at least {fewest}"
    return GateResult(GOLDEN, verdict, reason, figures)


def schema_gate(subject: Subject, incumbent: Subject | None) -> GateResult:
    """Whether clients of the version that serves can go on.

    Args:
        subject: The version.
        incumbent: The version that serves; ``None`` if none does.
    """
    if incumbent is None:
        return GateResult(SCHEMA, Verdict.PASSED, "no version serves whose clients could break")
    broken = [
        f"{one.what.removesuffix('s')} {one.name!r} is {one.after or 'gone'}, was "
        f"{one.before or 'not there'}"
        for one in breaking_changes(incumbent.signature, subject.signature)
    ]
    if broken:
        shown = "; ".join(broken[:_SHOWN])
        reason = f"clients of version {incumbent.version} would break: {shown}"
        return GateResult(SCHEMA, Verdict.FAILED, reason, {"broken": broken})
    return GateResult(SCHEMA, Verdict.PASSED, f"clients of version {incumbent.version} can go on")


def card_gate(known: Mapping[str, str], asked: Sequence[str]) -> GateResult:
    """Whether what must be said about a version is said.

    Args:
        known: What its manifest says, by key.
        asked: Keys that it must have.
    """
    missing = [key for key in asked if not known.get(key, "").strip()]
    figures = {"missing": missing}
    if missing:
        reason = f"{', '.join(missing)} not given; penstock push --card KEY=TEXT gives them"
        return GateResult(CARD, Verdict.FAILED, reason, figures)
    return GateResult(CARD, Verdict.PASSED, f"{', '.join(asked)} given", figures)
