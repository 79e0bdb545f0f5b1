"""The ``[runtime]`` settings of a PyTorch model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TorchSettings:
    """What the owner of a model declares.

    Attributes:
        inputs: Datatype and shape of each input, by name, in the order of the arguments, such as
            ``{ x = ["FP32", [-1, 4]] }``; -1 is any size. ``None`` leaves it to the file.
        outputs: Names of the outputs in their order; empty for names that are made up.
        batch_axis: Whether rows of several requests may share a run.
    """

    inputs: dict[str, tuple[str, tuple[int, ...]]] | None = None
    outputs: tuple[str, ...] = ()
    batch_axis: bool = False

    def __post_init__(self) -> None:
        """Outputs have names of their own.

        Raises:
            ValueError: They have not.
        """
        if "" in self.outputs or len(set(self.outputs)) < len(self.outputs):
            raise ValueError(f"outputs is {[*self.outputs]}, expected a name of its own for each")
