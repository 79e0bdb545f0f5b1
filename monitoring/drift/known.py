"""The knowledge of one version: its columns and its baseline, built or being learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.monitoring.files.stamp import stamp_of

from .baseline import FROM_TRAFFIC, Baseline
from .baseline_files import read_baseline, write_baseline
from .category_names import CategoryNames
from .learning import Learner, reference_of
from .row_sample import Cells
from .schema import Schema, rename
from .settling import settled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from penstock.monitoring.files.stamp import Stamp
    from penstock.monitoring.samples.samples import BatchSample

    from .baseline import Reference
    from .options import DriftOptions
    from .window import Window


class KnownVersion:
    """A version's columns and baseline.

    Args:
        options: Options of its model.
        places: Files of a baseline that was built, the first that is there is taken.
        learnt: File of the learnt baseline.
        digest: Digest of the version's files; empty if it is not known.
        now: The time as RFC 3339.
        schema: Its columns, none of them seen yet.
        private: Inputs whose built baseline is not used: the subject of a row, and inputs that
            arrive here as a hash.
        column_names: What the model calls its columns, by their names here, such as ``x[3]``.
        accepted: File of the baseline that was made of accepted windows, which comes before all
            others; its features have the names here.
        categories: What the model calls the categories that it numbers, by feature.

    Attributes:
        id: Id of the baseline; empty while there is none.
        source: Where it comes from; empty while there is none.
        references: By name.
        learner: Takes what has no reference; ``None`` when everything has one.
        problem: Why a baseline is not used; empty if none is left aside.
    """

    def __init__(
        self,
        options: DriftOptions,
        places: Sequence[Path],
        learnt: Path,
        digest: str,
        now: Callable[[], str],
        schema: Schema | None = None,
        private: Collection[str] = (),
        column_names: Mapping[str, str] | None = None,
        accepted: Path | None = None,
        categories: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.id = self.source = ""
        self.references: dict[str, Reference] = {}
        self.learner: Learner | None = None
        self.problem = ""
        self._options = options
        self._places = places
        self._learnt = learnt
        self._accepted_place = accepted
        self._digest = digest
        self._now = now
        self._schema = Schema() if schema is None else schema
        self._private = private
        self._column_names = column_names or {}
        self._categories = CategoryNames(categories or {})
        self._renamed: dict[str, str] = {}
        self._built: Baseline | None = None
        self._own: Baseline | None = None
        self._accepted: Baseline | None = None
        self._stamps: object = None
        self._fits_names = 0
        self.refresh()

    def refresh(self) -> bool:
        """Read the files if they have changed; whether they have."""
        stamps = self._stamps_now()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self.problem, self._built = "", None
        for path in self._places:
            self._built = self._built or self._read(path)
        self._own = self._read(self._learnt)
        place = self._accepted_place
        self._accepted = None if place is None else self._read(place)
        if self._accepted is not None and not self._accepted.belongs_to(self._digest):
            self._accepted = None
            self.problem = "the accepted baseline is of other files of this version"
        self.learner = None
        self._fit()
        return True

    def restore(self, learner: Mapping[str, Any]) -> None:
        """Go on learning where an earlier life stopped."""
        rest = {name: one for name, one in learner.items() if name not in self.references}
        if rest:
            self.learner = self._new_learner()
            self.learner.restore(rest)
            for name, one in rest.items():
                if one["categorical"]:
                    self._categories.learnt(name, one["values"])

    def rows(self, samples: Sequence[BatchSample]) -> Iterator[Cells]:
        """Features of these rows that have a reference, with values; the learner takes the others.

        Args:
            samples: Samples of this version, none of them of errors.
        """
        columns = list(self._schema.columns(samples))
        if len(self._schema.names) != self._fits_names:
            self._fit()
        for feature, found in columns:
            name = self._renamed.get(feature.name, feature.name)
            reference = self.references.get(name)
            values = self._categories.named(feature.name, found)
            if reference is None or (feature.categorical and not reference.categorical):
                if self.learner is None:
                    self.learner = self._new_learner()
                self.learner.take(
                    name,
                    values,
                    output=feature.output,
                    categorical=feature.categorical,
                    time=samples[0].time,
                )
            else:
                yield Cells(name, reference, values)

    def settle(self, now: float) -> bool:
        """Make a baseline of what was learnt if that is enough; whether it was.

        Args:
            now: Unix seconds.
        """
        if self.learner is None or not self.learner.complete(now):
            return False
        before = {} if self._own is None else self._own.references
        provisional = self._options.baseline_seconds > 0
        found = {
            name: replace(reference_of(one), provisional=provisional)
            for name, one in self.learner.columns().items()
        }
        self._write({**before, **found})
        self.learner = None
        return True

    @property
    def provisional(self) -> bool:
        """Whether windows are still to become the counts of a reference."""
        return any(one.provisional for one in self.references.values())

    def finish(self, windows: Sequence[Window]) -> None:
        """Make the baseline out of the windows of its first week.

        Args:
            windows: Counted over the bins of the references, in the order of time.
        """
        assert self._own is not None
        self._write(settled(self._own.references, windows))

    def _write(self, references: Mapping[str, Reference]) -> None:
        self._own = Baseline(references, FROM_TRAFFIC, digest=self._digest, made=self._now())
        write_baseline(self._learnt, self._own)
        self._stamps = self._stamps_now()
        self._fit()

    def _stamps_now(self) -> list[Stamp | None]:
        accepted = () if self._accepted_place is None else (self._accepted_place,)
        return [stamp_of(path) for path in (*self._places, self._learnt, *accepted)]

    def _new_learner(self) -> Learner:
        options = self._options
        return Learner(options.learning_rows, options.learning_seconds, options.min_rows)

    def _fit(self) -> None:
        """Names, references and id, as far as the inputs are known."""
        names = self._schema.names
        self._fits_names = len(names)
        built, own = self._built, self._own
        problem = ""
        if built is not None and not built.belongs_to(self._digest):
            problem = "the baseline was built for other files of this version"
        usable = {} if built is None else built.without(self._private)
        inputs = [] if problem else [name for name, one in usable.items() if not one.output]
        if names:
            self._renamed, misfit = rename(names, self._options.features, inputs)
            problem = problem or misfit
            if not inputs and not self._renamed:
                self._renamed = self._by_column(names)
        self.problem = self.problem or problem
        self.references = {} if own is None else dict(own.references)
        self.id = "" if own is None else own.id
        self.source = "" if own is None else own.source
        accepted = self._accepted
        if accepted is not None:
            self.references |= accepted.without(self._private)
            self.id, self.source = accepted.id, accepted.source
        elif built is not None and not problem:
            self.references |= usable
            self.id, self.source = built.id, built.source
        for name, reference in self.references.items():
            if reference.categorical:
                self._categories.learnt(name, reference.bins.labels)

    def _by_column(self, names: Sequence[str]) -> dict[str, str]:
        """The model's names of its columns, by the names here; none where they do not tell apart.

        Inputs, or outputs, that an earlier release has learnt under the names here keep them.
        """
        baselines = (self._own, self._accepted, self._built)
        known = [one.references for one in baselines if one is not None]
        learnt = {name for references in known for name in references}
        learnt |= set(() if self.learner is None else self.learner.columns())
        found: dict[str, str] = {}
        for part in (names, self._schema.outputs):
            named = {one: self._column_names[one] for one in part if one in self._column_names}
            found |= {} if learnt & named.keys() else named
        taken = [found.get(one, one) for one in (*names, *self._schema.outputs)]
        return found if len(set(taken)) == len(taken) else {}

    def _read(self, path: Path) -> Baseline | None:
        try:
            return read_baseline(path)
        except (OSError, ValueError) as error:
            self.problem = f"{path.name}: {error}"
            return None
