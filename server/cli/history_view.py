"""The changes of a model as a table: time, actor, version and effect of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .output import plain, table

if TYPE_CHECKING:
    from rich.table import Table

_ROLLOUT: Final = "rollout."
_NAMES: Final = {"canary": "canary", "shadow": "shadow", "ab": "A/B test"}


def history_view(records: list[dict[str, Any]]) -> Table:
    """The table; newest first, as the records come."""
    made = table("time", "by", "action", "version", "change", "reason")
    for one in records:
        cells = (
            one["time"],
            one["actor"],
            action_of(one),
            version_of(one),
            change_of(one),
            one["reason"],
        )
        made.add_row(*map(plain, cells))
    return made


def action_of(record: dict[str, Any]) -> str:
    """The action of a record, with the kind of a rollout."""
    action: str = record["action"]
    if not action.startswith(_ROLLOUT):
        return action
    kind = record["evidence"].get("rollout", {}).get("kind", "rollout")
    return f"{_NAMES.get(kind, kind)} {action.removeprefix(_ROLLOUT)}"


def version_of(record: dict[str, Any]) -> str:
    """The version of a record; of a rollout the candidate and the stable version."""
    evidence = record["evidence"]
    version = evidence.get("version")
    if version is None:
        moved = [one for one in (record["after"] or {}).values() if type(one) is int]
        version = moved[0] if len(moved) == 1 else None
    stable = evidence.get("rollout", {}).get("stable")
    if version is None:
        return ""
    if stable is None or not record["action"].startswith(_ROLLOUT):
        return str(version)
    return f"{version} (stable {stable})"


def change_of(record: dict[str, Any]) -> str:
    """Which names moved, from where to where; of a rollout its phase and share."""
    before, after = record["before"] or {}, record["after"] or {}
    return ", ".join(
        f"{name} {_shown(name, before.get(name))} → {_shown(name, after[name])}"
        for name in after
        if before.get(name) != after[name]
    )


def production_text(found: dict[str, Any]) -> str:
    """The versions in production at a time."""
    if found["version"] is None:
        return f"{found['model']}: nothing was in production at {found['at']}"
    reason = f" ({found['reason']})" if found["reason"] else ""
    return (
        f"{found['model']}: version {found['version']} at {found['at']}, since {found['time']} "
        f"by {found['actor']}: {found['action']}{reason}"
    )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g} %" if name == "percent" else str(value)
