"""Variants side by side on a small scale: which figures come out is the command's business."""

from __future__ import annotations

import json
import sys

import pytest

from penstock.loadtests import side_by_side
from penstock.loadtests.side_by_side import main

MODEL = "examples/registry/breast-cancer/2/model.onnx"
SMALL = ("--rounds", "1", "--repeats", "1", "--seconds", "0.2", "--connections", "2")


@pytest.mark.slow
def test_two_checkouts_are_asked_in_turn(tmp_path, request, monkeypatch):
    monkeypatch.setattr(side_by_side, "_WARM_UP_SECONDS", 0.2)
    model = request.config.rootpath / MODEL
    figures = tmp_path / "figures.json"
    arguments = ["checkouts", "--model", str(model), "--other", sys.executable, *SMALL]
    assert main([*arguments, "--json", str(figures)]) == 0
    ((window,),) = json.loads(figures.read_text()).values()
    assert set(window) == {"other", "this"}
    assert all(side["requests_per_second"] > 0 for side in window.values())
    assert all(side["worker_cpu_microseconds_per_request"] > 0 for side in window.values())


def test_a_comparison_of_checkouts_needs_another_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["checkouts", "--model", MODEL])
    assert "--other" in capsys.readouterr().err
