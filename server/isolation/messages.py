"""What a process and the process of a model say to each other.

| kind | from | content |
|---|---|---|
| `LOAD` | server | a pickled `Order`, and the first segment as a file |
| `ASK` | model | size of the signature, as JSON in the segment: which golden requests are there? |
| `EXAMPLES` | server | the golden requests, pickled |
| `LOADED` | model | size of the signature and the metadata, as JSON in the segment |
| `REFUSED` | model | JSON: the error of the load |
| `RUN` | server | numbers: how many outputs, which ones, and the inputs (see `tensors`) |
| `DONE` | model | numbers of the outputs |
| `FAILED` | model | JSON: the error of the run |
| `NEED` | model | a number: how many bytes a segment must have |
| `SEGMENT` | server | another segment as a file, in place of the one before |

The server pickles; the model never does, and what comes from it is checked. This module is used by
the child, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.runtimes.contract import LoadOptions

LOAD: Final = 1
EXAMPLES: Final = 2
RUN: Final = 3
SEGMENT: Final = 4
LOADED: Final = 11
REFUSED: Final = 12
ASK: Final = 13
DONE: Final = 14
FAILED: Final = 15
NEED: Final = 16


@dataclass(frozen=True, slots=True)
class Order:
    """What the process of a model shall load.

    Attributes:
        runtime: Class of the runtime, as module and name.
        path: The file that `Runtime.find` gave.
        options: For the load, without golden requests.
        search_path: Directories of modules; empty leaves it to the interpreter.
        idle: Whether the process runs only when nobody else wants to, once the model is loaded.
    """

    runtime: tuple[str, str]
    path: str
    options: LoadOptions
    search_path: tuple[str, ...]
    idle: bool = False
