"""Bad candidates: models that fail for an exact share, and what is made of trials."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from penstock.loadtests.flawed import FIRST, VALUES, turns_for, write_flawed
from penstock.loadtests.trials import Ailment, Trial, figures_of, main, run_trials

NOTHING = {"errors": 0, "timeouts": 0, "invalid": 0, "slow": 0}


def outcomes(registry, **flaws):
    """What version 1 makes of every twentieth value, and of one that a server makes up."""
    write_flawed(registry, "m", 1, **flaws)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        str(registry / "m" / "1" / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )

    def ask(value):
        try:
            [[[y]]] = session.run(None, {"x": np.full((1, 1), value, np.float32)})
        except Exception:  # noqa: BLE001  onnxruntime's have no base of their own
            return "error"
        return "invalid" if np.isnan(y) else "good"

    assert ask(1.0) == "good"
    return [ask(FIRST + value) for value in range(0, VALUES, 20)]


def test_a_version_fails_for_exactly_its_shares(tmp_path):
    found = outcomes(tmp_path, errors=0.1, invalid=0.2)
    assert found.count("error") == 50
    assert found.count("invalid") == 100
    assert outcomes(tmp_path / "dead", errors=1.0).count("error") == 500
    assert outcomes(tmp_path / "well", turns=3).count("good") == 500
    assert turns_for(0.01) > turns_for(0.0001)


def test_figures_are_of_candidates_that_were_stopped():
    trials = [
        Trial("aborted", 0.5, 4, {**NOTHING, "errors": 2, "slow": 1}, {200: 90, 500: 10}, 1),
        Trial("aborted", 1.5, 6, {**NOTHING, "errors": 5}, {200: 100}, 0),
        Trial("promoted", 20.0, 900, {**NOTHING, "errors": 9}, {200: 100}, 0),
    ]
    figures = figures_of(trials)
    assert (figures["rollouts"], figures["stopped"]) == (3, 2)
    assert (figures["bad_requests_median"], figures["bad_requests_most"]) == (4, 5)
    assert figures["seconds_median"] == 1.0
    assert figures["errors_that_callers_saw"] == 11
    assert "seconds_median" not in figures_of(trials[2:])


def test_an_ailment_that_nobody_knows_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["sick"])
    assert "no ailment sick" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dead_candidate_on_a_real_server_is_stopped_and_no_caller_sees_it(tmp_path):
    dead = Ailment({}, {"errors": 1.0}, (5.0, 100.0), rate=200.0)
    figures = figures_of(run_trials(tmp_path, dead, 2))
    assert (figures["rollouts"], figures["stopped"]) == (2, 2)
    assert figures["errors_that_callers_saw"] == 0
    assert figures["bad_requests_median"] >= 2
