"""The error of a command that failed: one line for people, and an exit status."""

from __future__ import annotations

from typing import Any

from .exits import Exit


class CommandFailed(Exception):
    """A command failed; one line says why, and what to do.

    Args:
        message: The line, or the error that it is made from.
        status: Exit status.
        code: A word that programs can compare, which does not change with the wording. By default
            that of the error; else ``usage`` for the status of a usage error, and ``failed``.
    """

    def __init__(self, message: object, status: Exit = Exit.FAILED, code: str = "") -> None:
        own = getattr(message, "code", "")
        if not code and isinstance(own, str):
            code = own
        self.code = code or ("usage" if status is Exit.USAGE else "failed")
        if isinstance(message, OSError) and message.filename and message.strerror:
            message = f"{message.filename}: {message.strerror}"
        super().__init__(str(message).strip())  # of http.client, some end a line
        self.status = status

    def told(self) -> dict[str, Any]:
        """The failure as JSON has it: the code, the line, and the exit status."""
        return {"code": self.code, "message": str(self), "exit_status": int(self.status)}
