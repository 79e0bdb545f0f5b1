"""Who is told: one named receiver of alerts, as the alerts file describes it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .alert import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .alert import Alert

TEMPLATES: Final = ("cloudevent", "slack", "pagerduty", "github", "airflow", "log")
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
        template: What is sent, one of `TEMPLATES`.
        url: Where to; of GitHub and Airflow the root of the API.
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
        """Whether it starts something rather than tells somebody."""
        return self.template in TRIGGERS

    def wants(self, alert: Alert) -> bool:
        """Whether this alert is for this sink."""
        if alert.kind == TEST:
            return alert.subject == self.name
        if self.trigger and not alert.opened:
            return False
        return (
            SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.min_severity)
            and (not self.kinds or any(_within(alert.kind, kind) for kind in self.kinds))
            and (not self.models or any(fnmatchcase(alert.model, one) for one in self.models))
        )


def sink_of(name: str, table: Mapping[str, Any], folder: Path) -> Sink:
    """The sink of one ``[sinks.NAME]`` table.

    Args:
        name: Name of the sink.
        table: Its keys.
        folder: Relative paths start here.

    Raises:
        ValueError: A key is unknown, missing or not what was expected.
    """
    known = {one.name: str(one.type) for one in fields(Sink)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known or key == "name":
            raise ValueError(f"sinks.{name}: unknown key {key}, expected one of {', '.join(known)}")
        values[key] = _value(f"sinks.{name}.{key}", value, known[key], folder)
    sink = Sink(name, **values)
    if sink.template not in TEMPLATES:
        raise _wrong(name, "template", sink.template, f"one of {', '.join(TEMPLATES)}")
    if sink.min_severity not in SEVERITIES:
        raise _wrong(name, "min_severity", sink.min_severity, f"one of {', '.join(SEVERITIES)}")
    for key in _NEEDED[sink.template]:
        if not values.get(key) and not (key == "url" and sink.url_file):
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


def _value(where: str, value: Any, kind: str, folder: Path) -> Any:
    match kind, value:
        case "str", str():
            return value
        case "Path | None", str() if value:
            try:
                return folder / Path(value).expanduser()
            except RuntimeError as error:  # of a user that there is not
                raise ValueError(f"{where} is {value!r}: {error}") from error
        case "tuple[str, ...]", list() if all(isinstance(one, str) for one in value):
            return tuple(value)
        case "float", int() | float() if not isinstance(value, bool) and value > 0:
            return float(value)
        case "int", int() if not isinstance(value, bool) and value > 0:
            return value
        case _, dict() if kind.startswith("Mapping"):
            return value
    words = {
        "str": "a text",
        "Path | None": "a path",
        "tuple[str, ...]": "a list of texts",
        "float": "a number above 0",
        "int": "a whole number above 0",
    }
    raise ValueError(f"{where} is {value!r}, expected {words.get(kind, 'a table')}")


def _wrong(name: str, key: str, value: str, expected: str) -> ValueError:
    return ValueError(f"sinks.{name}.{key} is {value!r}, expected {expected}")
