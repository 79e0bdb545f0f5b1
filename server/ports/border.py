"""What both ports ask of a request before it is routed, and how they point to their own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from penstock.server.config.hosts import AllowedHosts
from penstock.server.config.prefix import public_prefix

from .paths import below, path_of, sent_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import Scope

    from penstock.server.config.config import ServerConfig
    from penstock.server.errors import ApiError

DOCS: Final = "/docs"
#: For caches: the answer depends on how a proxy says where the client sees this server.
BY_PREFIX: Final = {"vary": "x-forwarded-prefix"}


class Border:
    """The border of a port.

    Args:
        hosts: Hosts that requests may name; by default any.
        root_path: Prefix of all paths as clients see them; see the option.
        routes: Further paths, each with the path of this server that it stands for.
    """

    def __init__(
        self,
        hosts: AllowedHosts | None = None,
        root_path: str = "",
        routes: Mapping[str, str] | None = None,
    ) -> None:
        self.hosts = hosts or AllowedHosts("*", "")
        self.root_path = root_path.rstrip("/")
        self.routes = dict(routes or {})

    @classmethod
    def of(
        cls, config: ServerConfig, bound: str, routes: Mapping[str, str] | None = None
    ) -> Border:
        """The border that a configuration describes.

        Args:
            config: Configuration of the server.
            bound: The address that the port listens on.
            routes: As for the class.
        """
        return cls(AllowedHosts(config.allowed_hosts, bound), config.root_path, routes)

    def refusal(self, scope: Scope) -> ApiError | None:
        """Why a request is refused because of the host that it names; ``None`` if it may pass."""
        return self.hosts.refusal(scope["headers"], scope.get("http_version", "1.1"))

    def path(self, scope: Scope) -> str:
        """The canonical path of a request, below every root.

        Raises:
            InvalidRequest: It has none.
        """
        path = below(path_of(scope), self.root_path)
        return self.routes.get(path, path)

    def prefix(self, scope: Scope) -> str:
        """What stands before each path for the client who asks; empty, or ``/`` and segments."""
        return public_prefix(scope["headers"], scope.get("root_path", ""), self.root_path)

    def home(self, scope: Scope, page: str = DOCS) -> Response:
        """From the root of the server to its page."""
        prefix = self.prefix(scope)
        return RedirectResponse(prefix + page if prefix else page[1:], headers=BY_PREFIX)

    def without_slash(self, scope: Scope, path: str) -> Response | None:
        """From the page with a slash behind it to the page, whose links are relative to it.

        Args:
            scope: Scope of the request.
            path: Its canonical path.
        """
        if path == DOCS and (sent_path(scope) or b"").endswith(b"/"):
            return RedirectResponse(f"..{DOCS}")
        return None
