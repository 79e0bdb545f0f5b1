"""The pages' templates: files beside this module, rendered by Jinja2 with every value escaped.

Jinja2 is loaded by the first page that is rendered (40 ms, 2 MB): a worker that nobody asks for
its page never loads it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .markup import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

#: The folder of the templates, in the package ``penstock.server.page``.
FOLDER: Final = "templates"


def render(template: str, **values: object) -> Markup:
    """Render a template.

    Args:
        template: Name of its file.
        values: Its variables; a missing one is an error (``jinja2.UndefinedError``).

    Returns:
        Markup: it may stand in another page as it is.
    """
    from markupsafe import Markup  # with Jinja2, by the first page only

    return Markup(environment().get_template(template).render(values))  # noqa: S704 - was escaped


@cache
def environment() -> Environment:
    """The environment of all templates: escapes, is strict, and reads no other folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("penstock.server.page", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """A value before it is escaped; text must be fit for a page, markup is already."""
    return printable(value) if type(value) is str else value
