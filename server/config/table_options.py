"""Options that are tables of ``penstock.toml``, and nothing else: no variable, no flag."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from .follow_options import FollowOptions
from .retrain_options import MOST, RetrainOptions, check_retrain


@dataclass(frozen=True)
class TableOptions:
    """The part of `penstock.server.config.config.ServerConfig` that is tables."""

    follow: FollowOptions = field(default_factory=FollowOptions)
    retrain: Annotated[tuple[RetrainOptions, ...], msgspec.Meta(max_length=MOST)] = ()

    def tables(self) -> dict[str, Any]:
        """The tables as JSON values."""
        return {
            "follow": msgspec.to_builtins(self.follow, enc_hook=str),
            "retrain": msgspec.to_builtins(self.retrain, enc_hook=str),
        }

    def check_tables(self, store: str) -> None:
        """Whether the tables can be used.

        Args:
            store: URL of the registry, if it is in a store.

        Raises:
            ConfigError: One cannot.
        """
        self.follow.check(store)
        check_retrain(self.retrain)
