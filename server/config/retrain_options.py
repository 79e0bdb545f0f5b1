"""``[[retrain]]`` of ``penstock.toml``: when the training of a model is started, and where.

[[retrain]]
model = "churn"
on = ["drift", "performance", "age", "schedule"]
max_age = "30d"                    # of the version that serves; for age
every = "7d"                       # since the last start; for schedule
delay = "1h"                       # so long an alert must be open before it starts a run
period = "1d"                      # at most one start in this time
target = "webhook"                 # github, airflow, prefect, dagster, kubeflow, flyte, command
url = "https://ci.example/train"
secret_file = "/run/secrets/train" # or secret_env = "TRAIN_SECRET"
export = "s3://bucket/training"    # or a directory: labelled predictions, written before the start
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from penstock.server.files.config_error import ConfigError
from penstock.server.files.duration import Duration

from .store_url import is_url, parse_store_url

Trigger = Literal["drift", "performance", "age", "schedule"]
TargetName = Literal[
    "webhook", "github", "airflow", "prefect", "dagster", "kubeflow", "flyte", "command"
]
#: Tables ``[[retrain]]`` of one server.
MOST: Final = 100

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z"
_DAY: Final = 86_400.0
_Text = Annotated[str, msgspec.Meta(max_length=512, description="a text")]
_Words = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=100, description="a list of texts")]
#: Of the keys that only some targets read: those that may be given, and those that must.
_KEYS: Final[dict[str, tuple[str, str]]] = {
    "webhook": ("", "url"),
    "github": ("workflow ref", "repository"),
    "airflow": ("dag asset", "url"),
    "prefect": ("", "url deployment"),
    "dagster": ("repository", "url job location"),
    "kubeflow": ("experiment", "url pipeline pipeline_version"),
    "flyte": ("", "url project domain launch_plan launch_plan_version"),
    "command": ("", "command"),
}
_OPTIONAL_URL: Final = "github"
GITHUB: Final = "https://api.github.com"


class RetrainOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"triggers": "on"}
):
    """The retraining of one model.

    Attributes:
        model: Name of the model.
        target: What is started.
        triggers: What starts it; empty for only by hand.
        max_age: Of ``age``: seconds since the version that serves was published.
        every: Of ``schedule``: seconds between two starts.
        delay: So many seconds an alert must be open: by then rows that drift have labels.
        period: No second start within so many seconds.
        url: Root of the target's API; for ``webhook`` where to.
        secret_file: File with the key that signs a webhook, or the token of the target.
        secret_env: Name of a variable of the environment that holds it.
        ca_file: Certificates to trust instead of the system's.
        export: Directory or URL of a store for the labelled predictions; empty for none.
        export_since: How far back labels go, in seconds.
        export_format: Of the exported file.
        attempts: Of a start, before it is given up.
        time_limit: Seconds after which a run that has not ended counts as failed.
        poll_seconds: Between two questions how the run stands.
        timeout_seconds: Of one request.
        parameters: Handed through.
        repository: Of ``github`` ``owner/name``; of ``dagster`` its name, by default the only one.
        workflow: Of ``github``: the workflow's file; empty for a ``repository_dispatch``.
        ref: Of ``github``: the branch or tag of the workflow.
        dag: Of ``airflow``: the DAG's id.
        asset: Of ``airflow``: id of an asset, which gets an event instead.
        deployment: Of ``prefect``: ``flow/deployment``, or its id.
        job: Of ``dagster``.
        location: Of ``dagster``: the repository location.
        pipeline: Of ``kubeflow``: the pipeline's id.
        pipeline_version: Of ``kubeflow``: the id of its version.
        experiment: Of ``kubeflow``: id of the experiment; empty for the default one.
        project: Of ``flyte``.
        domain: Of ``flyte``.
        launch_plan: Of ``flyte``: name of the launch plan.
        launch_plan_version: Of ``flyte``.
        command: Of ``command``: the program and its arguments.
    """

    model: Annotated[str, msgspec.Meta(pattern=_NAME, description="a model's name")]
    target: TargetName
    triggers: tuple[Trigger, ...] = ()
    max_age: Duration | None = None
    every: Duration | None = None
    delay: Duration = Duration(0.0)
    period: Duration = Duration(_DAY)
    url: _Text = ""
    secret_file: Path | None = None
    secret_env: _Text = ""
    ca_file: Path | None = None
    export: _Text = ""
    export_since: Duration = Duration(30 * _DAY)
    export_format: Literal["csv", "parquet"] = "csv"
    attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    time_limit: Duration = Duration(_DAY / 4)
    poll_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=3600)] = 15.0
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 20.0
    parameters: dict[str, Any] = {}
    repository: _Text = ""
    workflow: _Text = ""
    ref: _Text = ""
    dag: _Text = ""
    asset: Annotated[int, msgspec.Meta(ge=1)] | None = None
    deployment: _Text = ""
    job: _Text = ""
    location: _Text = ""
    pipeline: _Text = ""
    pipeline_version: _Text = ""
    experiment: _Text = ""
    project: _Text = ""
    domain: _Text = ""
    launch_plan: _Text = ""
    launch_plan_version: _Text = ""
    command: _Words = ()

    @property
    def place(self) -> str:
        """Where the target is, for people: nothing of a URL but its host."""
        url = self.url or (GITHUB if self.target == "github" else "")
        return f"{self.target} at {urlsplit(url).netloc}" if url else self.target

    def check(self) -> None:
        """Whether all that the target needs is there, and no secret is in the file.

        Raises:
            ConfigError: Something is missing, or of another target.
        """
        where = f"retrain of {self.model}"
        self._check_keys(where)
        self._check_url(where)
        if self.secret_file is not None and self.secret_env:
            raise ConfigError(f"{where}: expected secret_file or secret_env, not both")
        for trigger, key, value in (
            ("age", "max_age", self.max_age),
            ("schedule", "every", self.every),
        ):
            if (trigger in self.triggers) != (value is not None):
                raise ConfigError(f"{where}: {key} and on = [{trigger!r}] need each other")
        if self.every is not None and self.every < self.period:
            raise ConfigError(f"{where}: every is shorter than period, which forbids the start")
        if self.export and is_url(self.export):
            try:
                store = parse_store_url(self.export)
            except ConfigError as error:
                raise ConfigError(f"{where}.export: {error}") from None
            if store.read_only:
                raise ConfigError(f"{where}.export: nothing can be written to {store}")

    def _check_keys(self, where: str) -> None:
        optional, needed = (one.split() for one in _KEYS[self.target])
        for key in needed:
            if not getattr(self, key):
                raise ConfigError(f"{where}: {key} is missing, target {self.target} needs it")
        allowed = {*optional, *needed} | ({"url"} if self.target == _OPTIONAL_URL else set())
        for key in {one for both in _KEYS.values() for part in both for one in part.split()}:
            if key not in allowed and getattr(self, key):
                raise ConfigError(f"{where}: {key} is no key of target {self.target}")
        if self.target == "airflow" and bool(self.dag) == bool(self.asset):
            raise ConfigError(f"{where}: target airflow needs dag or asset, one of them")
        if self.target == "github":
            if self.repository.count("/") != 1:
                raise ConfigError(
                    f"{where}: repository is {self.repository!r}, expected owner/name"
                )
            if bool(self.workflow) != bool(self.ref):
                raise ConfigError(f"{where}: workflow and ref need each other")
            if self.secret_file is None and not self.secret_env:
                raise ConfigError(f"{where}: target github needs secret_file or secret_env")

    def _check_url(self, where: str) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            raise ConfigError(f"{where}: url cannot be read, expected http://HOST/PATH") from None
        if self.url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ConfigError(f"{where}: url is no http:// or https:// with a host")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                f"{where}: url has credentials or a query; give secrets by secret_file or "
                "secret_env"
            )


def check_retrain(retrain: tuple[RetrainOptions, ...]) -> None:
    """Whether each is right, and no two are of one model.

    Raises:
        ConfigError: One is not, or two are.
    """
    seen: set[str] = set()
    for one in retrain:
        if one.model in seen:
            raise ConfigError(f"retrain: two tables are of model {one.model!r}, expected one")
        seen.add(one.model)
        one.check()
