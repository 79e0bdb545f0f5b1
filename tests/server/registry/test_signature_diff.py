"""What a client of one version would notice of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.registry.manifest import FileEntry, Manifest, Run
from penstock.server.registry.signature_diff import Change, diff

X = TensorSpec("x", "FP32", (-1, 4))
Y = TensorSpec("y", "FP32", (-1, 2))
BASE = Manifest(
    "m", 1, (FileEntry("model.onnx", 1, "a" * 64),), Signature((X,), (Y,), batch_axis=True)
)


def signed(inputs=(X,), outputs=(Y,)):
    return replace(BASE, signature=Signature(inputs, outputs, batch_axis=True))


def test_a_version_does_not_differ_from_itself():
    assert diff(BASE, replace(BASE, version=2)) == ()


@pytest.mark.parametrize(
    ("after", "breaking"),
    [
        (signed(inputs=(replace(X, shape=(-1, 5)),)), True),
        (signed(inputs=(replace(X, shape=(-1, -1)),)), False),
        (signed(inputs=(replace(X, shape=(1, 4)),)), True),
        (signed(inputs=(replace(X, shape=(4,)),)), True),
        (signed(inputs=(replace(X, datatype="FP64"),)), True),
        (signed(inputs=(replace(X, optional=True),)), False),
        (signed(inputs=(X, replace(X, name="z"))), True),
        (signed(inputs=(X, replace(X, name="z", optional=True))), False),
        (signed(inputs=()), True),
        (signed(outputs=(Y, replace(Y, name="z"))), False),
        (signed(outputs=()), True),
        (signed(outputs=(replace(Y, shape=(-1, -1)),)), True),
        (signed(outputs=(replace(Y, shape=(1, 2)),)), False),
    ],
)
def test_a_change_of_the_signature_says_whether_it_may_break(after, breaking):
    (change,) = diff(BASE, after)
    assert change.breaking is breaking


LABEL = TensorSpec("label", "INT64", (-1,))
POSITION = replace(LABEL, columns=(Column("label", ()),))
NAMED = replace(LABEL, columns=(Column("label", ("no", "yes")),))


@pytest.mark.parametrize(
    ("before", "after", "breaking"),
    [
        (POSITION, LABEL, False),  # published by an earlier release
        (LABEL, POSITION, False),
        (POSITION, NAMED, False),
        (NAMED, POSITION, True),
        (replace(LABEL, columns=(Column("other", ()),)), LABEL, True),
    ],
)
def test_a_label_without_names_of_classes_promises_none(before, after, breaking):
    (change,) = diff(signed(outputs=(before,)), signed(outputs=(after,)))
    assert change.breaking is breaking


def test_everything_else_is_told_too_after_what_breaks():
    after = replace(
        signed(outputs=()),
        files=(FileEntry("model.onnx", 2, "b" * 64),),
        metrics={"auc": 0.5},
        run=Run("r", "c", {"lr": "1"}),
        data_hash="h",
        metadata={"k": "v"},
        created_at="t",
    )
    changes = diff(BASE, after)
    assert changes[0] == Change("outputs", "y", "FP32 [?, 2]", "", breaking=True)
    assert {(one.what, one.name) for one in changes[1:]} == {
        ("digest", ""),
        ("files", "model.onnx"),
        ("metrics", "auc"),
        ("run", "run_id"),
        ("run", "commit"),
        ("run", "data_hash"),
        ("params", "lr"),
        ("metadata", "k"),
        ("created_at", ""),
    }


def test_an_unknown_signature_is_a_difference_and_the_batch_axis_too():
    assert diff(BASE, replace(BASE, signature=None)) == (Change("signature", "", "known", ""),)
    single = replace(BASE, signature=Signature((X,), (Y,), batch_axis=False))
    assert diff(BASE, single) == (
        Change("signature", "batch axis", "batched", "single"),
        Change("signature", "rows", "axis 0", "request"),
    )
