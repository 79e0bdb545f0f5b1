"""Options about what the operator trusts: nothing in a registry can say this of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.server.files.config_error import ConfigError

from .option import option


@dataclass(frozen=True)
class TrustOptions:
    """The part of `penstock.server.config.config.ServerConfig` that allows code to run."""

    allow_code: str = option(
        "",
        "Models that may run code of their own (model.py, TorchScript, ...), separated by commas.",
    )
    trusted_types: str = option(
        "",
        "More types for model.skops files than skops trusts, such as "
        "my_package.MyTransformer, separated by commas.",
    )
    operator_libraries: str = option(
        "",
        "Libraries of custom ONNX operators: absolute paths outside of the registry, "
        "separated by colons.",
    )

    def may_run_code(self, model: str) -> bool:
        """Whether the files of a model may hold code, which is run."""
        return model in names_of(self.allow_code)

    def libraries(self) -> tuple[str, ...]:
        """`operator_libraries`, one by one."""
        return tuple(one for one in self.operator_libraries.split(":") if one)

    def check_libraries(self, registry: Path) -> None:
        """Whether the libraries are there, and not where models are put.

        Args:
            registry: The model repository.

        Raises:
            ConfigError: One of them is no absolute path of a file, or lies in the registry.
        """
        for one in self.libraries():
            path = Path(one)
            if not path.is_absolute() or not path.is_file():
                raise ConfigError(
                    f"operator_libraries names {one!r}, expected the absolute path of a library"
                )
            if path.resolve().is_relative_to(registry.resolve()):
                raise ConfigError(
                    f"operator_libraries names {one!r}, which is in the registry: a push could "
                    "put code there; move the library"
                )


def names_of(text: str) -> tuple[str, ...]:
    """The names in a text that has a comma between two of them."""
    return tuple(name for one in text.split(",") if (name := one.strip()))
