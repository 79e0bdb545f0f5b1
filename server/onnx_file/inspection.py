"""Whether a version may be given to a runtime at all. What is refused here was never loaded.

Formats that carry a tensor have been used to read and write files elsewhere, to run code and to
exhaust memory. Each check answers one of those attacks, and each has its test; `docs/registry.md`
lists them. Nothing outside of the version directory is opened, and nothing is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from penstock.server.files.listing import list_files
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative, open_directory, open_file

from .onnx_summary import SummaryLimits
from .summary_reader import read_summary

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from penstock.server.files.listing import FileFact
    from penstock.server.files.roots import Roots
    from penstock.server.files.safe_files import Folder

    from .onnx_summary import OnnxSummary, Operator

MODEL_FILE: Final = "model.onnx"

#: Whose operators onnxruntime brings along. Any other needs a library, which is code.
KNOWN_DOMAINS: Final = frozenset(
    {
        "",  # ai.onnx
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "com.microsoft",
        "com.microsoft.experimental",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
    }
)

_PICKLES: Final = "may run code when it is opened (pickle)"
_ARCHIVE: Final = "is an archive; versions hold plain files, nothing here unpacks"
_CODE: Final = "is code; a version holds data only"
_SUFFIXES: Final[Mapping[str, str]] = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"), _PICKLES),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".npy", ".npz"), _PICKLES),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".zst"), _ARCHIVE),
    **dict.fromkeys((".mar", ".nemo", ".keras", ".rar"), _ARCHIVE),
    **dict.fromkeys(
        (".so", ".dll", ".dylib", ".pyd", ".py", ".pyc", ".whl", ".egg", ".jar"), _CODE
    ),
}
#: How such files begin, whatever they are called: offset, bytes, what is wrong with them.
_MAGIC: Final = (
    (0, b"PK\x03\x04", _ARCHIVE),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ\x00", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    *((0, bytes((0x80, protocol)), _PICKLES) for protocol in range(2, 6)),
    (0, b"\x7fELF", _CODE),
    (0, b"MZ", _CODE),
)
_HEAD_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """Bounds on a version.

    Attributes:
        summary: On its model file.
        max_bytes: All tensors together in memory. External data may be used by several tensors,
            so a small file can ask for much.
        max_inlined_nodes: Once every function is put in place of its calls, as onnxruntime does: a
            few functions that call each other twice are as many nodes as one likes.
        domains: Whose operators are accepted.
        custom_operators: Whether operators of other domains are accepted, too, because libraries
            that the operator of the server trusts may have them; onnxruntime refuses the others.
    """

    summary: SummaryLimits = field(default_factory=SummaryLimits)
    max_bytes: int = 1 << 36
    max_inlined_nodes: int = 2_000_000
    domains: frozenset[str] = KNOWN_DOMAINS
    custom_operators: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a version that nothing is wrong with.

    Attributes:
        model_file: Relative to the version directory.
        files: Every file of it.
        summary: Summary of the model file.
    """

    model_file: str
    files: tuple[FileFact, ...]
    summary: OnnxSummary

    @property
    def missing_imports(self) -> tuple[str, ...]:
        """Domains whose operators the model uses without importing them.

        onnxruntime fills them in, so that is no reason to refuse it. A file whose end has not come
        and no name shows it. Functions import operator sets of their own.
        """
        summary = self.summary
        used = set() if summary.functions else {domain for domain, _, _ in summary.operators}
        return tuple(sorted(used - summary.opsets.keys()))


def inspect_version(
    directory: Path, limits: InspectionLimits | None = None, roots: Roots | None = None
) -> Inspection:
    """Look for what is wrong with a version, without loading it.

    Args:
        directory: Directory of the version.
        limits: The defaults suit models of many gigabytes.
        roots: Directories in which it must lie, and links in it may end; by default no link is
            followed.

    Raises:
        ModelRefused: With everything that is wrong, as far as it could be read.
    """
    limits = limits or InspectionLimits()
    with open_directory(directory, roots) as root:
        files = list_files(root)
        sizes = {fact.path: fact.size for fact in files}
        reasons = _check_suffixes(sizes)
        model_file = find_model_file(sizes)
        with open_file(root, model_file) as (descriptor, facts):
            odd = _magic(os.pread(descriptor, _HEAD_BYTES, 0))
            if odd is not None:
                raise ModelRefused(*reasons, f"{model_file} {odd}")
            try:
                summary = read_summary(descriptor, facts.st_size, limits.summary)
            except ModelRefused as refusal:
                named = (f"{model_file}: {reason}" for reason in refusal.reasons)
                raise ModelRefused(*reasons, *named) from None
        used, wrong = _check_references(root, model_file, summary)
        reasons += [f"{model_file}: {reason}" for reason in (*wrong, *_check(summary, limits))]
        # What a model uses as raw numbers may begin with any bytes, and nothing interprets it.
        reasons += _check_heads(root, sizes.keys() - used - {model_file})
    if reasons:
        raise ModelRefused(*reasons)
    return Inspection(model_file, tuple(files), summary)


def check_plain_files(root: Folder, paths: Collection[str]) -> list[str]:
    """What is wrong with files that no runtime reads: code, archives and pickles among them.

    Args:
        root: Directory of the version.
        paths: Relative to it.
    """
    return _check_suffixes(paths) + _check_heads(root, {*paths})


def find_model_file(paths: Mapping[str, object]) -> str:
    """``model.onnx``, or the file of that name in a directory of that name, as Triton has it.

    Raises:
        ModelRefused: There is none.
    """
    for path in (MODEL_FILE, f"{MODEL_FILE}/{MODEL_FILE}"):
        if path in paths:
            return path
    raise ModelRefused(f"there is no {MODEL_FILE}")


def _check(summary: OnnxSummary, limits: InspectionLimits) -> list[str]:
    """What is wrong with the model itself. Pure."""
    reasons = []
    calls = [summary.operators, *summary.functions.values()]
    unknown = {
        operator
        for counter in calls
        for operator in counter
        if operator.domain not in limits.domains and operator not in summary.functions
    }
    for domain, name, _ in [] if limits.custom_operators else sorted(unknown)[:10]:
        reasons.append(
            f"the custom operator {name} of domain {domain!r} would need a library; the operator "
            "of the server can name one with operator_libraries"
        )
    # Operator sets that are used and not imported are no reason: onnxruntime fills them in.
    if summary.tensor_bytes > limits.max_bytes:
        reasons.append(
            f"its tensors take {summary.tensor_bytes} bytes, at most {limits.max_bytes} are allowed"
        )
    try:
        nodes = inlined_nodes(summary.operators, summary.functions)
    except CycleError as error:
        cycle: list[Operator] = error.args[1]
        reasons.append("functions call each other in a circle: " + ", ".join(o.name for o in cycle))
    else:
        if nodes > limits.max_inlined_nodes:
            limit = limits.max_inlined_nodes
            reasons.append(f"it has more than {limit} nodes once its functions are in place")
    return reasons


def inlined_nodes(
    operators: Counter[Operator], functions: Mapping[Operator, Counter[Operator]]
) -> int:
    """Nodes of the main graph once every function stands in place of its calls; 2**63 if more.

    Raises:
        graphlib.CycleError: Functions call themselves.
    """
    sizes: dict[Operator, int] = {}
    order = TopologicalSorter(
        {name: [one for one in body if one in functions] for name, body in functions.items()}
    )
    for name in order.static_order():
        sizes[name] = _size(functions[name], sizes)
    return _size(operators, sizes)


def _size(operators: Counter[Operator], sizes: Mapping[Operator, int]) -> int:
    nodes = sum(times * sizes.get(operator, 1) for operator, times in operators.items())
    return min(nodes, 1 << 63)


def _check_references(
    root: Folder, model_file: str, summary: OnnxSummary
) -> tuple[set[str], list[str]]:
    """The files that the model refers to, and what is wrong with them."""
    folder = PurePosixPath(model_file).parent
    needed: dict[str, int] = {}
    reasons: dict[str, None] = {}
    references = [(one.location, one.offset + one.length) for one in summary.external]
    for location, end in (*references, *((context, 0) for context in summary.contexts)):
        try:
            check_relative(location)
        except ModelRefused as refusal:
            reasons[f"external data: {refusal}"] = None
        else:
            path = str(folder / location)
            needed[path] = max(end, needed.get(path, 0))
    for path, end in needed.items():
        try:
            with open_file(root, path) as (_, facts):
                if facts.st_size < end:
                    reasons[
                        f"external data: {path} has {facts.st_size} bytes, its tensors end at {end}"
                    ] = None
        except ModelRefused as refusal:
            reasons[f"external data: {refusal}"] = None
    return set(needed), list(reasons)[:20]


def _check_suffixes(paths: Collection[str]) -> list[str]:
    return [
        f"{path} {_SUFFIXES[suffix]}"
        for path in paths
        if (suffix := PurePosixPath(path).suffix.lower()) in _SUFFIXES
    ]


def _check_heads(root: Folder, paths: set[str]) -> list[str]:
    reasons = []
    for path in sorted(paths):
        try:
            with open_file(root, path) as (descriptor, _):
                odd = _magic(os.pread(descriptor, _HEAD_BYTES, 0))
        except ModelRefused as refusal:
            odd = str(refusal)
        if odd is not None:
            reasons.append(f"{path} {odd}")
    return reasons


def _magic(head: bytes) -> str | None:
    """What is wrong with a file that begins so."""
    return next((why for at, magic, why in _MAGIC if head[at : at + len(magic)] == magic), None)
