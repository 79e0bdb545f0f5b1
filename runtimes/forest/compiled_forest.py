"""A forest in machine code that gives the very bits of its library, and the proof of that.

The proof: the trees are those that the library holds after it has loaded the model, number by
number, because the library itself writes them out again, and its numbers are read back exactly. The
walk makes the same comparisons and additions as the library, in the same types and order
(`penstock.runtimes.forest.kernel`).

That holds for the releases whose sources were read. Therefore the library itself also answers rows
that were made from the bounds of the forest before a model is served this way, and each bit has to
be the same. This is a check of the release, no proof of each bound. Where it fails, the library
serves its model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .forest import build_forest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array

    from .forest import Forest, Tree

    #: From ``(rows, columns)`` to the answers, ``(rows,)``, or ``(rows, groups)`` of several.
    Predict = Callable[[Array], Array]

_LOG: Final = logging.getLogger(__name__)
#: Rows that the library and the machine code answer before a model is served.
_PROOF_ROWS: Final = 512
_LEAST_ROWS: Final = 8
#: Most values of these rows, so that a wide model does not take long.
_MOST_VALUES: Final = 1 << 21
#: Of the values of these rows, so many are odd.
_ODD_SHARE: Final = 0.15
_ODD: Final = (np.nan, np.nan, np.nan, 0.0, -0.0, 1e30, -1e30, 1e-36, -1e-36)


@dataclass(frozen=True, slots=True)
class Additive:
    """A model that adds the values of trees, and makes its answers of the sums.

    Attributes:
        forest: The trees.
        base: Initial value of each sum, one for each place of an answer.
        zero: Values up to so far from 0 are 0.
        finish: Name of the function of `penstock.runtimes.forest.kernel` that makes answers of the
            sums; empty if the sums are the answers.
        column: For each node that compares, which column.
        bound: For each of them, with what.
    """

    forest: Forest
    base: Array
    zero: float
    finish: str
    column: Array
    bound: Array


def additive(
    trees: Sequence[Tree],
    columns: int,
    base: Array,
    finish: str,
    *,
    zero: float = 0.0,
    equal_left: bool = False,
) -> Additive | None:
    """A model of checked trees; ``None`` if they are too large.

    The arguments are those of `Additive` and of `penstock.runtimes.forest.forest.build_forest`.
    """
    dtype = base.dtype.type
    forest = build_forest(trees, columns, len(base), dtype, equal_left=equal_left)
    if forest is None:
        return None
    inner = np.concatenate([one.left for one in trees]) != -1
    column, bound = (
        np.concatenate([getattr(one, name) for one in trees])[inner] for name in ("column", "bound")
    )
    return Additive(forest, base, zero, finish, column, bound.astype(dtype))


def fastest(
    library: Predict, read: Callable[[], Additive | None], columns: int
) -> tuple[Predict, bool]:
    """What answers the rows of a model: machine code where that is proven, else its library.

    Args:
        library: The library's own call.
        read: Reads the model from what the library holds; gives ``None`` if the model is of a kind
            that is left to the library.
        columns: Columns of a row.

    Returns:
        The call, and whether it is machine code.
    """
    kernel = _kernel()
    if kernel is None:
        return library, False
    try:
        model = read()
        if model is None:
            return library, False
        fast = _predictor(kernel, model)
        if _same(fast, library, proof_rows(model, columns)):
            return fast, True
        _LOG.warning("a compiled forest differs from its library, which answers instead")
    except Exception as error:  # noqa: BLE001  numba, or the library, does not work on this machine
        _LOG.warning("a forest is run by its library, it could not be compiled: %r", error)
    return library, False


def _kernel() -> Any:
    """The module `penstock.runtimes.forest.kernel`; ``None`` where numba is not installed."""
    try:
        from . import kernel  # where numba is, and when a model is loaded
    except ModuleNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything
        _LOG.warning("numba cannot be imported, trees are run by their libraries: %r", error)
        return None
    return kernel


def _predictor(kernel: Any, model: Additive) -> Predict:
    forest, walk = model.forest, kernel.walk
    dtype, bits = forest.value.dtype, forest.bound.dtype
    base = np.asarray(model.base, dtype)
    most = bits.type(np.iinfo(bits).max)
    infinite, zero = np.array([np.inf, model.zero], dtype).view(bits)
    nodes = (forest.ends, forest.roots, forest.depths, forest.code, forest.bound, forest.value)
    finish = getattr(kernel, model.finish) if model.finish else None
    several = len(base) > 1

    def predict(rows: Array) -> Array:
        sums = np.empty((len(rows), len(base)), dtype)
        sums[:] = base
        walk(rows.view(bits), most, infinite, zero, *nodes, sums)
        if finish is not None:
            finish(sums)
        return sums if several else sums.reshape(-1)

    return predict


def _same(fast: Predict, library: Predict, rows: Array) -> bool:
    """Whether both give the same bits, with all rows at once and with one."""
    return all(
        ours.shape == theirs.shape
        and ours.dtype == theirs.dtype
        and ours.tobytes() == theirs.tobytes()
        for some in (rows, rows[:1])
        for ours, theirs in ((fast(some), np.asarray(library(some))),)
    )


def proof_rows(model: Additive, columns: int) -> Array:
    """Rows whose values are bounds of their columns, the numbers beside them, and odd numbers."""
    generator = np.random.default_rng(0)
    dtype = model.bound.dtype
    count = max(_LEAST_ROWS, min(_PROOF_ROWS, _MOST_VALUES // columns))
    rows = generator.standard_normal((count, columns)).astype(dtype)
    order = np.argsort(model.column, kind="stable")
    used, firsts = np.unique(model.column[order], return_index=True)
    for place, mine in zip(used, np.split(model.bound[order], firsts[1:]), strict=False):
        drawn = generator.choice(mine, count)
        beside = np.nextafter(drawn, generator.choice(np.array([-np.inf, np.inf], dtype), count))
        rows[:, place] = np.where(generator.integers(2, size=count), drawn, beside)
    odd = generator.random(rows.shape) < _ODD_SHARE
    rows[odd] = generator.choice(np.array(_ODD, dtype), int(odd.sum()))
    return rows
