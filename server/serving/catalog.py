"""The catalog: the served models of this process, and the state of every known version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from penstock.server.errors import NotFound, Unavailable

from .lifecycle import State, Status, loading_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.server.errors import ApiError

    from .active_split import ActiveSplit
    from .servable import Servable

#: Versions named in an answer; a registry may hold thousands.
_MAX_SHOWN: Final = 5

#: Model and version, as text.
Key = tuple[str, str]


class ServedModel:
    """A model and its loaded versions; immutable, replaced as a whole when they change.

    Attributes:
        name: Name of the model.
        versions: Every loaded version by its number.
        default: Serves requests that name no version; ``None`` if no loaded version may.
        aliases: Version by alias.
        active_split: Divides requests that name no version between two versions; ``None`` if the
            default version serves all of them.
        named: Versions and aliases, for requests that name one; only an alias begins with a letter.
    """

    __slots__ = ("active_split", "aliases", "default", "name", "named", "versions")

    def __init__(
        self,
        name: str,
        versions: Mapping[str, Servable],
        default: Servable | None,
        aliases: Mapping[str, Servable] | None = None,
        active_split: ActiveSplit | None = None,
    ) -> None:
        self.name = name
        self.versions = versions
        self.default = default
        self.aliases = aliases or {}
        self.active_split = active_split
        self.named = {**versions, **self.aliases}

    def same_as(self, other: ServedModel) -> bool:
        """Whether both models have equal names, versions and split."""
        same = self.default is other.default and self.named == other.named
        return same and self.active_split is other.active_split


class Catalog:
    """The catalog of one process. Readers take one reference to `models` and see no partial change.

    Args:
        clock: Unix seconds, for people.
        default_model: Name of the model that is meant where a request names none; empty for the
            only one.

    Attributes:
        models: The served models, by name.
        statuses: Every version that was ever wanted here, served or not.
        ready: Whether the first target was served; a later load does not change that.
        revision: Grows with every change.
    """

    __slots__ = ("_clock", "_default_model", "models", "ready", "revision", "statuses")

    def __init__(self, clock: Callable[[], float] = time.time, default_model: str = "") -> None:
        self._clock = clock
        self._default_model = default_model
        self.revision = 0
        self.models: dict[str, ServedModel] = {}
        self.statuses: dict[Key, Status] = {}
        self.ready = False

    def publish(self, model: ServedModel) -> None:
        """Serve the model from now on, in place of the former one of its name."""
        self.models = {**self.models, model.name: model}
        self.revision += 1

    def withdraw(self, name: str) -> None:
        """Stop serving the model; an unknown name is no error."""
        self.models = {key: model for key, model in self.models.items() if key != name}
        self.revision += 1

    def move(self, key: Key, state: State, reason: str = "", told: str | None = None) -> None:
        """Record that a version changed its state, and why; `told` is the reason for callers."""
        before = self.statuses.get(key, Status())
        self.statuses[key] = before.move(state, reason, self._clock(), told)
        self.revision += 1

    def why_not_ready(self) -> str:
        """Why the process is not ready; empty when it is."""
        if self.ready:
            return ""
        now = self._clock()
        loading = [
            f"version {version} of model {name!r}: {loading_for(status.since, status.reason, now)}"
            for (name, version), status in self.statuses.items()
            if status.state is State.LOADING
        ]
        if not loading:
            return "the server has not looked at its registry yet"
        shown = "; ".join(loading[:_MAX_SHOWN])
        more = len(loading) - _MAX_SHOWN
        return shown + (f", and {more} more" if more > 0 else "")

    def find(self, name: str, version: str | None = None) -> Servable:
        """The version that serves this name; `version` may be an alias.

        Raises:
            NotFound: It is not served; the message says what is, or why it failed.
            Unavailable: It is being loaded.
        """
        model = self.models.get(name)
        servable = None
        if model is not None:
            servable = model.default if version is None else model.named.get(version)
        if servable is None:
            raise self._missing(name, version)
        return servable

    def default_name(self) -> str:
        """The name of the model that is meant where a request names none.

        Raises:
            NotFound: Nobody has named one, and the server has none or several.
        """
        if self._default_model:
            return self._default_model
        names = sorted({*self.models, *(name for name, _ in self.statuses)})
        if len(names) == 1:
            return names[0]
        shown = f"it has {len(names)}" if names else "it has none yet"
        raise NotFound(
            "this path names no model: the server must have one model, or the option default_model "
            f"({shown}); POST /v1/models/MODEL:predict names one"
        )

    def knows(self, name: str, version: str | None = None) -> bool:
        """Whether a target ever contained this version."""
        return any(model == name and version in {None, v} for model, v in self.statuses)

    def _missing(self, name: str, version: str | None) -> ApiError:
        known = {
            number: status
            for (model, number), status in self.statuses.items()
            if model == name and (version == number or version is None or not version.isdigit())
        }
        what = f"model {name!r}" if version is None else f"version {version!r} of model {name!r}"
        if any(status.state is State.LOADING for status in known.values()):
            return Unavailable(f"{what} is being loaded", retry_after_seconds=1)
        failed = [f"version {n}: {s.told}" for n, s in known.items() if s.state is State.FAILED]
        if failed:
            return NotFound(f"{what} could not be loaded ({'; '.join(failed)})")
        if version is not None and name in self.models:
            loaded = ", ".join(self.models[name].named)
            return NotFound(f"{what} is not served; served versions: {loaded}")
        if name in self.models:
            return NotFound(f"{what} has no version that may answer; name one of its versions")
        return NotFound(f"{what} is not served; GET /v2/models lists what is")
