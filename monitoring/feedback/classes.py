"""Translates a label into the spelling of the model's own output.

People write labels as their tools do: ``True``, ``"TRUE"``, ``1``, ``1.0``, ``"1.0"``, ``" 1"``;
names of classes where the model gives their numbers, or the other way round. What a label means
follows from what the model gives, so the same rule serves every border that labels come in by.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .label import class_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import Value
    from .outputs import Predictions

#: Classes of a version that are remembered; beyond that any label may be one.
MAX_CLASSES: Final = 1000
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
#: A text that is a number and nothing else: ``"01"`` may be a code, and is not 1.
_PLAIN_NUMBER: Final = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS: Final = {"true": 1, "false": 0}


def number_of(label: Value) -> float | None:
    """The number that a label says; ``None`` if it says none."""
    if not isinstance(label, str):
        return float(label)
    text = label.strip()
    if text.lower() in _BOOLEANS:
        return float(_BOOLEANS[text.lower()])
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def plain_name(value: Any) -> str:
    """A class in one spelling: numbers and truth values as digits, texts without blanks around."""
    name = class_name(value).strip()
    if name.lower() not in _BOOLEANS and not _PLAIN_NUMBER.fullmatch(name):
        return name
    number = number_of(name)
    return name if number is None else class_name(number)


@dataclass(slots=True)
class Classes:
    """The known classes of a version, learnt from its predictions.

    Attributes:
        texts: Whether the model gives texts; ``None`` while it is unknown.
        closed: Whether `seen` has all classes.
        seen: Classes as the model spells them.
    """

    texts: bool | None = None
    closed: bool = False
    seen: set[str] = field(default_factory=set)

    def learn(self, predictions: Predictions) -> None:
        """Learn classes from the predictions of a batch."""
        values = set(predictions.values)
        self.closed = bool(predictions.classes)
        if self.closed:
            self.seen = set(map(class_name, predictions.classes))
        elif len(self.seen) <= MAX_CLASSES:
            self.seen.update(map(class_name, values))
        if values:
            # Texts if there was ever one, as after a change of options: any label may be one then.
            self.texts = bool(self.texts) or any(isinstance(one, str | bytes) for one in values)

    def spell(self, label: Value, predicted: str, declared: Iterable[Any]) -> str | None:
        """The class that a label means, as the model spells it.

        Args:
            label: The label as it was sent.
            predicted: The predicted class of this row.
            declared: ``classes`` of ``model.toml``: the class of each column, in order.

        Returns:
            ``None`` if it is no class of the model.
        """
        names = [class_name(one) for one in declared]
        texts = number_of(predicted) is None if self.texts is None else self.texts
        name = self._text(label, predicted, names) if texts else self._number(label, names)
        allowed = self._allowed(names, texts=texts)
        return None if allowed is not None and name not in {*allowed, predicted} else name

    def is_new(self, name: str) -> bool:
        """True if the model has never given this class, of those that it has."""
        return not self.closed and len(self.seen) <= MAX_CLASSES and name not in self.seen

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values, for a restart."""
        return {"texts": self.texts, "closed": self.closed, "seen": sorted(self.seen)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Classes:
        """The reverse of `to_json`."""
        return cls(content["texts"], content["closed"], set(content["seen"]))

    def _allowed(self, names: list[str], *, texts: bool) -> set[str] | None:
        """All possible classes; ``None`` if they are unknown."""
        if names and not texts and any(number_of(one) is None for one in names):
            return {*self.seen, *(class_name(place) for place in range(len(names)))}
        return {*self.seen, *names} if names or self.closed else None

    def _text(self, label: Value, predicted: str, names: list[str]) -> str | None:
        known = {*self.seen, *names, predicted}
        name = class_name(label)
        if name in known:
            return name
        plain = plain_name(label)
        alike = {one for one in known if plain_name(one) == plain}
        if len(alike) == 1:
            return alike.pop()
        if alike:
            return None  # it may be any of them
        numbers = any(number_of(one) is not None for one in known)
        place = number_of(label)
        if names and not numbers and place is not None and place.is_integer():
            return names[int(place)] if 0 <= place < len(names) else None
        # Without a list of classes the label may be one that was never predicted, but a number is
        # none where all classes are words.
        return None if place is not None and not numbers else name.strip()

    def _number(self, label: Value, names: list[str]) -> str | None:
        number = number_of(label)
        if number is not None:
            name = class_name(number)
            return name if number.is_integer() or name in self.seen else None
        places = [place for place, one in enumerate(names) if plain_name(one) == plain_name(label)]
        return class_name(places[0]) if len(places) == 1 else None
