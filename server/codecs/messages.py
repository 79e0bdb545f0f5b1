"""A decoded inference request, the same whatever wire format it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.runtimes.contract import Array

#: Layouts of an answer: as the codec has it, as plain arrays for each row, by output, as tensors.
DEFAULT: Final = "default"
PLAIN: Final = "plain"
COLUMNS: Final = "columns"
TENSORS: Final = "tensors"


class InferRequest:
    """What a client asks for: tensors in, names of the tensors wanted back.

    Attributes:
        id: Echoed in the response.
        inputs: One C-contiguous array per input of the signature, in that order and of exactly its
            datatype; ``None`` where an optional input was left out. May be read-only.
        rows: Size of axis 0 where it is rows, else 1; what the log, labels and figures count.
        outputs: Wanted names in signature order; the very object `WireSignature.all_outputs` when
            all are wanted.
        response_order: Positions in ``outputs`` in the order the client asked for, or ``None``
            when that is the order of ``outputs``.
        binary_outputs: Names to answer as raw bytes, or ``None`` for what is usual in the protocol.
        timeout_microseconds: The client's own limit, or ``None``.
        priority: The client's priority, or ``None``.
        classes: Number of classes to answer of each output that is ranked, by its name; ``None``
            for outputs as they are. See `penstock.server.codecs.classification`.
        event_time: The parameter that `WireSignature.event_time` names, as it came.
        key: Values that must be equal to share a batch: ``None`` when the signature fixes every
            shape and all outputs are wanted.
    """

    __slots__ = (
        "binary_outputs",
        "classes",
        "event_time",
        "id",
        "inputs",
        "key",
        "outputs",
        "priority",
        "response_order",
        "rows",
        "timeout_microseconds",
    )

    def __init__(
        self,
        inputs: list[Array | None],
        rows: int,
        outputs: tuple[str, ...],
        key: Hashable | None = None,
        *,
        id: str | None = None,  # noqa: A002  the protocol's word
        response_order: tuple[int, ...] | None = None,
        binary_outputs: frozenset[str] | None = None,
        timeout_microseconds: int | None = None,
        priority: int | None = None,
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.outputs = outputs
        self.key = key
        self.id = id
        self.response_order = response_order
        self.binary_outputs = binary_outputs
        self.timeout_microseconds = timeout_microseconds
        self.priority = priority
        self.event_time: object = None
        self.classes: dict[str, int] | None = None

    @property
    def plain(self) -> bool:
        """Whether `Codec.encode_rows` may answer it: one row, outputs as they are and in order."""
        return (
            self.rows == 1
            and self.binary_outputs is None
            and self.response_order is None
            and self.classes is None
        )

    @property
    def plain_binary(self) -> bool:
        """Whether `binary.encode_rows` may answer it: one row, every output as raw bytes."""
        binary = self.binary_outputs
        return (
            binary is not None
            and self.rows == 1
            and self.id is None
            and self.response_order is None
            and self.classes is None
            and len(binary) == len(self.outputs)
        )


class RowsRequest(InferRequest):
    """A request whose answer has the layout that its body asks for.

    Attributes:
        layout: `DEFAULT`, `PLAIN`, `COLUMNS` or `TENSORS`.
    """

    __slots__ = ("layout",)

    def __init__(
        self,
        inputs: list[Array | None],
        rows: int,
        outputs: tuple[str, ...],
        key: Hashable | None = None,
    ) -> None:
        super().__init__(inputs, rows, outputs, key)
        self.layout = DEFAULT

    @classmethod
    def of(cls, request: InferRequest, layout: str) -> RowsRequest:
        """The same request, with an answer of another layout."""
        made = cls(request.inputs, request.rows, request.outputs, request.key)
        made.id = request.id
        made.response_order = request.response_order
        made.binary_outputs = request.binary_outputs
        made.timeout_microseconds = request.timeout_microseconds
        made.priority = request.priority
        made.event_time = request.event_time
        made.classes = request.classes
        made.layout = layout
        return made

    @property
    def plain_binary(self) -> bool:
        """Never: the answer is encoded by the codec of the request."""
        return False

    @property
    def plain(self) -> bool:
        """Whether `Codec.encode_rows` may answer it: one row, in the layout of the codec."""
        return self.rows == 1 and self.layout is DEFAULT
