"""The verbs of the command line, and where each one is: a table that imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is typed -> file of this folder and its function. A verb that is a group, too, runs alone.
VERBS: Final[Mapping[str, str]] = {
    "serve": "serve:run_serve",
    "init": "init:run_init",
    "doctor": "doctor:run_doctor",
    "ui": "ui:run_ui",
    "token": "token:run_token",
    "status": "look:run_status",
    "history": "look:run_history",
    "push": "push:run_push",
    "diff": "diff:run_diff",
    "load": "operate:run_load",
    "unload": "operate:run_unload",
    "promote": "operate:run_promote",
    "batch": "batch:run_batch",
    "batches": "batches:run_batches",
    "batches start": "batches:run_start",
    "batches show": "batches:run_show",
    "batches cancel": "batches:run_cancel",
    "batches fetch": "batches:run_fetch",
    "rollback": "operate:run_rollback",
    "alias": "operate:run_alias",
    "gate run": "gate:run_run",
    "gate show": "gate:run_show",
    "gate approve": "gate:run_approve",
    "gate override": "gate:run_override",
    "audit verify": "audit:run_verify",
    "canary start": "rollout_start:run_canary",
    "canary plan": "rollout_start:run_plan",
    "canary pause": "rollout_act:run_pause",
    "canary resume": "rollout_act:run_resume",
    "canary promote": "rollout_act:run_promote",
    "canary abort": "rollout_act:run_abort",
    "canary approve": "rollout_act:run_approve",
    "shadow start": "rollout_start:run_shadow",
    "shadow stop": "rollout_act:run_shadow_stop",
    "ab start": "rollout_start:run_ab",
    "ab stop": "rollout_act:run_ab_stop",
    "ab result": "rollout:run_result",
    "ab size": "ab_size:run_size",
    "rollout report": "rollout:run_report",
    "rollout status": "rollout:run_status",
    "query": "query:run_query",
    "predictions show": "predictions:run_show",
    "erase": "predictions:run_erase",
    "feedback": "feedback:run_feedback",
    "performance": "performance:run_performance",
    "drift": "drift:run_drift",
    "baseline build": "baseline:run_build",
    "baseline accept": "baseline:run_accept",
    "baseline forget": "baseline:run_forget",
    "monitor report": "drift:run_report",
    "alerts": "alerts:run_alerts",
    "alerts test": "alerts:run_test",
    "alerts mute": "mutes:run_mute",
    "alerts unmute": "mutes:run_unmute",
    "alerts mutes": "mutes:run_mutes",
    "export": "export:run_export",
    "retrain": "retrain:run_retrain",
}
#: Groups, and what is said of them.
GROUPS: Final[Mapping[str, str]] = {
    "": "A high-throughput inference server with hot-loaded model versions.",
    "model": "Versions of a model: which one answers, since when, and who set it.",
    "registry": "A directory of models: publish versions and compare them.",
    "rollout": "Try a version on live traffic, step by step.",
    "monitor": "What the server has seen: predictions, labels, drift, alerts.",
    "canary": "Give a version a growing share of the traffic.",
    "shadow": "Let a version compute a copy of the traffic.",
    "ab": "Compare two versions at a fixed share.",
    "batches": "Batch jobs that the server runs, newest first.",
    "gate": "What a version must show before it may serve.",
    "audit": "Check the audit log.",
    "predictions": "Look a prediction up.",
    "baseline": "What a version is compared with.",
    "alerts": "What is wrong, and who was told.",
}
#: Short verbs that a group has, too.
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": (
        "status",
        "history",
        "load",
        "unload",
        "promote",
        "rollback",
        "alias",
        "diff",
        "gate",
    ),
    "registry": ("push", "diff", "gate", "audit"),
    "rollout": ("canary", "shadow", "ab"),
    "monitor": (
        "drift",
        "baseline",
        "performance",
        "feedback",
        "alerts",
        "query",
        "predictions",
        "export",
        "retrain",
        "erase",
    ),
}
_START: Final = "Start"
_MODELS: Final = "Models"
_ROLLOUTS: Final = "Rollouts"
_MONITORING: Final = "Monitoring"
_GROUPS: Final = "Groups: the same verbs by subject"
#: The first words, in the order of the help, each with its heading there.
PANELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("serve", "init", "doctor", "ui", "token"), _START),
    **dict.fromkeys(("push", "diff", "status", "history", "load", "unload", "promote"), _MODELS),
    **dict.fromkeys(("batch", "batches", "rollback", "alias", "gate", "audit"), _MODELS),
    **dict.fromkeys(("canary", "shadow", "ab"), _ROLLOUTS),
    **dict.fromkeys(MEMBERS["monitor"], _MONITORING),
    **dict.fromkeys(("model", "registry", "rollout", "monitor"), _GROUPS),
}
