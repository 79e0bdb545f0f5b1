"""The columns of the output of a batch job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.server.codecs.signature import WireSignature

#: The last column: why a row was not answered.
ERROR: Final = "error"


class OutputColumns:
    """Names of the columns: those that are carried, the outputs of the model, and `ERROR`.

    A carried column with the name of an output is called ``NAME_input``.

    Attributes:
        carried: Names in the input.
        carried_as: Names in the output.
        names: All names of the output.
    """

    def __init__(self, carried: tuple[str, ...], wire: WireSignature) -> None:
        self.carried = carried
        taken = {*wire.all_outputs, ERROR}
        named = []
        for name in carried:
            unique = name
            while unique in taken:
                unique += "_input"
            taken.add(unique)
            named.append(unique)
        self.carried_as = tuple(named)
        self.names = (*named, *wire.all_outputs, ERROR)
