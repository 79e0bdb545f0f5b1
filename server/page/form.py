"""What a reader of a page can do: forms, folded away under the words that name their effect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Attributes:
        name: In the request.
        label: For people; empty for a field that is not shown.
        value: At first.
        options: The values to choose from; empty for free text.
        required: Whether the form cannot be sent without it.
        secret: Whether what is typed is hidden.
        hint: An example, shown while the field is empty.
        lines: Of a text of several lines; 0 for one line.
    """

    name: str
    label: str = ""
    value: str = ""
    options: tuple[str, ...] = ()
    required: bool = False
    secret: bool = False
    hint: str = ""
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """A form.

    Attributes:
        action: Path that it is sent to.
        button: Name of the action, in a few words.
        effect: Effect of sending it, in a sentence.
        fields: Its fields.
        tone: ``bad`` for what takes something away.
        open: Whether it is unfolded at first.
        method: ``post``, or ``get`` for what only looks.
    """

    action: str
    button: str
    effect: str = ""
    fields: tuple[Field, ...] = ()
    tone: str = ""
    open: bool = False
    method: str = "post"
