"""Loads one version: from its directory to a model that may serve. Blocking; for one thread.

    find or make a private copy ─► hash and inspect it ─► memory budget ─► load
        ─► signature ─► golden requests ─► warm up and measure

An error in any step names the step, and leaves nothing behind.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.batching.contained import words
from penstock.monitoring.drift.baseline_files import (
    BASELINE_FILE,
    BASELINES,
    BaselineFiles,
    input_names,
)
from penstock.runtimes.contract import ModelLoadError
from penstock.server.files.durable import remove_tree
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import roots_of
from penstock.server.isolation.isolated_model import IsolatedModel
from penstock.server.onnx_file.inspection import InspectionLimits
from penstock.server.registry.column_names import adopted, named_signature
from penstock.server.registry.manifest import digest_of
from penstock.server.registry.private_copy import borrowed_copy, digest_of_copy
from penstock.server.registry.verification import hash_files, read_manifest

from .acceptance_check import check_acceptance
from .checked_copies import CheckedCopies, needed_bytes
from .load_order import LoadedModel, SoundCopy
from .memory_estimate import LoadMemory, MemoryBudget
from .model_opener import ModelOpener, is_isolated, is_single_threaded
from .process_memory import Growth
from .proofs import Proofs
from .version_runtime import runtime_of
from .warm_up import CostCache, WarmUp, measuring_conditions, runnable_inputs, warm_up, warm_up_only

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.batching.cost import CostTable
    from penstock.runtimes.contract import Model, Runtime, Signature
    from penstock.server.config.config import ServerConfig

    from .golden_examples import Examples
    from .load_order import LoadOrder

LOG = logging.getLogger("penstock.models")


class Loader:
    """Loads and unloads the versions of one process.

    Args:
        config: Configuration of the server. Without a state directory, copies go to a temporary
            one.
        proofs: Results of earlier trials; ``None`` for none.
        opener: Opens the files; by default it tells nobody of the ends of processes.
    """

    def __init__(
        self,
        config: ServerConfig,
        proofs: Proofs | None = None,
        opener: ModelOpener | None = None,
    ) -> None:
        state = config.state_dir
        self._temporary: Path | None = None
        self._registry = config.registry.absolute()
        self._link_roots = config.link_roots()
        self._copies = None if state is None else state / "copies"
        self._baselines = None if state is None else BaselineFiles(state / "monitor" / BASELINES)
        self._max_copies_bytes = config.copies_max_bytes
        self._memory = MemoryBudget(config.max_memory_bytes // config.workers)
        self._costs = CostCache(None if state is None else state / "costs")
        self._proofs = proofs or Proofs(None)
        self._checked = CheckedCopies(
            limits=InspectionLimits(custom_operators=bool(config.libraries()))
        )
        self._making_copies = threading.Lock()
        self._opener = opener or ModelOpener(config)

    @property
    def places(self) -> tuple[Path, ...]:
        """Directories that errors may name and callers need not know."""
        registry = self._registry, self._registry.resolve()
        known = (*registry, self._copies and self._copies.parent, self._temporary)
        return tuple(path.absolute() for path in known if path is not None)

    def close(self) -> None:
        """Remove temporary directories."""
        self._opener.close()
        if self._temporary is not None:
            remove_tree(self._temporary)

    def load(self, order: LoadOrder) -> LoadedModel:
        """Load one version, check it, warm it up and measure its run times.

        Raises:
            ModelLoadError: It cannot be served, or must not be.
            OSError: A file cannot be read or written.
        """
        with self.sound_copy(order) as copy, _named(copy.directory, order):
            return self.load_copy(copy, order)

    def isolates(self, order: LoadOrder) -> bool:
        """Whether a version is to be loaded in a process of its own.

        Raises:
            ModelLoadError: No runtime finds its files.
        """
        return is_isolated(runtime_of(order.directory, order.config.platform)[0], order.config)

    def unload(self, name: str, version: str, model: Model) -> None:
        """Release a model; its memory counts as free even if its runtime fails to release it."""
        try:
            model.unload()
        finally:
            self._memory.release((name, version))

    def load_copy(self, copy: SoundCopy, order: LoadOrder) -> LoadedModel:
        """Load a checked copy; errors name places in the copy."""
        runtime, path = runtime_of(copy.directory, order.config.platform, order.steps)
        key = order.name, order.version
        isolated = is_isolated(runtime, order.config)
        needed = copy.needed_bytes * (order.config.process.count if isolated else 1)
        self._memory.reserve(key, needed)
        growth = Growth()
        try:
            model = self._opener.open(runtime, path, copy.directory, order)
            try:
                promised = adopted(model.signature, copy.declared)
                golden = _check_examples(model, promised, copy, order)
                signature = self._named_signature(promised, copy, order)
                costs = self._warm_up(runtime, model, copy.digest, order, golden)
                known_inputs = runnable_inputs(model, golden)
            except BaseException:
                _discard(model, order)
                raise
        except BaseException:
            self._memory.release(key)
            raise
        processes = 0
        measured = growth.bytes()
        if isinstance(model, IsolatedModel):
            processes, measured = model.count, model.resident_bytes
        memory = LoadMemory(needed, measured)
        return LoadedModel(
            *(runtime.platform, model, costs, memory, known_inputs),
            *(signature, processes, copy.digest),
        )

    def _named_signature(self, promised: Signature, copy: SoundCopy, order: LoadOrder) -> Signature:
        """Names from the data of a baseline, else from ``features`` of ``model.toml``."""
        baselines = [copy.directory / BASELINE_FILE]
        if self._baselines is not None:
            baselines.insert(0, self._baselines.built(order.name, order.version))
        features = order.config.monitoring.features
        named = [input_names(path, copy.digest, features) for path in baselines]
        return named_signature(promised, [*named, features])

    def _warm_up(
        self, runtime: Runtime, model: Model, digest: str, order: LoadOrder, golden: Examples
    ) -> CostTable | None:
        config = order.config
        rows = config.batching.max_batch_size if model.signature.batch_axis else 1
        how = WarmUp(rows, golden, order.busy, is_single_threaded(runtime, config))
        conditions = {
            **measuring_conditions(runtime.platform, config.threads, rows, config.settings),
            "isolated": is_isolated(runtime, config),
        }
        costs = self._costs.find(digest, conditions)
        if costs is None and order.busy:  # measured in full when there is time
            proof = self._proofs.find(self._proofs.key(digest, order))
            costs = None if proof is None else proof.costs
        if costs is not None:
            warm_up_only(model, how)
            return costs
        costs = warm_up(model, how)
        if costs is None:
            LOG.warning(
                "model %s version %s takes no made-up inputs, so it is not warmed up; golden "
                "requests would help",
                order.name,
                order.version,
            )
        elif not order.busy:  # what was cut short is measured in full when there is time
            self._costs.keep(digest, conditions, costs)
        return costs

    @contextmanager
    def sound_copy(self, order: LoadOrder, *, keep: bool = False) -> Iterator[SoundCopy]:
        """A private directory with the files of a version, which no other program changes.

        It is hashed and inspected; see `CheckedCopies`.

        Args:
            order: The version to load.
            keep: Whether the next call for the same files, which ends in a load, may use the check.

        Raises:
            ModelLoadError: The files are not those that were published, or must not be loaded.
            OSError: A file cannot be read or written.
        """
        digest = digest_of_copy(order.directory)
        if digest is not None:
            size = self._check(order.directory, digest, order, keep=keep)
            if size is None:
                raise ModelRefused(f"{order.directory} has not the files that it was made with")
            yield SoundCopy(order.directory, digest, size, order.declared)
            return
        runtime, _ = runtime_of(order.directory, order.config.platform)
        roots = roots_of(self._registry, self._link_roots)
        limits = self._checked.limits  # a refusal comes before gigabytes are copied in vain
        needed_bytes(runtime, order.directory, limits, roots)
        manifest = read_manifest(order.directory, roots)
        if manifest is None:
            entries = hash_files(order.directory, roots)
        elif (manifest.model, str(manifest.version)) == (order.name, order.version):
            entries = manifest.files
        else:
            raise ModelRefused(
                f"its manifest is that of model {manifest.model!r} version {manifest.version}"
            )
        copies = self._copies_directory()
        limit = self._max_copies_bytes
        borrow = partial(borrowed_copy, order.directory, copies, max_bytes=limit, roots=roots)
        digest, declared = digest_of(entries), None if manifest is None else manifest.signature
        for last in (False, True):
            with borrow(entries) as copy:
                size = self._check(copy, digest, order, keep=keep)
                if size is not None:
                    yield SoundCopy(copy, digest, size, declared)
                    return
            if last:
                raise ModelRefused(f"its copy {copy} is damaged again and again")
            remove_tree(copy)

    def _check(self, copy: Path, digest: str, order: LoadOrder, *, keep: bool) -> int | None:
        with _named(copy, order):
            return self._checked.check(copy, digest, order.config.platform, keep=keep)

    def _copies_directory(self) -> Path:
        with self._making_copies:
            if self._copies is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="penstock-copies-"))
                self._copies = self._temporary / "copies"
            else:
                self._copies.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._copies


def _discard(model: Model, order: LoadOrder) -> None:
    """Unload a refused model; an error in this is only logged, the refusal is raised."""
    try:
        model.unload()
    except BaseException as error:  # noqa: BLE001  see above
        LOG.warning(
            "model %s version %s cannot be unloaded: %s", order.name, order.version, words(error)
        )


@contextmanager
def _named(copy: Path, order: LoadOrder) -> Iterator[None]:
    """Replace the copy's place by the ordered directory in errors."""
    try:
        yield
    except ModelRefused:
        raise
    except ModelLoadError as error:
        text = str(error).replace(str(copy), str(order.directory))
        raise ModelLoadError(text) from error


def _check_examples(
    model: Model, signature: Signature, copy: SoundCopy, order: LoadOrder
) -> Examples:
    """Check a model, and return its golden requests.

    Raises:
        ModelRefused: It may not serve, and no operator has accepted that.
    """
    rows = order.config.batching.max_batch_size
    golden, reasons = check_acceptance(
        model, signature, copy.directory, copy.declared, order.predecessor, rows
    )
    if reasons and not order.accepted:
        raise ModelRefused(*reasons)
    for reason in reasons:
        LOG.warning("model %s version %s is accepted: %s", order.name, order.version, reason)
    return golden
