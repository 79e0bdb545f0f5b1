"""The forms by which a visitor moves a rollout in progress. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import APPROVE, OPERATE
from penstock.server.page.form import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.page.page import Section

    from .visit import Visit

#: Button, effect and look of each action.
_FORMS: Final = {
    "pause": ("Pause", "The shares stay as they are until somebody resumes the rollout.", ""),
    "resume": ("Resume", "A rollout that is paused or held goes on.", ""),
    "promote": ("Promote now", "The candidate becomes stable now, without further evidence.", ""),
    "finish": ("Finish", "A shadow or a comparison ends; stable goes on answering.", ""),
    "abort": ("Abort", "The candidate's share is taken away, for good.", "bad"),
}


def add_actions(section: Section, found: Mapping[str, Any], visit: Visit) -> None:
    """Fill a section with the forms that the visitor may send.

    Args:
        section: A section of the page.
        found: As ``GET …/rollout/report`` gives it.
        visit: Visit that the page is for.
    """
    path = "models", found["model"]
    if visit.may(OPERATE):
        for action, (button, effect, tone) in _FORMS.items():
            section.form(visit.form((*path, f"rollout-{action}"), button, effect, tone=tone))
    if found["requires_approval"] and found["approval"] is None and visit.may(APPROVE):
        digest = found["digest"]
        effect = f"Version {found['candidate']} with the digest {digest} may go on."
        section.form(
            visit.form((*path, "approve"), "Approve", effect, Field("digest", value=digest))
        )
