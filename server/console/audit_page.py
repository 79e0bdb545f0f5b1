"""The page of the audit log: who did what, and whether the chain of records holds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.server.page.markup import link
from penstock.server.page.page import Page

from .model_page import done

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .visit import Visit


def audit_page(found: Mapping[str, Any], visit: Visit) -> Page:
    """The page.

    Args:
        found: As ``GET /admin/audit`` gives it.
        visit: Visit that the page is for.
    """
    page = Page("Audit", "each record holds the hash of the one before it")
    section = page.section("Chain")
    checked = found["verification"]
    if checked is None:
        section.text(link("Follow the chain of all records", f"{visit.at('audit')}?verify=true"))
    elif checked["problem"]:
        words = f"Broken after record {checked['records']}: {checked['problem']}"
        section.callout(words, "bad")
    else:
        words = f"The chain of all {checked['records']} records holds; head {checked['head']}"
        section.callout(words, "good")
    records = found["records"]
    page.section(f"The last {len(records)} records").table(
        ["record", "when (UTC)", "who", "model", "what", "reason"],
        [
            [
                str(one["seq"]),
                one["time"][:19].replace("T", " "),
                one["actor"],
                link(one["model"], visit.at("models", one["model"])) if one["model"] else "",
                done(one),
                one["reason"],
            ]
            for one in records
        ],
    )
    return page
