"""The acceptance check of a loaded version: it keeps its promises, and does not break clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.files.refusal import ModelRefused
from penstock.server.registry.signature_diff import breaking_changes, contradictions

from .golden_examples import Examples, mismatches, read_examples
from .golden_in_batches import batched_mismatches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from penstock.runtimes.contract import Model, Signature
    from penstock.server.registry.signature_diff import Change


def check_acceptance(
    model: Model,
    signature: Signature,
    directory: Path,
    declared: Signature | None,
    predecessor: tuple[str, Signature] | None,
    max_rows: int = 64,
) -> tuple[Examples, tuple[str, ...]]:
    """Compare a model with its manifest, its golden requests and its predecessor.

    Args:
        model: The loaded model.
        signature: Its signature, with the names that the model and its manifest have.
        directory: The directory that it was loaded from, with its golden requests.
        declared: The signature that its manifest promises.
        predecessor: Version and signature that serve the model's clients now.
        max_rows: Most rows of a run.

    Returns:
        Its golden requests, and the reasons why it may not serve, if any.
    """
    reasons: list[str] = []
    golden = Examples()
    if declared is not None:
        reasons += _differences(contradictions(declared, signature), "its manifest")
    if predecessor is not None:
        version, before = predecessor
        changes = breaking_changes(before, signature)
        broken = _differences(changes, f"version {version}, which serves")
        if broken:
            broken[-1] += '; if that is meant, set signature = "any" in model.toml'
        reasons += broken
    try:
        golden = read_examples(directory, model.signature)
        reasons += mismatches(model, golden)
        reasons += batched_mismatches(model, golden, max_rows)
    except ModelRefused as refusal:
        reasons += refusal.reasons
    return golden, tuple(reasons)


def _differences(changes: Iterable[Change], source: str) -> list[str]:
    """One sentence for each difference between the model and its promise."""
    return [
        f"{change.what.removesuffix('s')} '{change.name}' is {change.after or 'not in the model'}, "
        f"in {source}, {change.before or 'not there'}"
        for change in changes
    ]
