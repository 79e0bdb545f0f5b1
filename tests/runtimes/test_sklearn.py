"""scikit-learn models from skops files: answers are those of the estimator, and trust is needed."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import NMF
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  for the next import
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from penstock.runtimes.contract import LoadOptions, ModelLoadError
from penstock.runtimes.sklearn.runtime import SklearnRuntime
from penstock.runtimes.testing import check_runtime


@pytest.fixture
def write(tmp_path):
    def dump(estimator):
        path = tmp_path / "model.skops"
        skops.io.dump(estimator, path)
        return path

    return dump


TREES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


def load(path, trusted=TREES, **settings):
    return SklearnRuntime().load(path, LoadOptions(settings=settings, trusted_types=trusted))


def people(rows=400):
    dice = np.random.default_rng(5)
    cities = np.array(["Oslo", "Rome", "Åre"], object)
    frame = pd.DataFrame(
        {
            "age": np.where(dice.random(rows) < 0.1, np.nan, dice.integers(18, 90, rows)),
            "city": cities[dice.integers(0, 3, rows)],
            "job": np.array(["cook", "nurse"], object)[dice.integers(0, 2, rows)],
            "income": dice.normal(50_000, 10_000, rows),
        }
    )
    frame.loc[dice.random(rows) < 0.1, "job"] = np.nan
    target = np.where(frame["income"] + 1e4 * (frame["city"] == "Oslo") > 52_000, "yes", "no")
    return frame, target


def table_model():
    frame, target = people()
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    jobs = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, ["age", "income"]),
            ("city", OneHotEncoder(), ["city"]),
            ("job", jobs, ["job"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression()).fit(frame, target), frame


def tensors(model, frame):
    def column(spec):
        values = frame[spec.name]
        if spec.datatype == "FP64":
            return values.to_numpy(np.float64)[:, None]
        texts = np.empty((len(values), 1), object)
        texts[:, 0] = [b"" if pd.isna(one) else one.encode() for one in values]
        return texts

    return [column(spec) for spec in model.signature.inputs]


def test_a_pipeline_with_texts_and_missing_values_answers_as_predict_proba(write):
    estimator, frame = table_model()
    model = load(write(estimator))
    signature = model.signature
    assert [(one.name, one.datatype) for one in signature.inputs] == [
        ("age", "FP64"), ("city", "BYTES"), ("job", "BYTES"), ("income", "FP64"),
    ]  # fmt: skip
    columns = {one.name: one.columns[0] for one in signature.inputs}
    assert columns["city"].categories == ("Oslo", "Rome", "Åre")
    assert columns["job"].categories is None  # unknown ones are ignored
    assert [columns[name].missing for name in ("age", "city", "job")] == [True, False, True]
    assert signature.column_order == ("age", "city", "job", "income")
    assert signature.batch_axis
    label, probabilities = model.execute(tensors(model, frame), ["label", "probabilities"])
    assert probabilities.tobytes() == estimator.predict_proba(frame).tobytes()
    assert label.tolist() == [one.encode() for one in estimator.predict(frame)]
    assert [one.name for one in signature.outputs[1].columns] == ["no", "yes"]


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
        LinearSVC(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_classifiers_answer_as_they_do_in_scikit_learn(write, estimator):
    frame, target = load_wine(return_X_y=True, as_frame=True)
    estimator.fit(frame, target)
    model = load(write(estimator))
    (spec,) = model.signature.inputs
    assert [one.name for one in spec.columns] == list(frame.columns)
    names = [one.name for one in model.signature.outputs]
    answers = dict(zip(names, model.execute([frame.to_numpy(np.float64)], names), strict=True))
    assert answers["label"].tolist() == estimator.predict(frame).tolist()
    if hasattr(estimator, "predict_proba"):
        wanted = estimator.predict_proba(frame)
        assert answers["probabilities"].tobytes() == np.ascontiguousarray(wanted).tobytes()
    lacks = isinstance(estimator, HistGradientBoostingClassifier)
    assert {one.missing for one in spec.columns} == {lacks}


@pytest.mark.parametrize(
    ("estimator", "output"),
    [(RandomForestRegressor(5), "value"), (LinearRegression(), "value"), (KMeans(3), "label")],
    ids=["forest", "several targets", "clusters"],
)
def test_other_estimators_answer_as_they_do_in_scikit_learn(write, estimator, output):
    x, y = load_diabetes(return_X_y=True)
    estimator.fit(x, np.stack([y, -y], 1) if isinstance(estimator, LinearRegression) else y)
    model = load(write(estimator))
    (answer,) = model.execute([x], [output])
    assert answer.tobytes() == np.ascontiguousarray(estimator.predict(x), answer.dtype).tobytes()


def test_the_conformance_kit_passes(write, tmp_path):
    estimator, frame = table_model()
    path = write(estimator)
    rows = tensors(load(path), frame.iloc[:3])
    check_runtime(SklearnRuntime(), tmp_path, inputs=rows)
    write(RandomForestRegressor(5).fit(*load_diabetes(return_X_y=True)))
    check_runtime(SklearnRuntime(), tmp_path, options=LoadOptions(trusted_types=TREES))


def doubled(values):
    return values * 2


def test_types_that_nobody_trusts_are_refused_and_nothing_is_made(write):
    x, y = load_diabetes(return_X_y=True)
    estimator = make_pipeline(FunctionTransformer(doubled), LinearRegression()).fit(x, y)
    path = write(estimator)
    (name,) = skops.io.get_untrusted_types(file=path)
    with pytest.raises(ModelLoadError, match=f"types that nobody trusts: {name}"):
        load(path)
    with pytest.raises(ModelLoadError, match="types that nobody trusts"):
        load(path, trusted=("other.Type",))
    model = load(path, trusted=(name,))
    assert not model.signature.batch_axis
    assert "FunctionTransformer" in model.signature.batching


POSITIVE = np.random.default_rng(3).uniform(0, 3, (90, 5))


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(NMF(2, tol=0.1, random_state=0), LinearRegression()),
        make_pipeline(IterativeImputer(sample_posterior=True), LinearRegression()),
        TransformedTargetRegressor(
            LinearRegression(), func=np.log1p, inverse_func=np.cumsum, check_inverse=False
        ),
        make_pipeline(FunctionTransformer(inverse_func=np.cumsum), LinearRegression()),
    ],
    ids=lambda one: one.steps[0][0] if hasattr(one, "steps") else type(one).__name__,
)
def test_rows_that_change_each_others_answers_share_no_run(write, estimator):
    path = write(estimator.fit(POSITIVE, POSITIVE[:, 0]))
    model = load(path, trusted=skops.io.get_untrusted_types(file=path))
    assert not model.signature.batch_axis
    assert "couple" in model.signature.batching


def test_rows_share_runs_where_a_function_takes_each_value_by_itself(write):
    regressor = TransformedTargetRegressor(
        LinearRegression(), func=np.log1p, inverse_func=np.expm1
    ).fit(POSITIVE, POSITIVE[:, 0])
    assert load(write(regressor)).signature.batch_axis


def test_classes_of_float32_are_answered_as_the_signature_says(write):
    classes = (POSITIVE[:, 0] > 1).astype(np.float32)
    estimator = LogisticRegression().fit(POSITIVE, classes)
    model = load(write(estimator))
    (answer,) = model.execute([POSITIVE], ["label"])
    assert (model.signature.outputs[0].datatype, answer.dtype) == ("FP64", np.float64)
    assert answer.tolist() == estimator.predict(POSITIVE).tolist()


def rewritten(path, change):
    """The archive with other entries: ``change`` gets them by name."""
    with zipfile.ZipFile(path) as archive:
        entries = {one: archive.read(one) for one in archive.namelist()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        change(entries, archive)
    path.write_bytes(content.getvalue())


def keep(entries, archive, **others):
    for name, data in {**entries, **others}.items():
        archive.writestr(name, data)


def hostile_schema(entries, archive):
    schema = json.loads(entries["schema.json"])
    schema["__class__"], schema["__module__"] = "system", "os"
    keep({**entries, "schema.json": json.dumps(schema)}, archive)


def deep_schema(entries, archive):
    keep({**entries, "schema.json": b"[" * 200_000}, archive)


def bomb(entries, archive):
    keep(entries, archive)
    archive.writestr("bomb.npy", bytes(50 << 20), zipfile.ZIP_DEFLATED)


def traversal(entries, archive):
    keep({**entries, "../evil.npy": b""}, archive)


def no_schema(entries, archive):
    keep({name: data for name, data in entries.items() if name != "schema.json"}, archive)


def huge_array(entries, archive):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }"
    data = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    keep({name: data if name.endswith(".npy") else one for name, one in entries.items()}, archive)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (hostile_schema, "types that nobody trusts: os.system|cannot be"),
        (deep_schema, "cannot be read"),
        (bomb, "unpacks to 52428800 bytes"),
        (traversal, "an entry outside of itself"),
        (no_schema, "it has no schema.json"),
        (huge_array, "cannot be loaded"),
    ],
)
def test_hostile_files_are_refused_with_the_reason(write, change, reason):
    x, y = load_diabetes(return_X_y=True)
    path = write(LinearRegression().fit(x, y))
    rewritten(path, change)
    with pytest.raises(ModelLoadError, match=reason):
        load(path)


def node(loader, **content):
    return {"__class__": "dtype", "__module__": "numpy", "__loader__": loader, **content}


def plain(text):
    loader = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    return {**loader, "content": json.dumps(text)}


ARGUMENTS = {
    "__class__": "tuple",
    "__module__": "builtins",
    "__loader__": "TupleNode",
    "content": [plain("f8")],
}


@pytest.mark.parametrize(
    "made",
    [
        node("ConstructorFromReduceNode", content=ARGUMENTS),
        node("ObjectNode"),
        node("TypeNode"),
        node("FunctionNode"),
    ],
    ids=lambda one: one["__loader__"],
)
def test_a_type_of_numpy_is_called_only_if_the_operator_trusts_it(write, made):
    x, y = load_diabetes(return_X_y=True)
    path = write(LinearRegression().fit(x, y))

    def change(entries, archive):
        schema = json.loads(entries["schema.json"])
        schema["content"]["content"]["extra"] = made
        keep({**entries, "schema.json": json.dumps(schema)}, archive)

    rewritten(path, change)
    with pytest.raises(ModelLoadError, match=r"types that nobody trusts: numpy\.dtype; nothing"):
        load(path, trusted=())


def test_a_type_of_numpy_that_is_data_needs_no_trust(write):
    x, y = load_diabetes(return_X_y=True)
    estimator = LinearRegression().fit(x, y)
    estimator.kind_ = np.dtype(np.float32)
    path = write(estimator)
    assert skops.io.get_untrusted_types(file=path) == ["numpy.dtype"]
    load(path, trusted=())
