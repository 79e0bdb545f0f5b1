"""How a whole is divided: one lying bar whose parts are its shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .frame import WIDTH, colour, figure
from .shape import shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

#: Parts with a part of their own; what is left is one part.
MAX_PARTS: Final = 6
_HEIGHT: Final = 44.0
_BAR: Final = 30.0
#: Of the width; a smaller part shows no figure in it.
_ROOM: Final = 0.06


def share_bar(title: str, parts: Mapping[str, float]) -> Markup:
    """A bar of the whole width.

    Args:
        title: Name of the whole.
        parts: Name -> its size, 0 or more, in the order of the bar. All together are the whole.
    """
    shown = {name: size for name, size in parts.items() if size > 0}
    if len(shown) > MAX_PARTS:
        kept = dict(sorted(shown.items(), key=lambda one: -one[1])[: MAX_PARTS - 1])
        rest = sum(shown.values()) - sum(kept.values())
        shown = {**{name: one for name, one in shown.items() if name in kept}, "others": rest}
    total = sum(shown.values()) or 1.0
    shapes, legend, x = [], [], 0.0
    for place, (name, size) in enumerate(shown.items()):
        share = size / total
        tone, words = colour(place), f"{100 * share:.3g} %"
        legend.append((tone, f"{name} {words}"))
        wide = share * WIDTH
        tip = f"{name}: {words}"
        shapes.append(
            shape("rect", tip, tone=f"bar {tone}", x=x, y=7.0, width=wide, height=_BAR, rx=2.0)
        )
        if share >= _ROOM:
            middle = x + wide / 2
            shapes.append(
                shape("text", words=words, tone="on", x=middle, y=26.0, text_anchor="middle")
            )
        x += wide
    said = ", ".join(text for _, text in legend)
    return figure(title, said, (WIDTH, _HEIGHT), "shares", shapes, legend)
