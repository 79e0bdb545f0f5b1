"""``[follow]`` of ``penstock.toml``: registries of other tools whose aliases are followed.

[follow.mlflow]                    # or [[follow.mlflow]], several times
uri = "http://mlflow:5000"         # tracking server
model = "churn"                    # registered model
alias = "champion"
as = "churn"                       # name it is served under; the registered model's by default
poll_seconds = 10                  # between two looks at the alias
restore_alias = true               # after an aborted rollout the alias is set back
webhook_secret_file = "hook.key"   # secret of a webhook to /admin/webhooks/mlflow
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from penstock.server.files.config_error import ConfigError

from .store_url import parse_store_url

_MOST: Final = 100
_NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z"
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512, description="a text")]


class MlflowOptions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"served_as": "as"}
):
    """One alias of an MLflow model registry.

    Attributes:
        uri: Address of the tracking server, without credentials: MLflow reads those from the
            environment (``MLFLOW_TRACKING_USERNAME``, ``MLFLOW_TRACKING_TOKEN`` and so on).
        model: Name of the registered model.
        alias: The alias.
        served_as: Name that the model is served under; empty for that of the registered model.
        poll_seconds: Between two looks at the alias.
        restore_alias: Whether the alias is set back to the stable version when a rollout of its
            version is aborted.
        webhook_secret_file: File with the secret of the webhook; ``None`` takes no webhook.
    """

    uri: _Text
    model: _Text
    alias: _Text = "champion"
    served_as: Annotated[
        str, msgspec.Meta(pattern=rf"{_NAME}|^\Z", description="a model's name")
    ] = ""
    poll_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=86_400)] = 10.0
    restore_alias: bool = False
    webhook_secret_file: Path | None = None

    @property
    def name(self) -> str:
        """Name that the model is served under."""
        return self.served_as or self.model


class FollowOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is followed.

    Attributes:
        mlflow: Aliases of MLflow.
    """

    mlflow: (
        MlflowOptions | Annotated[tuple[MlflowOptions, ...], msgspec.Meta(max_length=_MOST)]
    ) = ()

    @property
    def aliases(self) -> tuple[MlflowOptions, ...]:
        """The aliases of MLflow, also where there is one table."""
        return self.mlflow if isinstance(self.mlflow, tuple) else (self.mlflow,)

    def check(self, store: str) -> None:
        """Whether no two are served under one name, and no address has credentials.

        Args:
            store: URL of the registry, if it is in a store.

        Raises:
            ConfigError: Two are, or one has; or nothing can be published in the registry.
        """
        if store and self.aliases and parse_store_url(store).read_only:
            raise ConfigError(
                f"follow.mlflow publishes versions, and {store} is read-only; expected a "
                "directory, or the bucket that is behind it"
            )
        names: set[str] = set()
        for one in self.aliases:
            if one.name in names:
                raise ConfigError(f"follow.mlflow: two are served as {one.name!r}; expected one")
            if "@" in one.uri:
                raise ConfigError(
                    "follow.mlflow.uri has credentials; give them in the environment: "
                    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                    "MLFLOW_TRACKING_TOKEN"
                )
            names.add(one.name)
