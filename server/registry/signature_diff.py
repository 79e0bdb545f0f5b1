"""The differences of two versions of a model, from their manifests. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.runtimes.contract import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.runtimes.contract import Signature, TensorSpec

    from .manifest import Manifest


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        what: The part that differs, such as ``signature`` or ``files``.
        name: Name of the thing in it; empty if the part is one thing.
        before: As text; empty if it was not there.
        after: As text; empty if it is not there any more.
        breaking: Whether a client of the first may fail with the second.
    """

    what: str
    name: str
    before: str
    after: str
    breaking: bool = False


def diff(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """Every difference, breaking ones first. Equal digests mean equal files."""
    changes = [
        *_signatures(before.signature, after.signature),
        *_tables("digest", {"": before.digest}, {"": after.digest}),
        *_tables("files", _files(before), _files(after)),
        *_tables("metrics", before.metrics, after.metrics),
        *_tables("run", _run(before), _run(after)),
        *_tables("params", before.run.params, after.run.params),
        *_tables("metadata", before.metadata, after.metadata),
        *_tables("created_at", {"": before.created_at}, {"": after.created_at}),
    ]
    return tuple(sorted(changes, key=lambda change: not change.breaking))


def breaking_changes(before: Signature, after: Signature) -> tuple[Change, ...]:
    """Changes that may break clients of the first version if the second one answers."""
    return tuple(change for change in _signatures(before, after) if change.breaking)


def contradictions(promised: Signature, found: Signature) -> tuple[Change, ...]:
    """The points in which a model is not as promised.

    Every input and output has to be there, no other one, and clients that believe the promise must
    not fail. What only widens an input or narrows an output is none: another release of a runtime
    may infer more or less of a shape.
    """
    changes = _signatures(promised, found)
    return tuple(
        one
        for one in changes
        if one.breaking or (one.what != "signature" and not (one.before and one.after))
    )


def _signatures(before: Signature | None, after: Signature | None) -> list[Change]:
    if before is None or after is None:
        was, is_ = ("" if one is None else "known" for one in (before, after))
        return _tables("signature", {"": was}, {"": is_})
    changes = [
        *_specs("inputs", before.inputs, after.inputs),
        *_specs("outputs", before.outputs, after.outputs),
    ]
    if before.batch_axis != after.batch_axis:
        was, is_ = ("batched" if one.batch_axis else "single" for one in (before, after))
        changes.append(Change("signature", "batch axis", was, is_))
    if before.rows_axis != after.rows_axis:
        was, is_ = ("axis 0" if one.rows_axis else "request" for one in (before, after))
        changes.append(Change("signature", "rows", was, is_))
    return changes


def _specs(
    side: str, before: tuple[TensorSpec, ...], after: tuple[TensorSpec, ...]
) -> list[Change]:
    old = {spec.name: spec for spec in before}
    new = {spec.name: spec for spec in after}
    changes = []
    for name in (*old, *(name for name in new if name not in old)):
        was, is_ = old.get(name), new.get(name)
        if was != is_:
            breaking = _breaks(side, was, is_)
            changes.append(Change(side, name, _spec(was), _spec(is_), breaking))
    return changes


def _breaks(side: str, before: TensorSpec | None, after: TensorSpec | None) -> bool:
    """Whether a client that knows the one may fail with the other."""
    if before is None:
        return side == "inputs" and after is not None and not after.optional
    if after is None or before.datatype != after.datatype or _renames(before, after):
        return True
    if side == "inputs" and before.optional and not after.optional:
        return True
    # An input may open a dimension, an output may fix one.
    loose, strict = (after, before) if side == "inputs" else (before, after)
    return len(loose.shape) != len(strict.shape) or any(
        wide not in {-1, narrow} for wide, narrow in zip(loose.shape, strict.shape, strict=True)
    )


def _renames(before: TensorSpec, after: TensorSpec) -> bool:
    """Whether a client that uses the names of columns or classes may fail.

    Categories may be added behind the others: each keeps its position, which tensors of numbers
    hold. Where a version names nothing, nobody uses a name: the only column of a tensor that is
    called as the tensor itself has none.
    """
    if not before.columns or before.columns == (Column(before.name, ()),):
        return False
    if [one.name for one in before.columns] != [one.name for one in after.columns]:
        return True
    return any(
        (old.missing and not new.missing)
        or (old.categories and (new.categories or ())[: len(old.categories)] != old.categories)
        for old, new in zip(before.columns, after.columns, strict=True)
    )


def _spec(spec: TensorSpec | None) -> str:
    if spec is None:
        return ""
    shape = ", ".join("?" if size < 0 else str(size) for size in spec.shape)
    columns = ", ".join(map(_column, spec.columns))
    return (
        f"{spec.datatype} [{shape}]"
        + (" optional" if spec.optional else "")
        + (f" of {columns}" if columns else "")
    )


def _column(column: Column) -> str:
    categories = "" if column.categories is None else f" in {list(column.categories)}"
    return f"'{column.name}'{categories}" + (" or missing" if column.missing else "")


def _files(manifest: Manifest) -> dict[str, str]:
    return {one.path: f"{one.size} bytes, {one.sha256[:12]}" for one in manifest.files}


def _run(manifest: Manifest) -> dict[str, str]:
    run = manifest.run
    return {"run_id": run.run_id, "commit": run.commit, "data_hash": manifest.data_hash}


def _tables(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = (*before, *(name for name in after if name not in before))
    texts = ((name, str(before.get(name, "")), str(after.get(name, ""))) for name in names)
    return [Change(what, name, was, is_) for name, was, is_ in texts if was != is_]
