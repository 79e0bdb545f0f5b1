"""Who is let in: by a report, by an approval, by an override, and once for good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from penstock.server.config.gates_options import parse_gates
from penstock.server.desired_state.approval import Approval
from penstock.server.gates.gate_order import GatedVersion
from penstock.server.gates.gate_report import GateReport, GateResult, Verdict
from penstock.server.gates.version_admission import DIRECTORY, Gated, VersionAdmission

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000.0
DIGEST = "sha256:aa"


def gated(home: Path, asked: dict[str, Any], **changes: Any) -> Gated:
    version = GatedVersion(2, home / "2", DIGEST)
    return replace(Gated("m", home, parse_gates(asked, "x"), version), **changes)


def report(question: str, verdict: Verdict = Verdict.PASSED) -> GateReport:
    return GateReport("m", 2, DIGEST, question, (GateResult("golden", verdict, "why"),), at=NOW)


def approval(*, override: bool = False, until: float = NOW + 9, digest: str = DIGEST) -> Approval:
    return Approval(2, digest, "ana", NOW, until, override)


@pytest.fixture
def admission(tmp_path: Path) -> VersionAdmission:
    return VersionAdmission(tmp_path / "state", lambda: NOW)


def test_a_model_without_gates_is_never_held(tmp_path: Path, admission: VersionAdmission) -> None:
    assert admission.hold(gated(tmp_path, {})) is None


def test_a_version_is_held_until_its_report_has_passed(
    tmp_path: Path, admission: VersionAdmission
) -> None:
    asking = gated(tmp_path, {"golden": 1})
    first = admission.hold(asking)
    assert first is not None
    assert first.question
    admission.note(report(first.question, Verdict.FAILED))
    held = admission.hold(asking)
    assert held is not None
    assert (held.question, "gate golden: failed: why" in held.reason) == ("", True)
    admission.note(report(first.question))
    assert admission.hold(asking) is None


def test_a_report_answers_its_own_question_only(
    tmp_path: Path, admission: VersionAdmission
) -> None:
    first = admission.hold(gated(tmp_path, {"golden": 1}))
    assert first is not None
    admission.note(report(first.question))
    other = admission.hold(gated(tmp_path, {"golden": 2}))
    assert other is not None
    assert other.question not in {"", first.question}


def test_other_held_out_rows_are_another_question(
    tmp_path: Path, admission: VersionAdmission
) -> None:
    evaluation = {"data": "rows.csv", "label": "y", "metric": "auc", "least": 0.5}
    asking = gated(tmp_path, {"evaluation": evaluation})
    before = admission.hold(asking)
    (tmp_path / "rows.csv").write_text("a,y\n1,1\n")
    after = admission.hold(asking)
    assert before is not None
    assert after is not None
    assert before.question != after.question


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ((), True),
        ((approval(),), False),
        ((approval(until=NOW),), True),
        ((approval(digest="sha256:bb"),), True),
    ],
    ids=["nobody", "approved", "expired", "other files"],
)
def test_an_approval_is_for_these_files_and_for_a_time(
    tmp_path: Path, admission: VersionAdmission, given: Any, held: bool
) -> None:
    found = admission.hold(gated(tmp_path, {"approval": True}, approvals=given))
    assert (found is not None) is held


def test_an_approval_overrules_no_gate_and_an_override_does(
    tmp_path: Path, admission: VersionAdmission
) -> None:
    asking = gated(tmp_path, {"golden": 1, "approval": True}, approvals=(approval(),))
    first = admission.hold(asking)
    assert first is not None
    admission.note(report(first.question, Verdict.TOO_LITTLE))
    assert admission.hold(asking) is not None
    assert admission.hold(replace(asking, approvals=(approval(override=True),))) is None


def test_what_was_let_in_stays_in(tmp_path: Path, admission: VersionAdmission) -> None:
    asking = gated(tmp_path, {"approval": True})
    assert admission.hold(replace(asking, approvals=(approval(),))) is None
    assert admission.hold(asking) is None
    later = replace(asking, version=replace(asking.version, digest="sha256:bb"))
    assert admission.hold(later) is not None
    assert admission.hold(replace(later, loaded=True)) is None
    assert admission.hold(later) is None


def test_reports_outlive_a_restart_and_a_damaged_one_is_made_again(
    tmp_path: Path, admission: VersionAdmission
) -> None:
    asking = gated(tmp_path, {"golden": 1})
    first = admission.hold(asking)
    assert first is not None
    admission.note(report(first.question))
    state = tmp_path / "state"
    assert VersionAdmission(state, lambda: NOW).hold(asking) is None
    (state / DIRECTORY / "m@2.json").write_text("{")
    again = VersionAdmission(state, lambda: NOW).hold(asking)
    assert again is not None
    assert again.question == first.question
    admission.forget("m", 2)
    assert admission.report("m", 2) is None
