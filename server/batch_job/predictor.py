"""Answers the rows of chunks; rows that the server refuses are found by halving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.server.codecs.base64_values import SUFFIX

from .chunk import Answered
from .prediction_port import RowsRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireSignature

    from .chunk import Chunk
    from .prediction_port import PredictionPort
    from .row_encoder import RowEncoder

#: Most rows of one request: many runs of full size.
MAX_ROWS: Final = 4096
#: Most bytes of one request, as far as the size of a row is known: the loop of a worker receives
#: them while others wait.
MAX_BYTES: Final = 256 << 10
#: Taken for an element of text, or of an open dimension.
_UNKNOWN_BYTES: Final = 64


class Predictor:
    """Answers chunks. Its threads may call it at the same time.

    Args:
        port: The server.
        wire: The model's signature.
        encoder: Makes tensors of rows.
    """

    def __init__(self, port: PredictionPort, wire: WireSignature, encoder: RowEncoder) -> None:
        self._port = port
        self._wire = wire
        self._encoder = encoder
        self._texts = [
            at
            for at, one in enumerate(wire.signature.outputs)
            if one.datatype == "BYTES" and not one.name.endswith(SUFFIX)
        ]

    def answer(self, chunk: Chunk) -> Answered:
        """Answer all rows of a chunk that can be answered.

        Raises:
            JobFailed: The server answers no rows any more.
        """
        places, arrays, errors = self._encoder.encode(chunk)
        answers: list[tuple[list[int], list[Array]]] = []
        if places:
            self._ask(places, arrays, answers, errors)
        if len(answers) == 1:
            return Answered(chunk, *answers[0], errors)
        good = [at for own, _ in answers for at in own]
        columns = zip(*(outputs for _, outputs in answers), strict=True)
        return Answered(chunk, good, [np.concatenate(one) for one in columns], errors)

    def _ask(
        self,
        places: list[int],
        arrays: Sequence[Array | None],
        answers: list[tuple[list[int], list[Array]]],
        errors: dict[int, str],
    ) -> None:
        """Ask for rows; if they are refused, for each half of them."""
        try:
            outputs = self._port.predict(self._wire, arrays)
        except RowsRefused as refusal:
            if len(places) == 1:
                errors[places[0]] = str(refusal)
                return
            middle = len(places) // 2
            for half in (slice(0, middle), slice(middle, None)):
                parts = [None if one is None else one[half] for one in arrays]
                self._ask(places[half], parts, answers, errors)
            return
        if any(len(one) != len(places) for one in outputs):
            for at in places:
                errors[at] = "the model does not give one answer for each row"
            return
        bad = self._unreadable(outputs, len(places))
        if bad:
            for at in bad:
                errors[places[at]] = "the model gives a text that is not UTF-8"
            kept = [at for at in range(len(places)) if at not in bad]
            places, outputs = [places[at] for at in kept], [one[kept] for one in outputs]
        if places:
            answers.append((places, outputs))

    def _unreadable(self, outputs: list[Array], rows: int) -> set[int]:
        """The rows with a text that no file could hold."""
        bad = set()
        for place in self._texts:
            for row in range(rows):
                try:
                    for text in outputs[place][row : row + 1].ravel().tolist():
                        text.decode()
                except UnicodeDecodeError:
                    bad.add(row)
        return bad


def rows_per_request(wire: WireSignature) -> int:
    """Rows in one request: enough to fill runs, few enough not to hold a worker's loop."""
    size = 0
    for one in wire.row_columns.inputs:
        element = one.dtype.itemsize if one.spec.datatype != "BYTES" else _UNKNOWN_BYTES
        size += element * (one.size if one.size >= 0 else _UNKNOWN_BYTES)
    return max(1, min(MAX_ROWS, MAX_BYTES // max(1, size)))
