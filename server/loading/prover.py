"""Has a version loaded where a crash harms nobody, before the first worker loads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.server.registry.private_copy import digest_of_copy

from .proofs import LOADS

if TYPE_CHECKING:
    from .load_order import LoadOrder, SoundCopy
    from .loading import Loader
    from .proofs import Proof, Proofs
    from .trial import Trials


class Prover:
    """Has versions without a proof tried. Its method may be called by several threads at once.

    Args:
        loader: Finds or makes the copy that is tried.
        proofs: Results of earlier loads.
        trials: Makes trials; ``None`` lets every version pass.
    """

    def __init__(self, loader: Loader, proofs: Proofs, trials: Trials | None) -> None:
        self._loader = loader
        self._proofs = proofs
        self._trials = trials

    def prove(self, order: LoadOrder) -> None:
        """Return if a version may be loaded. Blocks while it is tried.

        A version with a proof passes at once, and so does one that is isolated: all its loads are
        in processes of their own. Workers of one server that want the same proof wait
        for the first of them, and share it.

        Raises:
            ModelLoadError: It must not be loaded; the reason says how its trial ended.
            OSError: The disk, or no process could be started.
        """
        if self._trials is None or self._loader.isolates(order):
            return
        known = digest_of_copy(order.directory)
        proof = None if known is None else self._find(known, order)
        if proof is None:
            with self._loader.sound_copy(order, keep=True) as copy:
                proof = self._try(self._trials, order, copy)
        if proof.end != LOADS:
            raise ModelLoadError(proof.reason)

    def close(self) -> None:
        """End the trials that are being made."""
        if self._trials is not None:
            self._trials.close()

    def _try(self, trials: Trials, order: LoadOrder, copy: SoundCopy) -> Proof:
        key = self._proofs.key(copy.digest, order)
        with self._proofs.lock(key):
            proof = self._find(copy.digest, order)  # another worker may have made it meanwhile
            if proof is None:
                proof = trials.make(order, copy, order.limit_seconds)
                reason = proof.reason.replace(str(copy.directory), str(order.directory))
                proof = replace(proof, reason=reason)
                self._proofs.keep(key, proof)
        return proof

    def _find(self, digest: str, order: LoadOrder) -> Proof | None:
        key = self._proofs.key(digest, order)
        return self._proofs.find(key, order.limit_seconds, order.retried_at)
