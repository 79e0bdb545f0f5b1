"""Clients of Triton's kind that PyPI has: KServe's by gRPC, grpcurl, perf_analyzer.

They live in an environment of their own, see ``clients/requirements.txt``.
"""

from __future__ import annotations

import csv
import json
import os
import re

import httpx
import numpy as np
import pytest

SERVICE = "inference.GRPCInferenceService"
#: Of each run of perf_analyzer.
REQUESTS = 200


@pytest.mark.client("kserve", "gRPC client")
def test_kserve_speaks_grpc(programs, triton_like):
    found = programs.python("kserve_grpc.py", triton_like.grpc_address, "digits")
    assert [found[f"{what}ready"] for what in ("", "model ", "nobody ")] == [True, True, False]
    assert found["live"] is True
    assert found["raw"] == found["typed"]
    assert (found["raw"]["id"], found["raw"]["version"]) == ("mine", "1")
    assert (len(found["raw"]["labels"]), found["raw"]["shape"]) == (2, [2, 10])
    assert found["refused"][0] == "NOT_FOUND"
    assert "model 'nobody' is not served" in found["refused"][1]


@pytest.fixture
def grpcurl(programs, triton_like):
    """Calls grpcurl without a description of the service: it asks the server for one."""

    def call(*arguments, given=None, options=()):
        program = programs.folder / "bin" / "grpcurl"
        asked = (program, "-plaintext", *options, triton_like.grpc_address, *arguments)
        return programs.run(*asked, given=given)

    return call


@pytest.mark.client("grpcurl", "list, describe, health, ModelInfer by reflection")
def test_grpcurl_finds_the_service_by_reflection(grpcurl):
    assert {SERVICE, "grpc.health.v1.Health"} <= set(grpcurl("list").split())
    assert "rpc ModelInfer (" in grpcurl("describe", SERVICE)
    assert json.loads(grpcurl("grpc.health.v1.Health/Check")) == {"status": "SERVING"}
    words = {"bytes_contents": ["YQ==", "", "w7w="]}
    request = {
        "model_name": "texts",
        "inputs": [
            {"name": "words", "datatype": "BYTES", "shape": [1, 3], "contents": words},
            {
                "name": "number",
                "datatype": "INT64",
                "shape": [1, 1],
                "contents": {"int64_contents": [2**53 + 1]},
            },
        ],
    }
    answer = json.loads(
        grpcurl(f"{SERVICE}/ModelInfer", given=json.dumps(request), options=("-d", "@"))
    )
    outputs = {one["name"]: one["contents"] for one in answer["outputs"]}
    assert outputs["out words"]["bytes_contents"] == words["bytes_contents"]
    assert outputs["out number"]["int64_contents"] == [str(2**53 + 1)]


@pytest.mark.client("grpcurl", "ModelStreamInfer by reflection")
def test_grpcurl_sends_a_stream(grpcurl):
    row = {"name": "features", "datatype": "FP32", "shape": [1, 64]}
    requests = [
        {
            "model_name": "digits",
            "id": str(number),
            "inputs": [{**row, "contents": {"fp32_contents": [float(number)] * 64}}],
        }
        for number in range(3)
    ]
    said = grpcurl(
        f"{SERVICE}/ModelStreamInfer",
        given="\n".join(map(json.dumps, requests)),
        options=("-d", "@"),
    )
    assert re.findall(r'"id": "(\d)"', said) == ["0", "1", "2"]
    assert "error_message" not in said


@pytest.mark.client("grpcurl", "RepositoryIndex, RepositoryModelLoad, RepositoryModelUnload")
def test_grpcurl_loads_and_unloads_models_on_the_admin_port(programs, triton_like):
    program = programs.folder / "bin" / "grpcurl"
    address = triton_like.admin_grpc_address
    token = (triton_like.state / "admin-token").read_text().strip()

    def call(method, request, *options):
        asked = ("-plaintext", *options, "-d", json.dumps(request), address)
        return programs.run(program, *asked, f"{SERVICE}/{method}")

    def states():
        found = json.loads(call("RepositoryIndex", {}, *allowed))["models"]
        return {one["version"]: one["state"] for one in found if one["name"] == "texts"}

    allowed = ("-H", f"authorization: Bearer {token}")
    assert states() == {"1": "READY"}
    texts = {"model_name": "texts"}
    with pytest.raises(AssertionError, match="Code: Unauthenticated"):
        call("RepositoryModelUnload", texts)
    call("RepositoryModelUnload", texts, *allowed)
    assert states()["1"] != "READY"
    with pytest.raises(AssertionError, match=r"Code: NotFound(.|\n)*nobody"):
        call("RepositoryModelLoad", {"model_name": "nobody"}, *allowed)
    one = {"version": {"string_param": "1"}}
    call("RepositoryModelLoad", {**texts, "parameters": one}, *allowed)
    assert states() == {"1": "READY"}


@pytest.fixture
def perf_analyzer(programs, triton_like, tmp_path):
    """Runs perf_analyzer; returns the requests that each of its steps has counted."""
    program = programs.folder / "bin" / "perf_analyzer"
    (library,) = programs.folder.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}

    def analyze(port, model, *options):
        address = {"http": triton_like.url.partition("//")[2], "grpc": triton_like.grpc_address}
        report = tmp_path / "report.csv"
        said = programs.run(
            *(program, "-i", port, "-u", address[port], "-m", model, "-f", report, *options),
            env=environment,
        )
        with report.open() as lines:
            rates = [float(one["Inferences/Second"]) for one in csv.DictReader(lines)]
        assert rates, said
        assert min(rates) > 0, said
        # What it says of the server, it has read from the statistics of the model.
        assert all(map(int, re.findall(r"Successful request count: (\d+)", said))), said
        return [int(one) for one in re.findall(r" Request count: (\d+)", said)]

    return analyze


def figures(server, model):
    """Requests that a server has answered, failed ones, and rows."""
    stats = httpx.get(f"{server.url}/v2/models/{model}/stats", timeout=60).json()["model_stats"][0]
    counts = [stats["inference_stats"][name]["count"] for name in ("success", "fail")]
    return np.array([*counts, stats["inference_count"]])


DIGITS = ("digits", "-b", "4")
TEXTS = ("texts", "--string-length", "7")


@pytest.mark.client("perf_analyzer", "HTTP and gRPC: batches, concurrency, request rate, BYTES")
@pytest.mark.parametrize(
    ("port", "asked", "rows"),
    [
        ("http", (*DIGITS, "--concurrency-range", "8"), 4),
        ("http", (*DIGITS, "--async", "--concurrency-range", "8"), 4),
        ("http", (*DIGITS, "--request-rate-range", "200"), 4),
        ("http", (*TEXTS, "--concurrency-range", "4"), 1),
        ("http", (*TEXTS, "--input-tensor-format", "json", "--output-tensor-format", "json"), 1),
        ("grpc", (*DIGITS, "--concurrency-range", "8"), 4),
        ("grpc", (*DIGITS, "--async", "--concurrency-range", "8"), 4),
        ("grpc", (*DIGITS, "--request-rate-range", "200", "--request-distribution", "poisson"), 4),
        ("grpc", (*DIGITS, "--streaming", "--async", "--concurrency-range", "8"), 4),
        ("grpc", (*DIGITS, "--grpc-compression-algorithm", "gzip"), 4),
        ("grpc", (*TEXTS, "--concurrency-range", "4"), 1),
    ],
)
def test_perf_analyzer_runs_to_its_end(perf_analyzer, triton_like, port, asked, rows):
    before = figures(triton_like, asked[0])
    assert perf_analyzer(port, *asked, "--request-count", REQUESTS) == [REQUESTS]
    answered, failed, counted = figures(triton_like, asked[0]) - before
    assert answered >= REQUESTS
    assert (failed, counted) == (0, answered * rows)


@pytest.mark.client("perf_analyzer", "HTTP and gRPC: batches, concurrency, request rate, BYTES")
def test_perf_analyzer_climbs_a_range_of_concurrency(perf_analyzer):
    windows = ("--measurement-mode", "count_windows", "--measurement-request-count", "100")
    # It takes windows until three in a row differ by no more than this, in per cent.
    options = ("-s", "100000", "-r", "3", "-p", "100", *windows)
    counted = perf_analyzer("grpc", "digits", "--concurrency-range", "1:5:4", *options)
    assert len(counted) == 2
    assert min(counted) >= 100


@pytest.mark.client("perf_analyzer", "shared memory", "refused by design")
@pytest.mark.parametrize("port", ["http", "grpc"])
def test_perf_analyzer_is_told_that_there_is_no_shared_memory(perf_analyzer, port):
    with pytest.raises(AssertionError, match="there is no shared memory"):
        perf_analyzer(port, "digits", "--shared-memory", "system")
