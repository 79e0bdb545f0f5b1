"""What the process of an export is told."""

from __future__ import annotations

from typing import Final

import msgspec

#: Kinds of messages: the order; then its data, or why there are none.
ORDER: Final = 1
DONE: Final = 2
FAILED: Final = 3


class ExportOrder(msgspec.Struct, frozen=True):
    """One export.

    Attributes:
        state: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds; labels received earlier are left out.
        place: Directory or URL of a store that takes the file.
        name: Name of the file.
    """

    state: str
    model: str
    since: float
    place: str
    name: str

    @property
    def parquet(self) -> bool:
        """Whether the file is Parquet; else it is CSV."""
        return self.name.endswith(".parquet")
