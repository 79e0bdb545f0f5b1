"""A sink: one named receiver of alerts, as the alerts file describes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from .alert import SEVERITIES, Severity  # msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .alert import Alert

Template = Literal["cloudevent", "slack", "pagerduty", "github", "airflow", "log"]
_Texts = Annotated[tuple[str, ...], msgspec.Meta(description="a list of texts")]
_Path = Annotated[str, msgspec.Meta(description="a path")]
_Seconds = Annotated[float, msgspec.Meta(gt=0, description="a number above 0")]
#: Keys whose values are paths.
_FILES: Final = ("url_file", "secret_file", "token_file", "login_file", "ca_file")
#: Templates that start something, training for example: told of what opens, and not too often.
TRIGGERS: Final = frozenset({"github", "airflow"})
#: The kind of what ``penstock alerts test`` sends; its subject is the only sink that is told.
TEST: Final = "test"
MAX_SINKS: Final = 32

_DAY: Final = 86_400.0
_URLS: Final = MappingProxyType(
    {"pagerduty": "https://events.pagerduty.com/v2/enqueue", "github": "https://api.github.com"}
)
_NEEDED: Final = MappingProxyType(
    {
        "cloudevent": ("url",),
        "slack": ("url",),
        "pagerduty": ("secret_file",),
        "github": ("repository", "token_file"),
        "airflow": ("url", "dag"),
        "log": (),
    }
)


@dataclass(frozen=True, slots=True)
class Sink:
    """One receiver.

    Attributes:
        name: As in ``[sinks.NAME]``.
        template: Form of the message, one of `Template`.
        url: Address of the receiver; of GitHub and Airflow the root of the API.
        url_file: A file that holds the URL, when it is a secret as Slack's is.
        secret_file: A file with the key that signs each request; for PagerDuty the routing key.
        token_file: A file with a bearer token, read again for each request.
        login_file: A file with ``user:password`` for Airflow's ``/auth/token``.
        ca_file: Certificates to trust instead of the system's.
        kinds: Only alerts whose kind begins with one of these words; all when empty.
        models: Only alerts of models that match one of these patterns; all when empty.
        min_severity: Only alerts at least so severe.
        timeout_seconds: One attempt must be over by then.
        max_attempts: After so many attempts it is given up.
        max_age_seconds: An alert that is older is given up.
        cooldown_seconds: Of triggers: at most one request per model in this time.
        repository: Repository of GitHub, ``owner/name``.
        dag: Of Airflow, the DAG's id.
        conf: Handed through to GitHub's ``client_payload`` or Airflow's ``conf``.
    """

    name: str
    template: str = "cloudevent"
    url: str = ""
    url_file: Path | None = None
    secret_file: Path | None = None
    token_file: Path | None = None
    login_file: Path | None = None
    ca_file: Path | None = None
    kinds: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    min_severity: str = "info"
    timeout_seconds: float = 10.0
    max_attempts: int = 50
    max_age_seconds: float = _DAY
    cooldown_seconds: float = _DAY
    repository: str = ""
    dag: str = ""
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trigger(self) -> bool:
        """True if the sink starts something rather than tells somebody."""
        return self.template in TRIGGERS

    def wants(self, alert: Alert) -> bool:
        """True if an alert is for this sink."""
        if alert.kind == TEST:
            return alert.subject == self.name
        if self.trigger and not alert.opened:
            return False
        return (
            SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.min_severity)
            and (not self.kinds or any(_within(alert.kind, kind) for kind in self.kinds))
            and (not self.models or any(fnmatchcase(alert.model, one) for one in self.models))
        )


class SinkTable(msgspec.Struct, forbid_unknown_fields=True):
    """``[sinks.NAME]`` as it is written; see `Sink`, whose defaults these are."""

    template: Template = "cloudevent"
    url: str = ""
    url_file: _Path = ""
    secret_file: _Path = ""
    token_file: _Path = ""
    login_file: _Path = ""
    ca_file: _Path = ""
    kinds: _Texts = ()
    models: _Texts = ()
    min_severity: Severity = "info"
    timeout_seconds: _Seconds = 10.0
    max_attempts: Annotated[int, msgspec.Meta(gt=0, description="a whole number above 0")] = 50
    max_age_seconds: _Seconds = _DAY
    cooldown_seconds: _Seconds = _DAY
    repository: str = ""
    dag: str = ""
    conf: dict[str, Any] = {}


def sink_of(name: str, table: SinkTable, folder: Path) -> Sink:
    """The sink of one ``[sinks.NAME]`` table.

    Args:
        name: Name of the sink.
        table: The table as it is written.
        folder: Relative paths start here.

    Raises:
        ValueError: A key is missing, or not what its template needs.
    """
    values = msgspec.structs.asdict(table)
    for key in _FILES:
        values[key] = _path(f"sinks.{name}.{key}", values[key], folder)
    sink = Sink(name, **values)
    for key in _NEEDED[sink.template]:
        if not values[key] and not (key == "url" and sink.url_file):
            raise ValueError(
                f"sinks.{name}: {key} is missing, the template {sink.template} needs it"
            )
    if sink.url and not sink.url.startswith(("http://", "https://")):
        raise _wrong(name, "url", sink.url, "http:// or https://")
    if sink.template == "github" and sink.repository.count("/") != 1:
        raise _wrong(name, "repository", sink.repository, "owner/name")
    if not sink.url and sink.url_file is None and sink.template in _URLS:
        return replace(sink, url=_URLS[sink.template])
    return sink


def _within(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(f"{wanted}.")


def _path(where: str, value: str, folder: Path) -> Path | None:
    try:
        return folder / Path(value).expanduser() if value else None
    except RuntimeError as error:  # of a user that there is not
        raise ValueError(f"{where} is {value!r}: {error}") from error


def _wrong(name: str, key: str, value: str, expected: str) -> ValueError:
    return ValueError(f"sinks.{name}.{key} is {value!r}, expected {expected}")
