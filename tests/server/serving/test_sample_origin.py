"""What samples say of a version's columns."""

from __future__ import annotations

import msgpack

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.serving.sample_origin import origin_of


def tensor(name, *columns):
    return TensorSpec(name, "FP32", (-1, len(columns) or 2), columns=tuple(map(Column, columns)))


def test_elements_have_the_names_of_columns_and_scores_those_of_classes():
    label = TensorSpec("label", "INT64", (-1,), columns=(Column("label", ("no", "yes")),))
    signature = Signature(
        (tensor("x", "age", "a b"), tensor("plain"), tensor("one", "city")),
        (label, tensor("p", "no", "yes"), tensor("q")),
        batch_axis=True,
    )
    origin = origin_of("m", "3", signature)
    assert (origin.model, origin.version) == ("m", "3")
    assert origin.input_names == ("x", "plain", "one")
    assert origin.input_columns == {"x": ("age", "a b"), "one": ("city",)}
    assert origin.output_columns == {"p": ("p_no", "p_yes")}


def test_names_are_bounded_and_do_not_repeat_the_name_of_their_tensor():
    single = [tensor(f"c{place}", f"c{place}") for place in range(2000)]
    assert origin_of("m", "3", Signature(tuple(single), (), batch_axis=True)).input_columns == {}
    wide = [tensor(f"t{one}", *(f"c{place}" for place in range(199))) for one in range(9)]
    origin = origin_of("m", "3", Signature(tuple(wide), (), batch_axis=True))
    assert list(origin.input_columns) == ["t0", "t1", "t2", "t3", "t4"]


def test_names_that_cannot_travel_are_mended_or_left_out():
    many = tensor("many", *(f"c{place}" for place in range(201)))
    odd = tensor("odd", "half \ud800", " ", "\u00fc")
    origin = origin_of("m", "3", Signature((many, odd), (), batch_axis=True))
    assert origin.input_columns == {"odd": ("half ?", "", "\u00fc")}
    assert msgpack.packb(origin.input_columns)
