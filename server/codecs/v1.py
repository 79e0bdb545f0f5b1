"""The codecs of rows: TensorFlow Serving, KServe v1, MLflow, SageMaker, Vertex AI, Azure ML."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from . import classify, columns, invocations, json, predictions, rows
from .messages import COLUMNS, DEFAULT, TENSORS, RowsRequest
from .negotiate import JSON_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .negotiate import Body
    from .signature import WireSignature

    #: Reads a decompressed body for the model of a signature.
    Read = Callable[[bytes | bytearray | memoryview, WireSignature], InferRequest]


class RowsCodec:
    """Rows in, one prediction for each row out; a `penstock.server.codecs.negotiate.Codec`.

    ``POST /v1/models/{model}:predict``.

    Args:
        name: For metrics and logs.
        read: Reads a body.
        named: Whether labels and probabilities are told by the names of their classes, and each
            prediction is an object of the outputs.
    """

    def __init__(self, name: str, read: Read, *, named: bool = False) -> None:
        self.name = name
        self._read = read
        self._named = named

    def decode(
        self,
        body: bytes | bytearray | memoryview,
        wire: WireSignature,
        json_length: int | None,  # noqa: ARG002  the protocol's; rows have no such header
    ) -> InferRequest:
        """See `Codec.decode`."""
        return self._read(body, wire)

    def is_quick(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> bool:
        """See `Codec.is_quick`."""
        return False

    def locate(
        self,
        body: bytes,  # noqa: ARG002  the protocol's
        wire: WireSignature,  # noqa: ARG002  the protocol's
        json_length: int | None,  # noqa: ARG002  the protocol's
    ) -> list[tuple[int, int]]:
        """See `Codec.locate`: no tensor is raw bytes."""
        return []

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        layout = _layout(request)
        if layout is COLUMNS:
            return columns.encode(wire, request, outputs), JSON_HEADERS
        named = self._named and layout is DEFAULT
        return predictions.encode(wire, request, outputs, named=named), JSON_HEADERS

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        texts = predictions.row_texts(wire, requests[0], outputs, named=self._named)
        return [b'{"predictions":[%b]}' % text for text in texts], JSON_HEADERS


class ExamplesCodec(RowsCodec):
    """``:classify`` and ``:regress`` of TensorFlow Serving.

    Args:
        name: For metrics and logs.
        classes: Whether the scores of classes are wanted.
    """

    def __init__(self, name: str, *, classes: bool) -> None:
        super().__init__(name, partial(classify.decode, classes=classes))
        self._classes = classes

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        return classify.encode(wire, request, outputs, classes=self._classes), JSON_HEADERS

    def encode_rows(
        self, wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
    ) -> tuple[Sequence[Body], bytes]:
        """See `Codec.encode_rows`."""
        bodies = [
            self.encode(wire, request, [one[at : at + 1] for one in outputs])[0]
            for at, request in enumerate(requests)
        ]
        return bodies, JSON_HEADERS


class InvocationsCodec(RowsCodec):
    """``POST /invocations`` of MLflow and SageMaker, ``/score`` of Azure ML, and Vertex AI."""

    def encode(
        self, wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
    ) -> tuple[Body, bytes]:
        """See `Codec.encode`."""
        layout = _layout(request)
        if layout is TENSORS:
            return json.encode(wire, request, outputs), JSON_HEADERS
        if layout is COLUMNS:
            return columns.encode(wire, request, outputs, b"predictions"), JSON_HEADERS
        return super().encode(wire, request, outputs)


def _layout(request: InferRequest) -> str:
    return request.layout if isinstance(request, RowsRequest) else DEFAULT


ROWS: Final = RowsCodec("rows", rows.decode, named=True)
#: Answers with plain arrays.
ROWS_PLAIN: Final = RowsCodec("rows", rows.decode)
CLASSIFY: Final = ExamplesCodec("classify", classes=True)
REGRESS: Final = ExamplesCodec("regress", classes=False)
INVOCATIONS: Final = InvocationsCodec("invocations", invocations.decode)
INVOCATIONS_CSV: Final = InvocationsCodec("invocations", invocations.decode_csv)
