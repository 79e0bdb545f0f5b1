"""The error of a command that failed: one line for people, and an exit status."""

from __future__ import annotations

from .exits import Exit


class CommandFailed(Exception):
    """A command failed; one line says why, and what to do.

    Args:
        message: The line, or the error that it is made from.
        status: Exit status.
    """

    def __init__(self, message: object, status: Exit = Exit.FAILED) -> None:
        if isinstance(message, OSError) and message.filename and message.strerror:
            message = f"{message.filename}: {message.strerror}"
        super().__init__(str(message).strip())  # of http.client, some end a line
        self.status = status
