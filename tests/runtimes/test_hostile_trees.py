"""Files of XGBoost, LightGBM and CatBoost that lie: each is refused before the library reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

from penstock.runtimes.catboost.runtime import CatboostRuntime
from penstock.runtimes.contract import LoadOptions, ModelLoadError
from penstock.runtimes.lightgbm import file as lightgbm_file
from penstock.runtimes.lightgbm.runtime import LightgbmRuntime
from penstock.runtimes.tree_check import check_trees
from penstock.runtimes.xgboost import file as xgboost_file
from penstock.runtimes.xgboost.runtime import XgboostRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X = np.random.default_rng(5).uniform(size=(80, 3))
Y = (X[:, 0] + X[:, 1] > 1).astype(int)

RUNTIMES: dict[str, Any] = {
    "model.ubj": XgboostRuntime(),
    "model.json": XgboostRuntime(),
    "model.txt": LightgbmRuntime(),
    "model.cbm": CatboostRuntime(),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of one good file of each kind."""
    root = tmp_path_factory.mktemp("sound")
    boosted = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, Y)
    boosted.save_model(root / "model.ubj")
    boosted.save_model(root / "model.json")
    light = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, min_child_samples=2).fit(X, Y)
    light.booster_.save_model(root / "model.txt")
    cat = catboost.CatBoostClassifier(iterations=4, verbose=0, allow_writing_files=False).fit(X, Y)
    cat.save_model(str(root / "model.cbm"))
    return {name: (root / name).read_bytes() for name in RUNTIMES}


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Why a file of this name and content is refused."""

    def refuse(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelLoadError) as refused:
            RUNTIMES[name].load(path, LoadOptions())
        return str(refused.value)

    return refuse


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_good_file_loads(sound: dict[str, bytes], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sound[name])
    model = RUNTIMES[name].load(tmp_path / name, LoadOptions())
    assert [one.name for one in model.signature.outputs] == ["label", "probabilities"]


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9])
def test_a_part_of_a_file_is_refused(
    sound: dict[str, bytes], refusal: Any, name: str, share: float
) -> None:
    content = sound[name]
    if name == "model.txt":  # what follows the trees says nothing that is needed
        content = content[: content.index(b"\nend of trees")]
    assert name in refusal(name, content[: int(len(content) * share)])


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("junk", [b"PK\3\4" * 100, b"\x80\4\x95" * 100, b"\x7fELF" + bytes(999)])
def test_another_kind_of_file_is_refused(refusal: Any, name: str, junk: bytes) -> None:
    assert "is no" in refusal(name, junk)


def test_an_unknown_setting_is_refused(sound: dict[str, bytes], tmp_path: Path) -> None:
    for name, runtime in RUNTIMES.items():
        (tmp_path / name).write_bytes(sound[name])
        with pytest.raises(ModelLoadError, match=r"unknown key runtime\.depth; expected no keys"):
            runtime.load(tmp_path / name, LoadOptions(settings={"depth": 1}))


def test_lengths_that_a_file_has_not_are_refused(sound: dict[str, bytes], refusal: Any) -> None:
    head = b"{L" + (7).to_bytes(8, "big") + b"learner"
    huge = (1 << 62).to_bytes(8, "big")
    for value in (b"SL" + huge, b"[$d#L" + huge, b"[#L" + huge, b"[$d#L" + b"\xff" * 8, b"[$d"):
        assert "model.ubj is no XGBoost model in UBJSON" in refusal("model.ubj", head + value)
    core = sound["model.cbm"]
    assert "is cut short" in refusal("model.cbm", core[:4] + b"\xff\xff\xff\x7f" + core[8:])
    text = sound["model.txt"]
    sizes = re.sub(rb"tree_sizes=\d+", b"tree_sizes=" + b"9" * 18, text)
    assert "is not where tree_sizes says" in refusal("model.txt", sizes)
    leaves = re.sub(rb"num_leaves=\d+", b"num_leaves=2147483647", text, count=1)
    assert "is no LightGBM model" in refusal("model.txt", leaves)
    columns = re.sub(rb"max_feature_idx=\d+", b"max_feature_idx=2147483646", text)
    assert "for 2147483647 columns" in refusal("model.txt", columns)


def test_two_values_of_one_name_are_refused(sound: dict[str, bytes], refusal: Any) -> None:
    content = sound["model.ubj"]
    field = re.search(rb"L\0{7}\rsplit_indices\[\$l#L(.{8})", content, re.DOTALL)
    assert field is not None
    nodes = int.from_bytes(field[1], "big")
    first = field[0] + b"\0\xff\xff\xff" * nodes  # which the library takes
    twice = content[: field.start()] + first + content[field.start() :]
    assert "'split_indices' is there twice" in refusal("model.ubj", twice)


def test_deep_nesting_is_refused(sound: dict[str, bytes], refusal: Any) -> None:
    deep = b'{"learner":' + b"[" * 100_000
    assert "is no XGBoost model in JSON" in refusal("model.json", deep)
    head = b"{L" + (7).to_bytes(8, "big") + b"learner"
    assert "nested deeper" in refusal("model.ubj", head + b"[" * 100_000)
    text = sound["model.txt"]
    line = b"\npandas_categorical:" + b"[" * 100_000
    assert "is no LightGBM model" in refusal("model.txt", text + line)


def spoilt(content: bytes, spoil: Callable[[Any], None]) -> bytes:
    document = json.loads(content)
    spoil(document["learner"])
    return json.dumps(document).encode()


def first_tree(learner: Any) -> Any:
    return learner["gradient_booster"]["model"]["trees"][0]


def put(path: str, index: int, value: Any) -> Callable[[Any], None]:
    def spoil(learner: Any) -> None:
        first_tree(learner)[path][index] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (put("left_children", 0, 0), "leads back|lead to one node"),
        (put("left_children", 0, 10**6), "is no node of its tree"),
        (put("right_children", 0, -5), "is no node of its tree"),
        (put("split_indices", 0, 3), "compares a column that is none of the 3"),
        (put("split_indices", 0, -1), "compares a column"),
        (lambda one: first_tree(one)["left_children"].pop(), "left_children of a tree has"),
        (lambda one: first_tree(one)["split_conditions"].clear(), "split_conditions of a tree"),
        (
            lambda one: first_tree(one).update(
                categories_nodes=[0], categories_segments=[5], categories_sizes=[9]
            ),
            "categories that are not in the file",
        ),
        (lambda one: first_tree(one).update(categories=[-(10**8)]), "a category of a tree is none"),
        (
            lambda one: one["gradient_booster"].update(name="gblinear", model={"weights": [1.0]}),
            "has not 4 weights for each output",
        ),
        (
            lambda one: one["learner_model_param"].update(num_feature="4294967295"),
            "num_feature is 4294967295",
        ),
        (lambda one: one["learner_model_param"].update(num_class="-1"), "num_class is -1"),
        (lambda one: one["feature_types"].append("float"), "it has 1 feature_types for 3 columns"),
        (lambda one: one.pop("objective"), "it has no 'objective'"),
        (
            lambda one: one["gradient_booster"]["model"]["tree_info"].__setitem__(0, 7),
            "belongs to none of the",
        ),
        (lambda one: one["gradient_booster"].update(name="forest"), "its booster is 'forest'"),
        (lambda one: one.clear(), "it has no 'learner_model_param'"),
    ],
)
def test_trees_of_xgboost_that_no_walk_may_enter_are_refused(
    sound: dict[str, bytes], refusal: Any, spoil: Callable[[Any], None], words: str
) -> None:
    assert re.search(words, refusal("model.json", spoilt(sound["model.json"], spoil)))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (b"left_child", b"0", "leads back|lead to one node"),
        (b"left_child", b"99", "is no node of its tree"),
        (b"right_child", b"-99", "is no node of its tree"),
        (b"split_feature", b"3", "compares a column"),
        (b"decision_type", b"1", "it has no 'cat_boundaries'|cut in the wrong places"),
        (b"threshold", b"none", "could not convert"),
    ],
)
def test_trees_of_lightgbm_that_no_walk_may_enter_are_refused(
    sound: dict[str, bytes], refusal: Any, field: bytes, value: bytes, words: str
) -> None:
    text = sound["model.txt"]
    start = text.index(b"\n" + field + b"=") + len(field) + 2
    end = min(text.index(one, start) for one in (b" ", b"\n") if one in text[start:])
    changed = text[:start] + value + text[end:]
    grown = len(value) - (end - start)
    first = re.search(rb"tree_sizes=(\d+)", text)
    assert first is not None
    sized = changed.replace(first[0], b"tree_sizes=%d" % (int(first[1]) + grown), 1)
    assert re.search(words, refusal("model.txt", sized))


@pytest.mark.parametrize(
    ("name", "read"),
    [("model.ubj", xgboost_file.read_file), ("model.txt", lightgbm_file.read_file)],
)
def test_any_changed_byte_is_read_or_refused_with_the_one_error(
    sound: dict[str, bytes], tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    content = bytearray(sound[name])
    generator = np.random.default_rng(11)
    path = tmp_path / name
    refused = 0
    for place, byte in zip(
        generator.integers(0, len(content), 300), generator.integers(0, 256, 300), strict=True
    ):
        before, content[place] = content[place], byte
        path.write_bytes(content)
        try:
            read(path)
        except ModelLoadError:
            refused += 1
        content[place] = before
    assert refused > 20


def test_sound_trees_pass_and_each_fault_is_named() -> None:
    def told(left: list[int], right: list[int], split: list[int]) -> str:
        tree = [np.array(one) for one in (left, right, split)]
        return check_trees([tree[0]] * 2, [tree[1]] * 2, [tree[2]] * 2, 2)

    assert told([1, 3, -1, -1, -1], [2, 4, -1, -1, -1], [0, 1, 9, 9, 9]) == ""
    assert told([-1], [-1], [0]) == ""
    assert check_trees([], [], [], 2) == ""
    assert told([], [], []) == "a tree has no node"
    assert told([1, -1], [-1, -1], [0, 0]) == "a child is no node of its tree"
    assert told([1, -1, -1], [1, -1, -1], [0, 0, 0]).startswith("two branches")
    assert told([1, 0, -1], [2, 2, -1], [0, 0, 0]) != ""
    assert told([1, -1], [1, -1, -1], [0, 0]) == "the arrays of a tree have different lengths"


def resized(text: bytes) -> bytes:
    """A file of LightGBM with the lengths that its trees have now."""
    start, end = text.index(b"Tree=0\n"), text.index(b"end of trees")
    sizes = b" ".join(
        b"%d" % len(one)
        for one in re.split(rb"(?=^Tree=)", text[start:end], flags=re.MULTILINE)[1:]
    )
    return re.sub(rb"tree_sizes=.*", b"tree_sizes=" + sizes, text)


NO_SUCH_SET = rb"num_cat=1\ncat_boundaries=0 1\ncat_threshold=1\n"


@pytest.mark.parametrize(
    ("pattern", "instead", "words"),
    [
        (rb"(num_tree_per_iteration)=1", rb"\1=4", "4 trees in an iteration, 1 classes"),
        (rb"num_class=1", rb"num_class=2", "1 trees in an iteration, 2 classes"),
        (rb"objective=binary.*", rb"objective=multiclass num_class:9", "num_class:9"),
        (rb"(split_feature=)(.*)\n", rb"\g<1>\2\n\n\1\2\n", "split_feature is there twice"),
        (rb"(max_feature_idx=2)\n", rb"\1\n\1\n", "max_feature_idx is there twice"),
        (rb"Tree=0\n", rb"Tree=0 \nnum_leaves=1\nTree=0\n", "tree 0 is not where"),
        (rb"Tree=0\n", rb"a\rTree=0\nb\nTree=0\n", "ends of lines"),
        (rb"is_linear=0", rb"is_linear=2\nnum_features=9", "no 'leaf_features'"),
        (
            rb"num_cat=0((?:.|\n)*?)threshold=\S+((?:.|\n)*?)decision_type=\d+",
            NO_SUCH_SET + rb"\1threshold=nan\2decision_type=1",
            "set of categories that is not in the file",
        ),
    ],
)
def test_what_lightgbm_reads_otherwise_than_it_is_checked_is_refused(
    sound: dict[str, bytes], refusal: Any, pattern: bytes, instead: bytes, words: str
) -> None:
    text = re.sub(pattern, instead, sound["model.txt"], count=1)
    assert text != sound["model.txt"]
    assert words in refusal("model.txt", resized(text))
