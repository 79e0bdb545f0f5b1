"""The loaded version that gates are about: it answers rows as the server would."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.batching.contained import text_of
from penstock.monitoring.feedback.outputs import read_predictions
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.codecs import rows as row_codec
from penstock.server.codecs.csv_rows import read_rows
from penstock.server.codecs.signature import WireSignature
from penstock.server.errors import ApiError
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.monitoring.feedback.options import FeedbackOptions
    from penstock.monitoring.feedback.outputs import Predictions
    from penstock.runtimes.contract import Array, Model, Signature

    from .heldout import HeldOut


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded version.

    Attributes:
        name: Name of the model.
        version: Number of the version.
        model: The model.
        signature: With all names of columns and classes that are known.
        max_rows: Most rows of a run.
    """

    name: str
    version: int
    model: Model
    signature: Signature
    max_rows: int

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(one.name for one in self.signature.outputs)

    def inputs_of(self, heldout: HeldOut) -> list[Array | None]:
        """The held-out rows as tensors, one for each input.

        Columns that the model does not have are left out, but a column that it has must be there.
        A model whose columns have no names takes all columns, in the order of the file.

        Raises:
            ModelRefused: A row is none of the model's; the message names row and column.
        """
        wire = WireSignature(self.signature, self.name, str(self.version))
        names = set(wire.row_columns.names)
        parts: list[list[Array | None]] = []
        step = max(1, min(1024, wire.max_rows))
        for start in range(0, len(heldout.records), step):
            records = heldout.records[start : start + step]
            if names:
                records = [{key: row[key] for key in row if key in names} for row in records]
            try:
                if heldout.is_text:
                    listed = read_rows(_csv(records), wire.row_columns)
                else:
                    listed = list(records) if names else [list(row.values()) for row in records]
                parts.append(list(row_codec.of_rows(listed, wire).inputs))
            except ApiError as error:
                raise ModelRefused(f"held-out rows from {start + 1} on: {error}") from None
        return [
            None if any(one is None for one in column) else np.concatenate(column)
            for column in zip(*parts, strict=True)
        ]

    def run(self, inputs: Sequence[Array | None]) -> list[Array]:
        """The outputs for rows, in runs as large as the server's.

        Raises:
            ModelRefused: It fails at them.
        """
        rows = next(len(one) for one in inputs if one is not None)
        step = self.max_rows if self.signature.rows_axis or self.signature.batch_axis else rows
        parts = []
        for start in range(0, rows, step):
            chosen = [None if one is None else one[start : start + step] for one in inputs]
            try:
                parts.append(self.model.execute(chosen, self.output_names))
            except Exception as error:  # noqa: BLE001  a plug-in may raise anything
                last = min(start + step, rows)
                raise ModelRefused(
                    f"the model fails at rows {start + 1} to {last}: {text_of(error)[:500]}"
                ) from None
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def predictions(self, outputs: Sequence[Array], options: FeedbackOptions) -> Predictions:
        """The predictions in outputs, as labels are compared with.

        Raises:
            ModelRefused: They are not understood.
        """
        rows = len(outputs[0])
        sample = BatchSample(
            *(self.name, str(self.version), 0.0, [b""], [0, rows], [200], [0.0]),
            *((), (), self.output_names, outputs, [0.0]),
        )
        found = read_predictions(sample, options)
        if found is None:
            raise ModelRefused(
                "no output is understood as a prediction; name it in model.toml: "
                '[feedback] prediction = "…" or score = "…"'
            )
        return found


def _csv(records: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()
