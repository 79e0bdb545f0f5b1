"""The secret of a target: read for each request, and shown nowhere."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_bounded

from .contract import TargetFailed

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES: Final = 64 * 1024
#: A shorter part of a secret is not looked for in texts: it would be found in half of them.
_SHORTEST: Final = 4


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is.

    Attributes:
        file: File that holds it.
        variable: Variable of the environment that holds it.
    """

    file: Path | None = None
    variable: str = ""

    def read(self) -> str:
        """The secret; empty if the target has none.

        Raises:
            TargetFailed: It cannot be read, or is empty.
        """
        if self.file is None and not self.variable:
            return ""
        where = f"secret_file {self.file}" if self.file is not None else f"${self.variable}"
        try:
            # The configuration names the variable, so that no secret is in the configuration.
            text = (
                read_bounded(self.file, _MAX_BYTES).decode()
                if self.file is not None
                else os.environ.get(self.variable, "")
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise TargetFailed(f"{where} cannot be read: {reason}") from None
        if not text.strip():
            raise TargetFailed(f"{where} is empty, expected the secret of the target")
        return text.strip()


def hidden(text: str, secret: str) -> str:
    """A text without the secret, its base64, and the password in it."""
    encoded = base64.b64encode(secret.encode()).decode()
    for part in sorted({secret, encoded, *secret.split(":", 1)}, key=len, reverse=True):
        if len(part) >= _SHORTEST:
            text = text.replace(part, "***")
    return text
