"""The target of a configuration: one line for each tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.http_exchange import Exchange
from penstock.server.config.retrain_options import GITHUB

from .airflow import Airflow
from .command import CommandTarget
from .dagster import Dagster
from .flyte import Flyte
from .github import GitHub
from .http_api import HttpApi
from .kubeflow import Kubeflow
from .prefect import Prefect
from .secret import Secret
from .webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.config.retrain_options import RetrainOptions

    from .contract import Target


#: By the name in the configuration.
_TARGETS: Final[dict[str, Callable[[RetrainOptions, HttpApi], Target]]] = {
    "webhook": lambda _, api: Webhook(api),
    "github": lambda one, api: GitHub(api, one.repository, one.workflow, one.ref),
    "airflow": lambda one, api: Airflow(api, one.dag, one.asset),
    "prefect": lambda one, api: Prefect(api, one.deployment),
    "dagster": lambda one, api: Dagster(api, one.job, one.location, one.repository, one.parameters),
    "kubeflow": lambda one, api: Kubeflow(api, one.pipeline, one.pipeline_version, one.experiment),
    "flyte": lambda one, api: Flyte(
        api, one.project, one.domain, one.launch_plan, one.launch_plan_version
    ),
}


def target_of(options: RetrainOptions, place: Path, clock: Callable[[], float]) -> Target:
    """The target of one ``[[retrain]]``.

    Args:
        options: The table.
        place: Directory for the runs of a command.
        clock: Unix seconds.
    """
    if options.target == "command":
        return CommandTarget(options.command, place)
    root = options.url or (GITHUB if options.target == "github" else "")
    exchange = Exchange(options.timeout_seconds, options.ca_file)
    secret = Secret(options.secret_file, options.secret_env)
    return _TARGETS[options.target](options, HttpApi(root, exchange, secret, clock))
