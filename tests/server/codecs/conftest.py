from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs.signature import WireSignature

if TYPE_CHECKING:
    from collections.abc import Callable

Spec = tuple[Any, ...]


def make_wire(*inputs: Spec, outputs: tuple[Spec, ...] = (), batch: bool = True) -> WireSignature:
    """A wire signature from ``(name, datatype, shape[, optional])`` tuples."""
    asked = outputs or (("label", "INT64", (-1,)), ("probabilities", "FP32", (-1, 2)))
    signature = Signature(
        tuple(TensorSpec(*spec) for spec in inputs),
        tuple(TensorSpec(*spec) for spec in asked),
        batch,
    )
    return WireSignature(signature, "iris", "3")


def make_tensor(
    data: Any, shape: list[int], datatype: str = "FP32", name: str = "x"
) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def make_body(*inputs: Any, **extras: Any) -> bytes:
    return orjson.dumps({"inputs": list(inputs), **extras}, None, orjson.OPT_SERIALIZE_NUMPY)


@st.composite
def draw_array(draw: st.DrawFn, datatype: str, *, rows: int | None = None) -> Any:
    """An array of the datatype with any finite or unfinite elements and any small shape."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if rows is not None:
        shape = (rows, *shape[1:])
    if datatype == "BYTES":
        size = int(np.prod(shape))
        array = np.empty(size, np.object_)
        array[:] = draw(st.lists(st.binary(max_size=6), min_size=size, max_size=size))
        return array.reshape(shape)
    return draw(hnp.arrays(NUMPY_OF[datatype], shape))


@pytest.fixture(scope="session")
def wire_of() -> Callable[..., WireSignature]:
    return make_wire


@pytest.fixture(scope="session")
def tensor() -> Callable[..., dict[str, Any]]:
    return make_tensor


@pytest.fixture(scope="session")
def body_of() -> Callable[..., bytes]:
    return make_body


@pytest.fixture(scope="session")
def arrays() -> Callable[..., st.SearchStrategy[Any]]:
    return draw_array
