"""Forests in machine code give the bits of their libraries, or the libraries answer."""

from __future__ import annotations

import json
import logging
import sys

import lightgbm
import numpy as np
import pytest
import xgboost

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.forest import compiled_forest
from penstock.runtimes.forest.compiled_forest import additive, fastest, proof_rows
from penstock.runtimes.forest.forest import MAX_COLUMNS, Tree, order_keys
from penstock.runtimes.lightgbm import file as lightgbm_file
from penstock.runtimes.lightgbm import forest as lightgbm_forest
from penstock.runtimes.lightgbm.runtime import LightgbmRuntime
from penstock.runtimes.xgboost import file as xgboost_file
from penstock.runtimes.xgboost import forest as xgboost_forest
from penstock.runtimes.xgboost.runtime import XgboostRuntime

COLUMNS = 9
DICE = np.random.default_rng(11)


def table(rows, dtype=np.float64):
    """Numbers of all sizes, many of them equal, with zeros of both signs and missing values."""
    x = np.round(DICE.standard_normal((rows, COLUMNS)), 1) * 10.0 ** DICE.integers(-3, 4, COLUMNS)
    x[DICE.random(x.shape) < 0.1] = np.nan
    x[DICE.random(x.shape) < 0.05] = 0.0
    x[DICE.random(x.shape) < 0.05] = -0.0
    return x.astype(dtype)


TRAIN = table(600)
SIGNAL = np.nan_to_num(TRAIN[:, 0]) * 900 + np.nan_to_num(TRAIN[:, 5]) + DICE.standard_normal(600)
POSITIVE = np.abs(SIGNAL) + 0.5
CLASSES = np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.7]))
BINARY = (SIGNAL > 0).astype(int)
GRADES = np.clip(CLASSES, 0, 2)

XGBOOST = {
    "reg:squarederror": SIGNAL,
    "reg:absoluteerror": SIGNAL,
    "reg:pseudohubererror": SIGNAL,
    "reg:gamma": POSITIVE,
    "reg:tweedie": POSITIVE,
    "count:poisson": POSITIVE,
    "binary:logistic": BINARY,
    "binary:logitraw": BINARY,
    "reg:logistic": BINARY,
    "multi:softprob": CLASSES,
    "rank:ndcg": GRADES,
}
LIGHTGBM = {
    "regression": SIGNAL,
    "regression_l1": SIGNAL,
    "huber": SIGNAL,
    "quantile": SIGNAL,
    "poisson": POSITIVE,
    "gamma": POSITIVE,
    "tweedie": POSITIVE,
    "binary": BINARY,
    "cross_entropy": BINARY,
    "multiclass": CLASSES,
    "multiclassova": CLASSES,
    "lambdarank": GRADES,
}


def xgboost_model(objective, target, **options):
    several = {"num_class": 3} if objective.startswith("multi") else {}
    params = {"objective": objective, "nthread": 1, "seed": 1, **several, **options}
    data = xgboost.DMatrix(TRAIN, target)
    if objective.startswith("rank"):
        data.set_group([300, 300])
    return xgboost.train(params, data, 21)


def lightgbm_model(objective, target, **options):
    several = {"num_class": 3} if objective.startswith("multi") else {}
    params = {"objective": objective, "verbose": -1, "num_threads": 1, "seed": 1}
    group = [300, 300] if objective == "lambdarank" else None
    data = lightgbm.Dataset(TRAIN, target, group=group)
    return lightgbm.train({**params, **several, **options}, data, 21)


def raw(model, rows, datatype):
    """What the library's own call gives, with one row in each position."""
    wanted = [one for one in model.signature.outputs if one.datatype == datatype]
    return model.execute([rows], [wanted[-1].name])[0]


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == np.ascontiguousarray(other).tobytes()


@pytest.mark.parametrize("objective", XGBOOST)
def test_xgboost_objectives_have_the_bits_of_the_library(tmp_path, objective):
    booster = xgboost_model(objective, XGBOOST[objective], max_depth=7)
    booster.save_model(tmp_path / "model.ubj")
    model = XgboostRuntime().load(tmp_path / "model.ubj", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    for rows in (1, 2, 9, 700):
        x = table(rows, np.float32)
        wanted = booster.inplace_predict(x)
        if objective == "binary:logistic":
            wanted = np.stack([1 - wanted, wanted], axis=1)
        assert same_bits(raw(model, x, "FP32"), wanted)


@pytest.mark.parametrize("objective", LIGHTGBM)
def test_lightgbm_objectives_have_the_bits_of_the_library(tmp_path, objective):
    booster = lightgbm_model(objective, LIGHTGBM[objective], min_data_in_leaf=2)
    booster.save_model(tmp_path / "model.txt")
    model = LightgbmRuntime().load(tmp_path / "model.txt", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    for rows in (1, 2, 9, 700):
        x = table(rows)
        wanted = booster.predict(x)
        if objective == "binary":
            wanted = np.stack([1 - wanted, wanted], axis=1)
        assert same_bits(raw(model, x, "FP64"), wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"max_depth": 1},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"max_leaves": 200, "max_depth": 0, "grow_policy": "lossguide"},
        {"base_score": 123.456},
        {"gamma": 1e9},  # trees of one leaf
    ],
    ids=str,
)
def test_xgboost_trees_of_all_shapes(tmp_path, options):
    booster = xgboost_model("reg:squarederror", SIGNAL, **options)
    booster.save_model(tmp_path / "model.json")
    model = XgboostRuntime().load(tmp_path / "model.json", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    x = table(300, np.float32)
    assert same_bits(raw(model, x, "FP32"), booster.inplace_predict(x))


def test_early_stopping_uses_the_best_trees(tmp_path):
    estimator = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, n_jobs=1)
    estimator.fit(TRAIN[:300], CLASSES[:300], eval_set=[(TRAIN[300:], CLASSES[300:])], verbose=0)
    assert estimator.best_iteration < 55
    estimator.save_model(tmp_path / "model.ubj")
    model = XgboostRuntime().load(tmp_path / "model.ubj", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    x = table(200, np.float32)
    assert same_bits(raw(model, x, "FP32"), estimator.predict_proba(x))


@pytest.mark.parametrize(
    "options",
    [
        {"use_missing": False},
        {"num_leaves": 2},
        {"boosting": "dart"},
        {"num_leaves": 400, "min_data_in_leaf": 1},
        {"min_gain_to_split": 1e12},  # trees of one leaf
    ],
    ids=str,
)
def test_lightgbm_trees_of_all_shapes(tmp_path, options):
    booster = lightgbm_model("regression", SIGNAL, **options)
    booster.save_model(tmp_path / "model.txt")
    model = LightgbmRuntime().load(tmp_path / "model.txt", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    small = np.float32(1e-35) * DICE.choice([1, -1, 0.5, -0.5, 1.5], (100, COLUMNS))
    for x in (table(300), small.astype(np.float64)):
        assert same_bits(raw(model, x, "FP64"), booster.predict(x))


@pytest.mark.parametrize(
    "options",
    [
        {"linear_tree": True},
        {"zero_as_missing": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "binary", "sigmoid": 2.0},
        {"categories": [3]},
    ],
    ids=str,
)
def test_kinds_of_lightgbm_that_are_left_to_the_library(tmp_path, options):
    x = np.nan_to_num(TRAIN)
    x[:, 3] = np.arange(len(x)) % 7
    target = BINARY if options.get("objective") == "binary" else SIGNAL + 1e7 * (x[:, 3] == 4)
    categories = options.get("categories", "auto")
    options = {key: value for key, value in options.items() if key != "categories"}
    params = {"objective": "regression", "verbose": -1, "num_threads": 1, **options}
    data = lightgbm.Dataset(x, target, categorical_feature=categories)
    booster = lightgbm.train(params, data, 5)
    booster.save_model(tmp_path / "model.txt")
    file = lightgbm_file.read_file(tmp_path / "model.txt")
    assert lightgbm_forest.read_forest(file) is None
    model = LightgbmRuntime().load(tmp_path / "model.txt", LoadOptions())
    assert model.metadata["run_by"] == "library"


@pytest.mark.parametrize(
    "options",
    [
        {"booster": "dart"},
        {"booster": "gblinear"},
        {"objective": "reg:quantileerror", "quantile_alpha": 0.3},
    ],
    ids=str,
)
def test_kinds_of_xgboost_that_are_left_to_the_library(tmp_path, options):
    options = {"objective": "reg:squarederror", "target": SIGNAL, **options}
    xgboost_model(**options).save_model(tmp_path / "model.ubj")
    file = xgboost_file.read_file(tmp_path / "model.ubj")
    assert xgboost_forest.read_forest(file) is None


def test_a_forest_that_differs_in_one_bit_is_left_to_the_library(tmp_path, caplog):
    booster = xgboost_model("reg:squarederror", SIGNAL)
    booster.save_model(tmp_path / "model.ubj")
    file = xgboost_file.read_file(tmp_path / "model.ubj")
    model = xgboost_forest.read_forest(file)
    library = booster.inplace_predict
    assert fastest(library, lambda: model, COLUMNS)[1]

    def other(rows):
        found = library(rows).copy()
        found[-1] = np.nextafter(found[-1], np.float32(np.inf))
        return found

    assert fastest(other, lambda: model, COLUMNS) == (other, False)
    assert "differs from its library" in caplog.text
    model.forest.bound[:] = np.where(model.forest.bound, model.forest.bound + 1, 0)
    assert not fastest(library, lambda: model, COLUMNS)[1]  # a bound is one number further


def test_each_number_of_a_text_is_what_the_library_has_read(tmp_path):
    """Numbers beside the middle of two float32, which readers of texts may round either way."""
    booster = xgboost_model("reg:squarederror", SIGNAL)
    booster.save_model(tmp_path / "whole.json")
    document = json.loads((tmp_path / "whole.json").read_text())
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        single = np.array(tree["split_conditions"], np.float32)
        middle = single.astype(np.float64) + np.spacing(single).astype(np.float64) / 2
        tree["split_conditions"] = middle.tolist()
    (tmp_path / "model.json").write_text(json.dumps(document))
    model = XgboostRuntime().load(tmp_path / "model.json", LoadOptions())
    assert model.metadata["run_by"] == "machine code"
    file = xgboost_file.of_booster(xgboost.Booster(model_file=tmp_path / "model.json"))
    bounds = xgboost_forest.read_forest(file).bound
    assert bounds.dtype == np.float32
    rows = np.zeros((2 * len(bounds), COLUMNS), np.float32)
    rows[:] = np.concatenate([bounds, np.nextafter(bounds, np.float32(-np.inf))])[:, None]
    library = xgboost.Booster(model_file=tmp_path / "model.json").inplace_predict(rows)
    assert model.execute([rows], ["value"])[0].tobytes() == library.tobytes()


def test_without_numba_the_library_answers(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "penstock.runtimes.forest.kernel", raising=False)
    monkeypatch.delattr("penstock.runtimes.forest.kernel", raising=False)
    xgboost_model("binary:logistic", BINARY).save_model(tmp_path / "model.ubj")
    with caplog.at_level(logging.WARNING):
        model = XgboostRuntime().load(tmp_path / "model.ubj", LoadOptions())
    assert model.metadata["run_by"] == "library"
    assert not caplog.records


def test_keys_have_the_order_of_the_numbers():
    numbers = np.array([-np.inf, -1e30, -1.5, -1e-40, 0.0, 1e-40, 1.5, 1e30, np.inf])
    for dtype in (np.float32, np.float64):
        keys = order_keys(numbers.astype(dtype))
        assert (np.diff(keys) > 0).all()
        assert order_keys(np.array([-0.0], dtype)) == order_keys(np.array([0.0], dtype))


def stump(column, bound, value):
    return Tree(
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        column=np.array([column, 0, 0]),
        bound=np.array([bound, 0, 0]),
        missing_right=np.zeros(3, bool),
        value=np.array([0, *value]),
        group=0,
    )


def test_a_model_with_too_many_columns_is_left_to_the_library():
    trees = [stump(0, 1.0, (1.0, 2.0))]
    assert additive(trees, MAX_COLUMNS + 1, np.zeros(1), "") is None
    assert additive(trees, MAX_COLUMNS, np.zeros(1), "") is not None


def test_a_sum_keeps_the_sign_of_zero():
    """The leaves that fill up a block of trees add nothing."""
    model = additive([stump(0, 1.0, (-0.0, 2.0))], 1, np.array([-0.0]), "")
    predict = compiled_forest._predictor(compiled_forest._kernel(), model)
    assert np.signbit(predict(np.zeros((1, 1)))).all()
    assert predict(np.array([[1.0], [np.nan]])).tolist() == [2.0, -0.0]


def test_the_rows_of_the_proof_are_bounds_and_their_neighbours():
    model = additive([stump(1, 3.0, (1.0, 2.0))], 2, np.zeros(1), "")
    values = set(proof_rows(model, 2)[:, 1].tolist())
    assert {3.0, np.nextafter(3, 0), np.nextafter(3, 4)} <= values
