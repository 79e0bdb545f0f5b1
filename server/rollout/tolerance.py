"""``[rollout.tolerance]`` of ``model.toml``: how far a shadow's answers may be from the primary's.

[rollout.tolerance]
absolute = 0.001                     # numbers may differ by absolute + relative * |primary's|
relative = 0.01

[rollout.tolerance.outputs.logits]   # the same for one output, and how it is compared
compare = "class"                    # or "number", "ignore", or "auto", the default
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from penstock.monitoring.files.config_file import MAX_NUMBER

#: Of numbers, where nothing is said.
ABSOLUTE: Final = 1e-6
RELATIVE: Final = 0.05

#: How an output may be compared.
COMPARISONS: Final = ("auto", "class", "number", "ignore")

_Limit = Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER, description="a number, at least 0")]


@dataclass(frozen=True, slots=True)
class OutputTolerance:
    """The tolerated difference of one output.

    Attributes:
        absolute: Largest difference; ``None`` if nobody said.
        relative: The same, as a share of the primary's value; added to the absolute one.
        compare: ``class`` compares the column with the largest value, ``number`` every value,
            ``ignore`` nothing. ``auto`` takes integers, booleans and strings as classes, so also
            rows of two and more values in 0 to 1 that add up to 1, and all else as numbers.
    """

    absolute: _Limit | None = None
    relative: _Limit | None = None
    compare: Annotated[
        str,
        msgspec.Meta(
            pattern=rf"^({'|'.join(COMPARISONS)})\Z",
            description=f"one of {', '.join(COMPARISONS)}",
        ),
    ] = "auto"

    @property
    def given(self) -> bool:
        """Whether somebody said how far numbers may differ."""
        return self.absolute is not None or self.relative is not None

    @property
    def limits(self) -> tuple[float, float]:
        """Absolute and relative; what is not said is 0 if the other is, else the default."""
        if self.given:
            return self.absolute or 0.0, self.relative or 0.0
        return ABSOLUTE, RELATIVE


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The tolerated difference of each output.

    Attributes:
        absolute: Largest difference of outputs without a limit of their own.
        relative: The same, as a share of the primary's value.
        outputs: By name.
    """

    absolute: _Limit | None = None
    relative: _Limit | None = None
    outputs: Mapping[str, OutputTolerance] = field(default_factory=dict)

    def of(self, output: str) -> OutputTolerance:
        """The tolerance of this output; own limits of an output replace all common ones."""
        own = self.outputs.get(output, OutputTolerance())
        if own.given:
            return own
        return OutputTolerance(self.absolute, self.relative, own.compare)
