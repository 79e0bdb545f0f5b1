"""The page of one model: its versions, what answers, what was done, and what can be done. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import OPERATE
from penstock.server.page.chart import share_bar
from penstock.server.page.form import Field
from penstock.server.page.markup import badge, joined, link
from penstock.server.page.page import Figure, Page

from .overview import SEVERITY_TONES, milliseconds, state_badge
from .rollout_words import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.page.page import Section, Value

    from .visit import Visit

#: Records of the audit log on the page; the audit page has them all.
_RECORDS: Final = 20
_STABLE: Final = "stable"
_KIND: Final = Field("kind", "Kind", options=("canary", "shadow", "ab"))
_STEPS: Final = Field("steps", "Steps of a canary, percent", hint="1 5 25 50 100")
#: What happens, in the words that a form is sent under.
_PROMOTE: Final = (
    "The version answers all requests for {} that name no version, once every worker has it."
)
_ROLL_BACK: Final = (
    "What was stable before version {} answers for {} again. A rollout in progress ends."
)
_START: Final = (
    "The version gets a share of the traffic, and more of it while evidence is good. It is taken "
    "back by itself when evidence is bad."
)
_PLAN: Final = (
    "Nothing is started. It is told how long the canary takes at the traffic of now, and the "
    "smallest harm that it can see."
)
_SET_ALIAS: Final = "Requests that name the alias get the version."
_ALIAS: Final = Field("alias", "Alias", required=True)


def model_page(
    model: Mapping[str, Any],
    alerts: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
    changes: Mapping[str, Any] | None,
    lineage: Sequence[Mapping[str, Any]],
    visit: Visit,
) -> Page:
    """The page.

    Args:
        model: Of the answer of ``GET /admin/status``.
        alerts: Open alerts of the model.
        records: As ``GET …/history`` gives them, newest first.
        changes: As ``GET …/diff`` gives them, if two versions are compared.
        lineage: Of versions, as ``GET …/lineage`` gives it.
        visit: The visit; the page has forms for the actions that the visitor may take.
    """
    name = model["name"]
    page = Page(name)
    section = page.section("Now")
    _now(section, model)
    for one in alerts:
        section.callout(f"{one['kind']}: {one['summary']}", SEVERITY_TONES.get(one["severity"], ""))
    _versions(page.section("Versions"), model)
    lineage_table(page.section("Lineage"), lineage)
    workers(page.section("Workers"), model)
    if visit.may(OPERATE):
        _actions(page.section("Actions"), model, visit)
    if changes is not None:
        _changes(page.section("Difference"), changes)
    section = page.section("What was done")
    section.table(
        ["when (UTC)", "who", "what", "reason"],
        [
            [one["time"][:19].replace("T", " "), one["actor"], done(one), one["reason"]]
            for one in records[:_RECORDS]
        ],
    )
    return page


def _now(section: Section, model: Mapping[str, Any]) -> None:
    default, move = model["default"], model["default_set"]
    since = (move["since"] or "")[:16].replace("T", " ")
    section.figures(
        Figure(
            "answers",
            "no version" if default is None else f"version {default}",
            f"since {since} UTC by {move['by']}" if since else "",
            "bad" if default is None else "good",
        ),
        *(
            Figure(alias, f"version {one['version']}", one["by"])
            for alias, one in model["aliases"].items()
        ),
    )
    rates = {
        f"version {one['version']}": one["traffic"]["requests_per_second"]
        for one in model["versions"]
        if one["traffic"] is not None
    }
    if any(rates.values()):
        total = sum(rates.values())
        section.add(share_bar(f"Traffic of the last minute, {total:.3g} requests/s", rates))


def _versions(section: Section, model: Mapping[str, Any]) -> None:
    headers = (
        "version", "state", "names", "req/s", "p50, ms", "p99, ms", "errors", "batching", "note",
    )  # fmt: skip
    rows = []
    for one in reversed(model["versions"]):
        traffic = one["traffic"] or {}
        batching = one["batching"]
        names = [*(["default"] if one["default"] else []), *one["aliases"]]
        rows.append(
            [
                str(one["version"]),
                state_badge(one["state"]),
                joined(*(badge(alias, "good") for alias in names)),
                traffic.get("requests_per_second"),
                milliseconds(traffic.get("p50_seconds")),
                milliseconds(traffic.get("p99_seconds")),
                traffic.get("errors"),
                "" if batching is None else "on" if batching["on"] else batching["reason"],
                "; ".join(filter(None, (one["reason"], one["note"]))),
            ]
        )
    section.table(headers, rows)


def lineage_table(section: Section, versions: Sequence[Mapping[str, Any]]) -> None:
    """A table of the origin of each version; a cell is empty where nothing was given.

    Args:
        section: Section of the page.
        versions: As ``GET …/lineage`` gives them.
    """
    headers = ("version", "published (UTC)", "run", "commit", "data", "metrics", "files", "golden")
    rows: list[list[Value]] = []
    for one in versions:
        if one["missing"]:
            words = (str(one["version"]), one["missing"], "", "", "", "", "")
        else:
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in one["metrics"].items())
            size = f"{one['files']}, {one['bytes'] / 2**20:.3g} MiB"
            origin = one["run"], one["commit"][:12], one["data"][:24]
            when = one["published"][:19].replace("T", " ")
            words = (str(one["version"]), when, *origin, metrics, size)
        golden = one["golden"]
        rows.append([*words, "unknown" if golden is None else f"{golden} requests"])
    section.table(headers, rows)


def workers(section: Section, model: Mapping[str, Any]) -> None:
    """Each loaded version on each worker: its state, since when, and the memory that it took."""
    rows = [
        [
            str(one["version"]),
            process,
            state_badge(at["state"]),
            moment(at["since"]),
            *_memory(at["memory"]),
            at["reason"],
        ]
        for one in reversed(model["versions"])
        for process, at in sorted(one["workers"].items())
    ]
    if not rows:
        section.text("No worker has been told of a version of this model.")
        return
    headers = ("version", "worker", "state", "since (UTC)", "memory, MiB", "expected, MiB", "note")
    section.table(headers, rows)


def _memory(memory: Mapping[str, int] | None) -> tuple[float | None, float | None]:
    """What loading took, and what was expected of it."""
    if memory is None:
        return None, None
    measured, expected = memory["measured_bytes"], memory["estimated_bytes"]
    return round(measured / 2**20, 1), round(expected / 2**20, 1)


def _actions(section: Section, model: Mapping[str, Any], visit: Visit) -> None:
    name = model["name"]
    path = "models", name
    numbers = tuple(str(one["version"]) for one in reversed(model["versions"]))
    if not numbers:
        return
    version = Field("version", "Version", options=numbers)
    stable = model["aliases"].get(_STABLE, {}).get("version", model["default"])
    forms: tuple[tuple[str, str, str, str, tuple[Field, ...]], ...] = (
        ("promote", "Promote", _PROMOTE.format(name), "", (version,)),
        ("rollback", "Roll back", _ROLL_BACK.format(stable, name), "bad", ()),
        ("start", "Start a rollout", _START, "", (version, _KIND, _STEPS)),
        ("plan", "Plan a canary", _PLAN, "", (version, _STEPS)),
        ("load", "Load", "Every worker loads the version.", "", (version,)),
        ("unload", "Unload", "No worker serves the version any more.", "bad", (version,)),
        ("alias", "Set an alias", _SET_ALIAS, "", (_ALIAS, version)),
    )
    for action, button, effect, tone, fields in forms:
        section.form(visit.form((*path, action), button, effect, *fields, tone=tone))
    if len(numbers) > 1:
        words = f"Compare version {numbers[1]} with {numbers[0]}"
        query = f"?from={numbers[1]}&to={numbers[0]}"
        section.text(link(words, visit.at(*path) + query))


def _changes(section: Section, changes: Mapping[str, Any]) -> None:
    section.text(f"From version {changes['from']} to version {changes['to']}.")
    section.table(
        ["what", "name", "before", "after", ""],
        [
            [
                one["what"],
                one["name"],
                _shown(one["before"]),
                _shown(one["after"]),
                badge("breaks clients", "bad") if one["breaking"] else "",
            ]
            for one in changes["changes"]
        ],
    )


def _shown(value: object) -> str | None:
    return None if value is None else str(value)


def done(record: Mapping[str, Any]) -> str:
    """The change in a record: the action, and which names moved where."""
    after = record["after"]
    moved = after.items() if isinstance(after, dict) else ()
    words = ", ".join(f"{name} → {version}" for name, version in moved)
    version = record["evidence"].get("version")
    return f"{record['action']} {words or ('' if version is None else version)}".strip()
