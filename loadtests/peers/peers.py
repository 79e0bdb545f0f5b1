"""The peers: pinned versions, how each is started on one core, and how it is spoken to."""

from __future__ import annotations

import json
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.loadtests.contestants import Contestant, Launch, Stage, single_core_environment
from penstock.loadtests.encodings import (
    MLFLOW_JSON,
    ROWS_JSON,
    ROWS_MSGPACK,
    V2_BINARY,
    V2_JSON,
    Encoding,
)
from penstock.loadtests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERVICES = Path(__file__).resolve().parent / "services"
ENVIRONMENTS = Path(__file__).resolve().parent / ".venvs"

#: The one that Penstock runs with here, for all of them.
ONNXRUNTIME = f"onnxruntime=={version('onnxruntime')}"
_NUMPY = "numpy==2.4.6"
_UVICORN = "uvicorn[standard]==0.54.0"
_ORJSON = "orjson==3.13.0"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment of its own, shared by the variants of one peer.

    Attributes:
        name: Its folder.
        requirements: Pinned; the first is the peer itself.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """A program installed in it."""
        return ENVIRONMENTS / self.name / "bin" / name


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer in one configuration."""

    environment: Environment
    contestant: Contestant


MOSEC = Environment("mosec", ("mosec==0.9.8", _ORJSON, "msgpack==1.2.4", ONNXRUNTIME, _NUMPY))
PYTRITON = Environment("pytriton", ("nvidia-pytriton==0.7.0", ONNXRUNTIME))
FASTAPI = Environment("fastapi", ("fastapi==0.165.0", _UVICORN, ONNXRUNTIME, _NUMPY))
MLSERVER = Environment("mlserver", ("mlserver==1.7.1", ONNXRUNTIME))
LITSERVE = Environment("litserve", ("litserve==0.2.19", _UVICORN, ONNXRUNTIME, _NUMPY))
BENTOML = Environment("bentoml", ("bentoml==1.4.39", ONNXRUNTIME, _NUMPY))
MLFLOW = Environment("mlflow", ("mlflow==3.17.2", "onnx==1.23.2", ONNXRUNTIME))
RAY = Environment("ray", ("ray[serve]==2.60.0", ONNXRUNTIME, _NUMPY))


def peers() -> list[Peer]:
    """Every peer, the fastest first as far as known."""
    rows = {"json": ROWS_JSON}
    packed = {"json": ROWS_JSON, "msgpack": ROWS_MSGPACK}
    triton = {"json": V2_JSON, "binary": V2_BINARY}
    return [
        _peer(MOSEC, "mosec", _mosec(1), packed, _mosec_paths, "no batching, orjson"),
        _peer(MOSEC, "mosec-batching", _mosec(64), packed, _mosec_paths, "64 rows or 1 ms"),
        _peer(PYTRITON, "pytriton", _pytriton, triton, _v2_paths, "64 rows, no delay"),
        _peer(FASTAPI, "fastapi", _script(FASTAPI), rows, _predict, "async def, pydantic, uvloop"),
        _peer(MLSERVER, "mlserver", _mlserver, {"json": V2_JSON}, _v2_paths, "in process"),
        _peer(MLFLOW, "mlflow", _mlflow, {"json": MLFLOW_JSON}, _invocations, "one worker"),
        _peer(LITSERVE, "litserve", _script(LITSERVE), rows, _predict, "ZeroMQ queue"),
        _peer(
            LITSERVE, "litserve-batching", _litserve_batching, rows, _predict, "64 rows, no wait"
        ),
        _peer(BENTOML, "bentoml", _bentoml, rows, _predict, "one worker, logs and metrics off"),
        _peer(RAY, "ray-serve", _ray, rows, _predict, "one replica, throughput mode"),
    ]


def _peer(
    environment: Environment,
    name: str,
    launch: Callable[[Stage], Launch],
    encodings: Mapping[str, Encoding],
    paths: Callable[[str, str], list[str]],
    note: str,
) -> Peer:
    version = environment.requirements[0]
    contestant = Contestant(
        name, launch, encodings, paths, ready_seconds=120.0, note=f"{version}: {note}"
    )
    return Peer(environment, contestant)


def _predict(_model: str, _encoding: str) -> list[str]:
    return ["/predict"]


def _invocations(_model: str, _encoding: str) -> list[str]:
    return ["/invocations"]


def _mosec_paths(_model: str, encoding: str) -> list[str]:
    return ["/msgpack" if encoding == "msgpack" else "/inference"]


def _v2_paths(model: str, _encoding: str) -> list[str]:
    return [f"/v2/models/{model}/infer"]


def _settings(stage: Stage, environment: Environment, **more: str) -> dict[str, str]:
    """What every service reads, with the peer's own programs first on the path."""
    base = single_core_environment()
    return {
        **base,
        "PATH": f"{environment.program('')}:{base['PATH']}",
        "PYTHONPATH": str(SERVICES),
        "MODEL_PATH": str(stage.model.path),
        "MODEL_NAME": stage.model.name,
        "PORT": str(stage.port),
        **more,
    }


def _script(environment: Environment, **more: str) -> Callable[[Stage], Launch]:
    """A service that is a script of its own."""

    def launch(stage: Stage) -> Launch:
        command = [str(environment.python), str(SERVICES / f"{environment.name}_service.py")]
        return Launch(command, _settings(stage, environment, **more), stage.directory)

    return launch


def _mosec(batch: int) -> Callable[[Stage], Launch]:
    def launch(stage: Stage) -> Launch:
        command = [str(MOSEC.python), str(SERVICES / "mosec_service.py")]
        command += ["--address", "127.0.0.1", "--port", str(stage.port), "--log-level", "warning"]
        return Launch(command, _settings(stage, MOSEC, BATCH=str(batch)), stage.directory)

    return launch


def _litserve_batching(stage: Stage) -> Launch:
    return _script(LITSERVE, BATCH="64")(stage)


def _pytriton(stage: Stage) -> Launch:
    """Its stub must find the libpython of this interpreter before an older one of the system."""
    more = {"GRPC_PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    more["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    return _script(PYTRITON, **more)(stage)


def _ray(stage: Stage) -> Launch:
    return _script(RAY, RAY_SERVE_THROUGHPUT_OPTIMIZED="1", RAY_USAGE_STATS_ENABLED="0")(stage)


def _mlserver(stage: Stage) -> Launch:
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": stage.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "gzip_enabled": False,
    }
    model = {"name": stage.model.name, "implementation": "mlserver_service.OnnxRuntime"}
    (stage.directory / "settings.json").write_text(json.dumps(settings))
    (stage.directory / "model-settings.json").write_text(json.dumps(model))
    command = [str(MLSERVER.program("mlserver")), "start", str(stage.directory)]
    return Launch(command, _settings(stage, MLSERVER), stage.directory)


def _bentoml(stage: Stage) -> Launch:
    command = [str(BENTOML.program("bentoml")), "serve", "bentoml_service:Service"]
    command += ["--host", "127.0.0.1", "--port", str(stage.port), "--working-dir", str(SERVICES)]
    more = {"BENTOML_HOME": str(stage.directory), "BENTOML_DO_NOT_TRACK": "True"}
    return Launch(command, _settings(stage, BENTOML, **more), stage.directory)


def _mlflow(stage: Stage) -> Launch:
    """Saved in MLflow's own format first, by the same start: its server reads nothing else."""
    saved = stage.directory / "model"
    save = f"{MLFLOW.python} {SERVICES / 'mlflow_save.py'} {saved}"
    serve = (
        f"{MLFLOW.program('mlflow')} models serve -m {saved} --env-manager local "
        f"-h 127.0.0.1 -p {stage.port} -w 1"
    )
    command = ["/bin/sh", "-c", f"{save} && exec {serve}"]
    return Launch(
        command, _settings(stage, MLFLOW, MLFLOW_DISABLE_TELEMETRY="true"), stage.directory
    )
