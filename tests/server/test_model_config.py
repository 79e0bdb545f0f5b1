"""model.toml: strict, with errors that name key and expectation."""

from __future__ import annotations

import os

import pytest

from penstock.batching.options import BatchingOptions
from penstock.runtimes.discovery import only_built_in
from penstock.server.config.model_config import ModelConfig, parse_model_config, read_model_config
from penstock.server.config.version_policy import VersionPolicy
from penstock.server.files.config_error import ConfigError


@pytest.fixture(autouse=True)
def _no_plug_ins_of_other_tests():
    only_built_in.cache_clear()
    yield
    only_built_in.cache_clear()


def read(tmp_path, text):
    path = tmp_path / "model.toml"
    path.write_text(text)
    return read_model_config(path)


def test_an_empty_file_is_the_default(tmp_path):
    assert read(tmp_path, "") == ModelConfig()


def test_everything_is_read(tmp_path):
    config = read(
        tmp_path,
        """
        platform = "onnx_onnxv1"
        version_policy = { specific = [1, 4] }
        default_version = 4
        threads = 2
        [batching]
        slo_milliseconds = 50
        max_batch_size = 8
        weight = 3
        [runtime]
        graph_optimization_level = "all"
        """,
    )
    assert config.platform == "onnx_onnxv1"
    assert config.version_policy == VersionPolicy(specific=(1, 4))
    assert (config.default_version, config.threads) == (4, 2)
    assert config.batching == BatchingOptions(slo_seconds=0.05, max_batch_size=8, weight=3.0)
    assert config.settings == {"graph_optimization_level": "all"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plattform = 'x'", "unknown key plattform; did you mean platform"),
        ("platform = 3", "platform is 3"),
        ("version_policy = 'newest'", "expected 'all', { latest = 2 }"),
        ("version_policy = { latest = 0 }", "version_policy.latest is 0"),
        ("version_policy = { latest = 1, specific = [1] }", "expected 'all'"),
        ("version_policy = { specific = [] }", "expected 'all'"),
        ("version_policy = { specific = ['1'] }", "version_policy.specific[0] is '1', expected"),
        ("default_version = true", "default_version is True"),
        ("threads = 0", "threads is 0, expected a whole number from 1 to 256"),
        ("batching = 3", "batching is 3, expected a table"),
        ("batching.max_batchsize = 3", "did you mean max_batch_size"),
        ("batching.slo_seconds = 3", "did you mean slo_milliseconds"),
        ("batching.slo_milliseconds = 'fast'", "expected a number"),
        (
            "batching.slo_milliseconds = -1",
            "slo_milliseconds is -1, expected a number, more than 0",
        ),
        (
            "batching.max_batch_size = 0",
            "batching.max_batch_size is 0, expected a whole number from 1 to 65536",
        ),
        ("batching.max_batch_size = 1.5", "expected a whole number"),
        ("batching.background = 1", "expected true or false"),
        ("batching.weight = inf", "expected a finite number"),
        ("runtime = 'fast'", "runtime is 'fast', expected a table"),
        ("x = = 1", "not valid TOML"),
        ("threads = 100000", "threads is 100000, expected a whole number from 1 to 256"),
        ("threads = true", "threads is True"),
        ("threads = 1" + "0" * 400, "expected a finite number"),
        ("batching.max_batch_size = 1000000000000", "from 1 to 65536"),
        ("batching.max_queue_rows = 1000000000000", "from 1 to 16777216"),
        ("batching.priority = 10000000", "from 0 to 1000000"),
        ("batching.max_hold_seconds = 1e9", "from 0 to 60"),
        ("batching.weight = 1e12", "at most 1000000"),
        ("batching.slo_milliseconds = 1e12", "at most 86400000"),
        ("version_policy = { latest = 9007199254740993 }", "expected a finite number"),
        (f"version_policy.specific = {list(range(1, 10_002))}", "at most 10000 versions"),
        ("rollout.hold = '" + "9" * 400 + "d'", "expected a duration such as 300, '90s'"),
        ("rollout.deadline = '4000d'", "at most 3650d"),
        ("monitoring.window_rows = 1000000000000", "from 1 to 10000000"),
        ("monitoring.psi_warn = nan", "expected a finite number"),
        ("quality.fields.age.min = 1e400", "expected a finite number"),
        ("platform = 'onnx'", "platform is 'onnx', expected 'onnx_onnxv1'"),
        (
            "runtime.graph_optimisation_level = 'all'",
            "unknown key runtime.graph_optimisation_level; did you mean graph_optimization_level",
        ),
        ("signature = 'strict'", "signature is 'strict', expected one of compatible, any"),
        (
            "on_push = 'wate'",
            "on_push is 'wate', expected one of serve, wait, canary; did you mean wait?",
        ),
        ("isolation = true", "isolation is True, expected one of process, worker"),
        ("load_timeout_seconds = 0", "expected a number from 1 to 86400"),
        ("version_policy = { latst = 1 }", "unknown key version_policy.latst; did you mean latest"),
        ("process.cuont = 2", "unknown key process.cuont; did you mean count?"),
        ("process.count = '2'", "process.count is '2', expected a whole number from 1 to 64"),
        ("process.memory_bytes = '1MiB'", "memory_bytes is '1MiB', expected a size such as"),
        ("process = 1", "process is 1, expected a table"),
        ("runtime.text_colums = []", "runtime.text_colums; did you mean text_columns?"),
        ("runtime.text_columns = 'city'", "text_columns is 'city', expected a list"),
        ("platform = 'xgboost'\nruntime.x = 1", "unknown key runtime.x; expected no keys"),
        ("segments = 'country'", "segments is 'country', expected a list"),
        ("segments = ['a', 'b', 'a']", "expected each input once"),
        ("segments = ['a', 'b', 'c', 'd', 'e']", "a list of at most 4 inputs"),
        ("segments = ['header:X-Plan', 'header:x-plan']", "expected each input once"),
        ("segments = ['header:']", "expected header: and the name of a request header"),
        ("segments = ['header:x plan']", "such as header:x-plan"),
        ("segments = ['header:Authorization']", "whose values are secret or differ"),
        ("segments = ['']", "segments[0] is '', expected the name of an input"),
        ("log.drop = [" + "'a', " * 1000 + "1]", "log.drop[1000] is 1, expected the name"),
    ],
)
def test_a_mistake_is_explained(tmp_path, text, message):
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    assert message in str(raised.value)
    assert str(tmp_path / "model.toml") in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "runtime.text_columns = ['city']",
        "runtime.inputs.x = ['FP32', [-1, 4]]",
        "runtime.speed = 3",  # a parameter of the model's own code, perhaps
        "platform = 'python'\nruntime.outputs = 3",
        "runtime.batch_axis = true",
    ],
)
def test_settings_of_any_runtime_need_no_platform(tmp_path, text):
    assert read(tmp_path, text).settings


def test_a_header_has_no_case(tmp_path):
    text = "segments = ['Country', 'header:X-Plan']"
    assert read(tmp_path, text).segments == ("Country", "header:x-plan")


def test_a_size_may_have_a_unit(tmp_path):
    for text in ("'2GiB'", "2147483648"):
        assert read(tmp_path, f"process.memory_bytes = {text}").process.memory_bytes == 2 << 30


def test_a_huge_file_is_not_read(tmp_path):
    with pytest.raises(ConfigError, match="larger than"):
        read(tmp_path, "#" * (1 << 20) + "\n")


def test_no_message_is_longer_than_a_person_reads(tmp_path):
    for text in (
        f"threads = '{'9' * 100_000}'",
        f"platform = {[1] * 100_000}",
        f"version_policy.specific = {['1'] * 9_000}",
        f"{'k' * 100_000} = 1",
    ):
        with pytest.raises(ConfigError) as raised:
            read(tmp_path, text)
        assert len(str(raised.value)) < 1000


def test_a_pipe_in_place_of_the_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "model.toml")
    with pytest.raises(ConfigError, match="expected a regular file"):
        read_model_config(tmp_path / "model.toml")


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        ({"golden": -1}, "gates.golden is -1"),
        ({"gold": 1}, "unknown key gates.gold; did you mean golden?"),
        ({"evaluation": {"metric": "auc", "least": 0.9}}, "gates.evaluation.data is missing"),
        ({"evaluation": {"data": "a.csv", "least": 0.9}}, "gates.evaluation.label is missing"),
        ({"evaluation": {"data": "../a.csv", "label": "y", "least": 1}}, "expected a .csv"),
        ({"evaluation": {"data": "a.csv", "label": "y"}}, "asks nothing; expected least"),
        (
            {"evaluation": {"data": "a.csv", "label": "y", "most": 0.1}},
            "of accuracy higher is better; expected least",
        ),
        (
            {"evaluation": {"data": "a.csv", "label": "y", "metric": "mae", "slices": ["c"]}},
            "has one of slices and largest_gap",
        ),
        ({"budgets": {"memory_bytes": "much"}}, "gates.budgets.memory_bytes is 'much'"),
    ],
)
def test_gates_that_are_not_understood_are_told_by_their_place(gates, told):
    with pytest.raises(ConfigError) as refused:
        parse_model_config({"gates": gates}, "model.toml")
    assert told in str(refused.value)
