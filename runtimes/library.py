"""The library that a runtime needs, which need not be installed.

A runtime recognises its files without its library, so that push, status and log can say which
installation is missing. `Library.load` is called in `Runtime.load` only.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from .contract import ModelLoadError

#: The distribution whose extras bring the libraries.
_DISTRIBUTION: Final = "penstock-server"


class MissingLibrary(ModelLoadError):
    """A runtime is there, but not the library that it needs. The message has the command."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library and where it comes from.

    Attributes:
        module: Name of the module to import.
        extra: The extra of ``penstock-server`` that installs it; empty if every installation has
            it.
        distributions: Names of the distributions that may have brought it, the usual one first.
    """

    module: str
    extra: str
    distributions: tuple[str, ...]

    def load(self) -> Any:
        """Import the library.

        Raises:
            MissingLibrary: It is not installed; the message says how to install it.
            ModelLoadError: It is installed and cannot be imported.
        """
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            raise MissingLibrary(
                f"{self.module} is not installed{_what(error, self.module)}: run {self.command}, "
                "then restart the server"
            ) from error
        except Exception as error:  # a broken installation may raise anything
            raise ModelLoadError(f"{self.module} cannot be imported: {error!r}") from error

    @property
    def command(self) -> str:
        """The command that installs the library."""
        if self.extra:
            return f"pip install '{_DISTRIBUTION}[{self.extra}]'"
        return f"pip install {self.distributions[0]}"

    @property
    def version(self) -> str:
        """Name and version of the installed distribution; empty if none is installed."""
        from importlib.metadata import PackageNotFoundError, version  # slow and large

        for name in self.distributions:
            with suppress(PackageNotFoundError):
                return f"{name} {version(name)}"
        return ""


def _what(error: ModuleNotFoundError, module: str) -> str:
    """Which module is missing, if it is another one that the library needs."""
    return "" if error.name in {None, module} else f" completely (no module {error.name!r})"


def library_of(runtime: object) -> Library | None:
    """The library that the loads of a runtime need; ``None`` if the runtime does not say."""
    found = getattr(runtime, "library", None)
    return found if isinstance(found, Library) else None
