"""What is asked, and what the right answer is: every response of every run is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .wire import Response


#: Different bodies may all be right (ids, times, rounding that depends on the batch); beyond this
#: many, a body is decoded again each time instead of being remembered.
REMEMBERED_BODIES = 256


class Case:
    """One request with its right answer.

    The first body that proves right is remembered, and a later response whose body equals it byte
    for byte is right without being decoded. That keeps checking every response affordable.

    Attributes:
        request: The whole request, ready to send.
        verified: Bodies known to be right.

    Args:
        request: See above.
        expected: The right outputs by name.
        decode: Reads outputs from a response.
        same_values: Whether values must be those expected, or only names and sizes: versions of a
            model in a canary rollout differ in values.
    """

    __slots__ = ("_decode", "_expected", "_same_values", "request", "verified")

    def __init__(
        self,
        request: bytes,
        expected: Mapping[str, NDArray[np.generic]],
        decode: Callable[[Response], Mapping[str, NDArray[np.generic]]],
        *,
        same_values: bool = True,
    ) -> None:
        self.request = request
        self._expected = expected
        self._decode = decode
        self._same_values = same_values
        self.verified: set[bytes] = set()

    def fault(self, response: Response) -> str | None:
        """Why the response is not the right answer, or ``None``."""
        try:
            answer = self._decode(response)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return f"cannot be decoded ({type(error).__name__}: {error}): {response.body[:200]!r}"
        for name, right in self._expected.items():
            if name not in answer:
                return f"lacks output {name!r}, has {sorted(answer)}"
            given = np.asarray(answer[name]).ravel()
            if given.size != right.size:
                return f"output {name!r} has {given.size} elements, expected {right.size}"
            if self._same_values and not _close(given, right.ravel()):
                return f"output {name!r} is {given[:8]}, expected {right.ravel()[:8]}"
        if len(self.verified) < REMEMBERED_BODIES:
            self.verified.add(response.body)
        return None


def _close(given: NDArray[np.generic], right: NDArray[np.generic]) -> bool:
    """Equal up to what batching may change in the last digits of float32."""
    if right.dtype.kind in "fiub":
        return bool(np.allclose(given.astype(np.float64), right.astype(np.float64), 1e-4, 1e-5))
    return bool(np.array_equal(given, right))
