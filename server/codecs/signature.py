"""A model's signature, prepared for the wire once per loaded version."""

from __future__ import annotations

import math
import struct
from copy import copy
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.runtimes.contract import VARIABLE
from penstock.runtimes.datatypes import NUMPY_OF

from .bfloat16 import BF16, HALVES
from .packing import pack
from .row_columns import RowColumns

if TYPE_CHECKING:
    from collections.abc import Hashable

    from penstock.runtimes.contract import Array, Signature, TensorSpec

#: Pieces of responses remembered by shape; models of open shapes would grow them without end.
MAX_REMEMBERED = 64

#: Runs that one request may need; each is an object on the event loop.
MAX_RUNS: Final = 4096
#: Rows in one request to a model whose largest batch nobody said.
MAX_ROWS: Final = 64 * MAX_RUNS

#: OIP v2 datatype -> `struct` format character, for the datatypes that have one.
STRUCT_CODE: Final[dict[str, str]] = {
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


class WireInput:
    """One input as decoders need it.

    Attributes:
        position: Index in the signature.
        batched: Whether axis 0 is rows that may share a run with those of other requests; never so
            for an optional input.
        by_rows: Whether axis 0 is rows; never so for an optional input.
        name: As the model calls it.
        datatype: The OIP v2 datatype.
        dtype: The numpy type that holds it.
        code: The `struct` format character, empty for BOOL and BYTES.
        is_bytes: Whether the datatype is BYTES.
        shape: Expected dimensions, ``-1`` where open.
        tail: Dimensions after the first, when all of them are fixed and the first is open: a row
            of the commonest kind of input, which has a shorter way through the checks.
        tail_size: Elements in such a row; -1 for inputs of another kind.
        pack: Makes the bytes of one such row from its elements, where `code` is not empty.
        optional: May be left out.
        columns: Names of the elements of a row, where they are known.
    """

    __slots__ = (
        "batched",
        "by_rows",
        "code",
        "columns",
        "datatype",
        "dtype",
        "is_bytes",
        "name",
        "optional",
        "pack",
        "position",
        "shape",
        "tail",
        "tail_size",
    )

    def __init__(
        self, position: int, spec: TensorSpec, *, batch_axis: bool, rows_axis: bool = False
    ) -> None:
        self.position = position
        self.batched = batch_axis and not spec.optional
        self.by_rows = (batch_axis or rows_axis) and not spec.optional
        self.name = spec.name
        self.datatype = spec.datatype
        self.dtype = NUMPY_OF[spec.datatype]
        self.code = STRUCT_CODE.get(spec.datatype, "")
        self.is_bytes = spec.datatype == "BYTES"
        self.shape = spec.shape
        regular = spec.shape[:1] == (VARIABLE,) and VARIABLE not in spec.shape[1:]
        self.tail: list[int] | None = list(spec.shape[1:]) if regular else None
        self.tail_size = math.prod(spec.shape[1:]) if regular else -1
        self.pack = struct.Struct(f"<{max(self.tail_size, 0)}{self.code or 'x'}").pack
        self.optional = spec.optional
        self.columns = tuple(one.name for one in spec.columns)

    @property
    def bfloat16(self) -> WireInput | None:
        """The same input as BF16, for a request that sends it so; ``None`` if it is not FP32."""
        if self.datatype != "FP32":
            return None
        narrow = copy(self)
        narrow.datatype, narrow.dtype, narrow.code = BF16, HALVES, ""
        return narrow


class WireOutput:
    """One output as encoders need it.

    Attributes:
        name: As the model calls it.
        datatype: The OIP v2 datatype.
        dtype: The numpy type that holds it.
        is_bytes: Whether the datatype is BYTES.
        heads: Known answers of `head`.
        packed_heads: The same in msgpack.
        labels: The JSON of each class by its position, of an output of labels; ``None`` if no
            classes are known.
        row_template: The JSON of a row whose elements belong to classes, with ``%b`` in place of
            each element; empty if no classes are known.
        classes: Number of classes.
    """

    __slots__ = (
        "classes",
        "datatype",
        "dtype",
        "heads",
        "is_bytes",
        "labels",
        "name",
        "packed_heads",
        "row_template",
    )

    def __init__(self, spec: TensorSpec) -> None:
        self.name = spec.name
        self.datatype = spec.datatype
        self.dtype = NUMPY_OF[spec.datatype]
        self.is_bytes = spec.datatype == "BYTES"
        self.heads: dict[tuple[int, ...], bytes] = {}
        self.packed_heads: dict[tuple[int, ...], bytes] = {}
        columns = spec.columns
        names = [orjson.dumps(one.name).replace(b"%", b"%%") for one in columns]
        self.classes = len(names) if len(spec.shape) > 1 else 0
        self.row_template = b"{%b}" % b",".join(name + b":%b" for name in names)
        self.labels: dict[int, bytes] | None = None
        if len(columns) == 1 and columns[0].categories:
            self.labels = {i: orjson.dumps(one) for i, one in enumerate(columns[0].categories)}

    def head(self, shape: tuple[int, ...]) -> bytes:
        """The JSON of this output from its name to its shape: ``{"name":…,"shape":[…]``."""
        head = self.heads.get(shape)
        if head is None:
            fields = {"name": self.name, "datatype": self.datatype, "shape": shape}
            head = orjson.dumps(fields)[:-1]
            if len(self.heads) < MAX_REMEMBERED:
                self.heads[shape] = head
        return head


class WireSignature:
    """All that the codecs would otherwise compute again for each request.

    Attributes:
        signature: Signature that was prepared.
        model_name: Answered as ``model_name``.
        model_version: Answered as ``model_version``.
        batch_axis: Whether rows of several requests may share a run.
        rows_axis: Whether axis 0 is rows.
        inputs: By name.
        input_names: In signature order.
        optional: The inputs that may be left out.
        outputs: By name.
        all_outputs: Output names in signature order; requests for everything share this object.
        blank: A request's tensors before any was read.
        all_wire_outputs: The same, as `WireOutput`.
        body_templates: Bodies of this version that `penstock.server.http.coalescing` remembers.
        static: Whether every shape but the batch axis is fixed and no input is optional, so that
            any two requests for all outputs can share a batch.
        head: ``{"model_name":…,"model_version":…,`` as bytes.
        numeric: Whether no output is BYTES.
        packed_head: Model, version and the key of the outputs in msgpack.
        templates: Responses of `json` without their data, by outputs and shapes.
        max_rows: Rows in one request; each run takes a batch of them.
        takes_texts: Whether an input is BYTES.
        classified: Signatures of answers with ranked outputs, by the names of these.
        event_time: Parameter with the time at which the inputs were true; empty for none.
    """

    __slots__ = (
        "_row_columns",
        "all_outputs",
        "all_wire_outputs",
        "batch_axis",
        "blank",
        "body_templates",
        "classified",
        "event_time",
        "head",
        "input_names",
        "inputs",
        "max_rows",
        "model_name",
        "model_version",
        "numeric",
        "optional",
        "outputs",
        "packed_head",
        "rows_axis",
        "signature",
        "static",
        "takes_texts",
        "templates",
    )

    def __init__(self, signature: Signature, model_name: str, model_version: str) -> None:
        self.signature = signature
        self.model_name = model_name
        self.model_version = model_version
        self.batch_axis = signature.batch_axis
        self.rows_axis = signature.rows_axis
        axes = {"batch_axis": signature.batch_axis, "rows_axis": signature.rows_axis}
        self.inputs = {
            spec.name: WireInput(position, spec, **axes)
            for position, spec in enumerate(signature.inputs)
        }
        self.input_names = tuple(self.inputs)
        self.optional = tuple(spec for spec in self.inputs.values() if spec.optional)
        self.outputs = {spec.name: WireOutput(spec) for spec in signature.outputs}
        self.all_outputs = tuple(self.outputs)
        self.all_wire_outputs = tuple(self.outputs.values())
        own = 1 if signature.batch_axis else 0
        self.static = not any(
            spec.optional or VARIABLE in spec.shape[own:] for spec in signature.inputs
        )
        self.blank: list[Array | None] = [None] * len(self.inputs)
        identity = {"model_name": model_name, "model_version": model_version}
        self.head = orjson.dumps(identity)[:-1] + b","
        packed = {**identity, "outputs": None}
        self.packed_head = pack(packed)[1:-1]
        self.templates: dict[Hashable, bytes] = {}
        self._row_columns: RowColumns | None = None
        self.event_time = ""
        self.max_rows = MAX_ROWS
        self.takes_texts = any(spec.is_bytes for spec in self.inputs.values())
        self.classified: dict[tuple[str, ...], WireSignature] = {}
        self.body_templates: dict[Hashable, Any] = {}  # their classes know this one
        self.numeric = not any(output.is_bytes for output in self.all_wire_outputs)

    @property
    def row_columns(self) -> RowColumns:
        """The columns of a row with names; made for the first such row."""
        if self._row_columns is None:
            self._row_columns = RowColumns(self.signature)
        return self._row_columns
