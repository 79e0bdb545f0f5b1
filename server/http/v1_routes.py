"""The routes beside predictions that clients of TensorFlow Serving, KServe v1 and MLflow ask for.

Also those of the clouds: SageMaker's ``/ping`` and ``/models``, and ``/health``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from penstock.monitoring.distribution import server_version
from penstock.server.errors import ApiError, Conflict, InvalidRequest, NotFound, NotSupported
from penstock.server.inference.prediction_paths import DEFAULT_PATHS
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON
from penstock.server.serving.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from penstock.runtimes.contract import TensorSpec
    from penstock.server.serving.catalog import Catalog

_MODEL: Final = "segment"
_MAX_BODY_BYTES: Final = 64 * 1024
#: Our states in the words of TensorFlow Serving.
_STATES: Final = {
    State.NEW: "START",
    State.LOADING: "LOADING",
    State.READY: "AVAILABLE",
    State.DRAINING: "UNLOADING",
    State.UNLOADED: "END",
    State.FAILED: "END",
}
#: TensorFlow's names of datatypes.
_TYPES: Final = {
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BF16": "DT_BFLOAT16",
    "BYTES": "DT_STRING",
}


class _Segment(StringConvertor):
    """A name in a path that a verb may follow, as in ``/v1/models/m:predict``."""

    regex = "[^/:]+"


register_url_convertor(_MODEL, _Segment())


class V1Routes:
    """The handlers of these routes.

    Args:
        catalog: The served models; called once they are there.
    """

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """All routes."""
        name = f"{{version:{_MODEL}}}"
        places = ("", f"/versions/{name}", f"/labels/{name}")
        models = [f"/v1/models/{{model:{_MODEL}}}{place}" for place in places]
        verbs = [f"{path}:{verb}" for path in models for verb in ("predict", "classify", "regress")]
        predictions = [*verbs, *sorted(DEFAULT_PATHS), "/models/{model}/invoke"]
        return [
            *[Route(path, _predict, methods=["POST"]) for path in predictions],
            Route("/v1/models", self._models),
            *[Route(f"{path}:explain", _explain, methods=["POST"]) for path in models],
            *[Route(f"{path}/metadata", self._metadata) for path in models],
            *[Route(path, self._model) for path in models],
            Route("/ping", self._ping),
            Route("/health", self._ping),
            Route("/version", _version),
            Route("/models", self._sagemaker_models),
            Route("/models", self._sagemaker_load, methods=["POST"]),
            Route("/models/{model}", self._sagemaker_model),
            Route("/models/{model}", _sagemaker_unload, methods=["DELETE"]),
        ]

    async def _models(self, _: Request) -> Response:
        """KServe v1: the names of the models that answer."""
        models = self._catalog().models
        return _json({"models": sorted(name for name, one in models.items() if one.default)})

    async def _model(self, request: Request) -> Response:
        """The status of a model: KServe's ``ready``, and TensorFlow Serving's versions."""
        catalog = self._catalog()
        name, version = request.path_params["model"], request.path_params.get("version")
        number, ready = version, True
        try:
            number = catalog.find(name, version).version
        except ApiError:
            if not catalog.knows(name, version):
                raise
            ready = False
        versions = [
            _version_status(number_, status.state, status.told)
            for (model, number_), status in sorted(
                catalog.statuses.items(), key=lambda item: -int(item[0][1])
            )
            if model == name and (version is None or number_ == number)
        ]
        content = {"name": name, "ready": ready, "model_version_status": versions}
        return _json(content, 200 if ready else 503)

    async def _metadata(self, request: Request) -> Response:
        """TensorFlow Serving's description of the signature."""
        servable = self._catalog().find(
            request.path_params["model"], request.path_params.get("version")
        )
        definition = {
            "inputs": {one.name: _tensor(one) for one in servable.signature.inputs},
            "outputs": {one.name: _tensor(one) for one in servable.signature.outputs},
            "method_name": "tensorflow/serving/predict",
        }
        spec = {"name": servable.name, "signature_name": "", "version": servable.version}
        signatures = {"signature_def": {"serving_default": definition}}
        content = {"model_spec": spec, "metadata": {"signature_def": signatures}}
        return _json(content)

    async def _ping(self, _: Request) -> Response:
        """MLflow and SageMaker: whether the server, and its default model, can answer."""
        catalog = self._catalog()
        why = catalog.why_not_ready()
        if why:
            return _json({"error": why}, 503)
        try:
            name = catalog.default_name()
        except NotFound:  # a server of several models answers for itself
            name = ""
        if name:
            catalog.find(name)
        return Response("\n", media_type=JSON)

    async def _sagemaker_models(self, _: Request) -> Response:
        """SageMaker: the loaded models."""
        return _json({"models": [_sagemaker(name) for name in sorted(self._catalog().models)]})

    async def _sagemaker_model(self, request: Request) -> Response:
        """SageMaker: a loaded model."""
        return _json(_sagemaker(self._catalog().find(request.path_params["model"]).name))

    async def _sagemaker_load(self, request: Request) -> Response:
        """SageMaker: load a model; models come from the registry, so it is there or it is not."""
        body = await read_body(request, _MAX_BODY_BYTES)
        try:
            name = orjson.loads(body)["model_name"]
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest("the body has no 'model_name'") from None
        if not isinstance(name, str) or name not in self._catalog().models:
            raise NotFound(f"model {str(name)[:80]!r} is not in the registry; push it there")
        raise Conflict(f"model {name!r} is loaded already")


async def _predict(request: Request) -> Response:
    """Refuse other methods than POST on prediction paths; predictions are served before."""
    raise NotFound(f"no route {request.url.path}; see /docs")


async def _explain(_: Request) -> Response:
    raise NotSupported("there is no explainer; POST :predict gives predictions")


async def _sagemaker_unload(_: Request) -> Response:
    raise NotSupported("models are unloaded on the admin port, not here")


async def _version(_: Request) -> Response:
    return PlainTextResponse(server_version())


def _version_status(number: str, state: State, told: str) -> dict[str, Any]:
    code = "UNKNOWN" if state is State.FAILED else "OK"
    status = {"error_code": code, "error_message": told if state is State.FAILED else ""}
    return {"version": number, "state": _STATES[state], "status": status}


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in spec.shape]
    return {
        "dtype": _TYPES.get(spec.datatype, "DT_INVALID"),
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": f"{spec.name}:0",
    }


def _sagemaker(name: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": f"registry/{name}"}


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type=JSON)
