"""The overview: every model, what answers for it, and whether that goes well. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.page.chart import sparkline
from penstock.server.page.markup import badge, joined, link, note
from penstock.server.page.page import Figure, Page, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from penstock.server.page.page import Section, Value

STATE_TONES: Final = {"READY": "good", "LOADING": "warning", "MIXED": "warning", "FAILED": "bad"}
SEVERITY_TONES: Final = {"critical": "bad", "warning": "warning"}
#: Word and tone of a badge before the states of drift and labels that a glance must not miss.
_BADGES: Final = {
    "drift": ("drift", "bad"),
    "warn": ("warning", "warning"),
    "falling": ("alarm", "bad"),
    "cannot tell": ("doubt", "warning"),
    "unknown": ("unknown", "warning"),
}


def overview(
    status: Mapping[str, Any],
    alerts: Sequence[Mapping[str, Any]],
    hour: Mapping[str, Sequence[float | None]],
    at: Callable[..., str],
) -> Page:
    """The page.

    Args:
        status: As ``GET /admin/status`` gives it.
        alerts: Open alerts, as ``GET /admin/alerts`` gives them.
        hour: By model, requests per second in each minute of the last hour.
        at: Path of a page of the console.
    """
    page = Page("Overview", status["registry"])
    section = page.section("Server")
    workers = status["workers"]
    ready = sum(1 for one in workers if one["ready"])
    section.figures(
        Figure("models", len(status["models"]), f"generation {status['generation']}"),
        Figure("requests/s", sum(_rate(one) for one in status["models"]), "the last minute"),
        Figure(
            "workers ready",
            f"{ready} of {len(workers)}",
            "" if status["converged"] else "not all have followed the last change",
            "good" if ready and status["converged"] else "warning" if ready else "bad",
        ),
        Figure("open alerts", len(alerts), "", "bad" if alerts else "good"),
    )
    if status["state_note"]:
        section.callout(f"State is TEMPORARY: {status['state_note']}", "warning")
    if status["monitor"]["problem"]:
        section.callout(
            f"Drift and labels are not known now: {status['monitor']['problem']}. Predictions and "
            "commands go on.",
            "warning",
        )
    for one in status["problems"]:
        section.callout(f"{one['path']}: {one['reason']}", "warning")
    _models(page.section("Models"), status["models"], alerts, hour, at)
    section = page.section("Processes")
    section.table(
        ["worker", "pid", "ready", "memory, MiB"],
        [
            [one["process"], str(one["pid"]), one["ready"], _mebibytes(one["resident_bytes"])]
            for one in workers
        ],
    )
    return page


def _models(
    section: Section,
    models: Sequence[Mapping[str, Any]],
    alerts: Sequence[Mapping[str, Any]],
    hour: Mapping[str, Sequence[float | None]],
    at: Callable[..., str],
) -> None:
    if not models:
        section.text("The registry is empty. Publish a model: ")
        section.typed("penstock push REGISTRY MODEL model.onnx")
        return
    headers = (
        "model", "answers", "last hour", "req/s", "p50, ms", "p99, ms",
        "5xx/s", "drift", "labels", "rollout", "alerts",
    )  # fmt: skip
    rows = []
    for model in models:
        mine = [one for one in alerts if one["model"] == model["name"]]
        row: list[Value] = [
            link(model["name"], at("models", model["name"])),
            joined(written(answers(model)), *_set(model["default_set"])),
            sparkline(hour.get(model["name"], ())),
            *_traffic(model),
            *_monitored(model, at),
            _rollout(model, at),
            joined(*(badge(one["kind"], SEVERITY_TONES.get(one["severity"], "")) for one in mine)),
        ]
        rows.append(row)
    section.table(headers, rows, sentences=("answers", "drift", "labels"))


def _set(move: Mapping[str, Any]) -> list[Markup]:
    """Since when a version answers and who has set it."""
    if not move["since"]:
        return []
    since = move["since"][:16].replace("T", " ")
    return [note(f"since {since} UTC by {move['by']}")]


def answers(model: Mapping[str, Any]) -> Value:
    """The version that answers requests without a version, and its state; or why none does."""
    found = [one for one in model["versions"] if one["default"]]
    if found:
        return joined(f"version {found[0]['version']}", state_badge(found[0]["state"]))
    states = sorted({one["state"] for one in model["versions"] if one["wanted"]})
    return joined("none", *map(state_badge, states))


def state_badge(state: str) -> Markup:
    """A state of a version as a badge."""
    return badge(state.lower(), STATE_TONES.get(state, ""))


def _traffic(model: Mapping[str, Any]) -> list[Value]:
    """Requests per second of all versions; latencies of the one that answers; errors of all."""
    known = [one["traffic"] for one in model["versions"] if one["traffic"] is not None]
    default = next((one["traffic"] for one in model["versions"] if one["default"]), None) or {}
    return [
        sum(one["requests_per_second"] for one in known),
        milliseconds(default.get("p50_seconds")),
        milliseconds(default.get("p99_seconds")),
        sum(one["errors_per_second"] for one in known),
    ]


def _monitored(model: Mapping[str, Any], at: Callable[..., str]) -> list[Value]:
    """Drift and labels of the version that answers, each a link to its page."""
    one = next((one for one in model["versions"] if one["default"]), None)
    if one is None:
        return ["", ""]
    name = model["name"]
    return [
        state_words(one["drift"], at("models", name, "drift")),
        state_words(one["labels"], at("models", name, "performance")),
    ]


def state_words(told: Mapping[str, Any], href: str) -> Markup:
    """The state of drift or labels in words, which are a link.

    Args:
        told: ``drift`` or ``labels`` of a version of the status.
        href: Path of the page with the figures.
    """
    words = link(told["words"], href)
    mark = _BADGES.get(told["state"])
    return words if mark is None else joined(badge(*mark), words)


def _rate(model: Mapping[str, Any]) -> float:
    known = (one["traffic"] for one in model["versions"])
    return float(sum(one["requests_per_second"] for one in known if one is not None))


def _rollout(model: Mapping[str, Any], at: Callable[..., str]) -> Value:
    rollout = model["rollout"]
    if rollout is None or rollout["final"]:
        return ""
    words = f"{rollout['kind']} {rollout['candidate']}: {rollout['percent']:g} %"
    return joined(
        link(words, at("models", model["name"], "rollout")),
        badge(rollout["phase"].replace("_", " ")),
    )


def milliseconds(seconds: float | None) -> float | None:
    """A latency for people."""
    return None if seconds is None else seconds * 1000


def _mebibytes(count: int | None) -> float | None:
    return None if count is None else round(count / 2**20)
