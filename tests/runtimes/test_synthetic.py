from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.contract import VARIABLE, Signature, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.runtimes.synthetic import MAX_PROBE_ELEMENTS, made_up_elements, synthetic_inputs


def signature(*specs: TensorSpec, batch_axis: bool = True) -> Signature:
    return Signature(specs, (), batch_axis)


shapes = st.lists(st.sampled_from([VARIABLE, 0, 1, 2, 3]), max_size=3).map(tuple)


@given(
    specs=st.lists(st.tuples(st.sampled_from(list(NUMPY_OF)), shapes), max_size=4),
    batched=st.booleans(),
    rows=st.integers(0, 4),
    variable=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_inputs_fit_the_signature(
    specs: list[tuple[str, tuple[int, ...]]],
    rows: int,
    variable: int,
    seed: int,
    *,
    batched: bool,
) -> None:
    wanted = signature(
        *(
            TensorSpec(f"x{i}", datatype, (VARIABLE, *shape) if batched else shape)
            for i, (datatype, shape) in enumerate(specs)
        ),
        batch_axis=batched,
    )
    arrays = synthetic_inputs(wanted, rows, seed=seed, variable=variable)
    again = synthetic_inputs(wanted, rows, seed=seed, variable=variable)
    for spec, array, same in zip(wanted.inputs, arrays, again, strict=True):
        assert array is not None
        open_sizes = (rows, *(variable,) * 9) if batched else (variable,) * 9
        assert array.shape == tuple(
            open_sizes[i] if size == VARIABLE else size for i, size in enumerate(spec.shape)
        )
        assert array.dtype == NUMPY_OF[spec.datatype]
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("datatype", NUMPY_OF)
@pytest.mark.parametrize("shape", [(), (4,), (3, 2)])
def test_neighbouring_rows_differ(datatype: str, shape: tuple[int, ...]) -> None:
    (array,) = synthetic_inputs(signature(TensorSpec("x", datatype, (VARIABLE, *shape))), 2)
    assert array is not None
    assert not np.array_equal(array[0], array[1])


def test_values_are_harmless() -> None:
    specs = [TensorSpec(datatype, datatype, (VARIABLE, 8)) for datatype in NUMPY_OF]
    for spec, array in zip(specs, synthetic_inputs(signature(*specs), 4), strict=True):
        assert array is not None
        values = set(array.ravel().tolist())
        if spec.datatype == "BYTES":
            assert values == {b"0", b"1"}
        elif array.dtype.kind == "f":
            assert all(0 <= value <= 1 for value in values)
        else:
            assert values == {0, 1}


def test_optional_inputs_are_left_out() -> None:
    spec = TensorSpec("w", "FP32", (3,), optional=True)
    assert synthetic_inputs(signature(spec), 2) == [None]


def test_another_seed_gives_other_values() -> None:
    wanted = signature(TensorSpec("x", "FP32", (VARIABLE, 3)), TensorSpec("i", "INT8", (VARIABLE,)))
    for first, second in zip(
        synthetic_inputs(wanted, 2), synthetic_inputs(wanted, 2, seed=1), strict=True
    ):
        assert not np.array_equal(first, second)  # type: ignore[arg-type]


def test_elements_are_counted_before_they_are_made() -> None:
    spec = TensorSpec("x", "FP32", (VARIABLE, VARIABLE, 3))
    default = TensorSpec("y", "FP32", (VARIABLE,) * 9, optional=True)
    (made, _) = synthetic_inputs(signature(spec, default), 2, variable=32)
    assert made is not None
    assert made_up_elements(signature(spec, default), 2, 32) == made.size == 2 * 32 * 3
    wide = TensorSpec("x", "FP32", (VARIABLE,) * 7)
    assert made_up_elements(signature(wide), 2, 32) > MAX_PROBE_ELEMENTS
