"""Reads the tables of messages: from lines of fields to the descriptors of Protocol Buffers.

A table maps the name of a message to its fields, one a line::

    "InferParameter": "bool bool_param 1 in parameter_choice",
    "ModelInferRequest.InferInputTensor": '''
        string name 1
        repeated int64 shape 3
        map InferParameter parameters 4
    ''',

A line has a type, a name and a number. ``repeated`` stands before the type of a list, ``map``
before the type of the values of a map whose keys are strings. ``in`` names the oneof of a field. A
dot in the name of a message says that it is declared inside another one, which comes before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE: Final = "inference"
_SCALARS: Final = (
    "bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64",
)  # fmt: skip


def file_of(
    name: str, messages: Mapping[str, str], enums: Mapping[str, tuple[str, ...]]
) -> FileDescriptorProto:
    """A file of messages and enums.

    Args:
        name: Name of the file, for reflection.
        messages: Fields by the name of their message.
        enums: Names of the values, from number 0 on, by the name of their enum.
    """
    file = FileDescriptorProto(name=name, package=PACKAGE, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for path, lines in messages.items():
        outer, _, own = path.rpartition(".")
        message = made[outer].nested_type.add() if outer else file.message_type.add()
        message.name = own
        made[path] = message
        for line in filter(None, map(str.strip, lines.splitlines())):
            _add_field(message, path, line, messages, enums)
    for path, values in enums.items():
        enum = file.enum_type.add(name=path)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    return file


def _add_field(
    message: DescriptorProto,
    path: str,
    line: str,
    messages: Mapping[str, str],
    enums: Mapping[str, tuple[str, ...]],
) -> None:
    words = line.split()
    label, kind = (words[0], words[1]) if words[0] in {"repeated", "map"} else ("", words[0])
    name, number, *oneof = words[2:] if label else words[1:]
    field = message.field.add(name=name, number=int(number))
    several = FieldDescriptorProto.LABEL_REPEATED
    field.label = several if label else FieldDescriptorProto.LABEL_OPTIONAL
    if label == "map":
        entry = message.nested_type.add(name=f"{_camel(name)}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=FieldDescriptorProto.TYPE_STRING, label=1)
        _set_type(entry.field.add(name="value", number=2, label=1), path, kind, messages, enums)
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{path}.{entry.name}"
        return
    _set_type(field, path, kind, messages, enums)
    if oneof:
        names = [one.name for one in message.oneof_decl]
        if oneof[1] not in names:
            message.oneof_decl.add(name=oneof[1])
            names.append(oneof[1])
        field.oneof_index = names.index(oneof[1])


def _set_type(
    field: FieldDescriptorProto,
    path: str,
    kind: str,
    messages: Mapping[str, str],
    enums: Mapping[str, tuple[str, ...]],
) -> None:
    if kind in _SCALARS:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        return
    enum = kind in enums
    field.type = FieldDescriptorProto.TYPE_ENUM if enum else FieldDescriptorProto.TYPE_MESSAGE
    inner = f"{path}.{kind}"
    field.type_name = f".{PACKAGE}.{inner if inner in messages else kind}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
