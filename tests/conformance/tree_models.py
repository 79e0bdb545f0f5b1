"""Models of XGBoost, LightGBM and CatBoost on real data, with the answers of the libraries.

Each table has columns of numbers with missing values, and most have columns of categories. Their
names have spaces, brackets and letters beyond ASCII, as far as a library takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CITIES = ["Oslo", "Bergen", "Tromso"]
SIZES = [3, 7, 11]
#: A tree is small here: what is tested is the way to it.
TREES = 12


@dataclass(frozen=True)
class TreeModel:
    """A trained model.

    Attributes:
        name: Name of the library, and of what is predicted.
        file: Name of its file in a version.
        save: Writes the file.
        rows: The table that is predicted, with the names that the model has.
        expected: The library's own answers to a table, by output.
    """

    name: str
    file: str
    save: Callable[[str], object]
    rows: pd.DataFrame
    expected: Callable[[pd.DataFrame], Mapping[str, Any]]

    def write(self, version: Path) -> Path:
        """Put the model into a version directory."""
        version.mkdir(parents=True, exist_ok=True)
        self.save(str(version / self.file))
        return version

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as people send them: ``None`` where a value is missing."""
        return [
            {key: None if value != value else value for key, value in row.items()}  # noqa: PLR0124  NaN
            for row in self.rows.to_dict("records")
        ]


@cache
def tables(rows: int) -> dict[str, tuple[pd.DataFrame, Any, pd.DataFrame]]:
    """Training table, target, and so many rows to predict, of three data sets of scikit-learn."""
    generator = np.random.default_rng(7)
    found = {}
    for name, load in (
        ("binary", load_breast_cancer),
        ("multiclass", load_wine),
        ("regression", load_diabetes),
    ):
        table, target = load(return_X_y=True, as_frame=True)
        table = table.iloc[:, :8].astype(np.float64)
        table = table.rename(columns={table.columns[1]: "second (%) column"})
        table.insert(2, "home city", generator.choice(CITIES, len(table)))
        table["size"] = generator.choice(SIZES, len(table))
        again = table.sample(rows, replace=True, random_state=1).reset_index(drop=True)
        for one in (table, again):
            for column in (0, 4):
                one.iloc[generator.random(len(one)) < 0.1, column] = np.nan
        numbers = again.select_dtypes("float64").columns
        again[numbers] *= generator.uniform(0.8, 1.25, (rows, len(numbers)))
        found[name] = table, target.to_numpy(), again
    return found


def as_categories(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        **{
            "home city": pd.Categorical(table["home city"], CITIES),
            "size": pd.Categorical(table["size"], SIZES),
        }
    )


def probabilities(model: Any) -> Callable[[pd.DataFrame], Mapping[str, Any]]:
    return lambda table: {
        "label": model.predict(table).reshape(-1),
        "probabilities": model.predict_proba(table),
    }


def xgboost_models(rows: int) -> list[TreeModel]:
    found = []
    for kind, (table, target, again) in tables(rows).items():
        options = {"n_estimators": TREES, "n_jobs": 1, "enable_categorical": True}
        train, later = as_categories(table), as_categories(again)
        if kind == "regression":
            model: Any = xgboost.XGBRegressor(**options).fit(train, target)
            expected = lambda t, m=model: {"value": m.predict(t)}  # noqa: E731
        else:
            model = xgboost.XGBClassifier(**options).fit(train, target)
            expected = probabilities(model)
        file = "model.json" if kind == "multiclass" else "model.ubj"
        found.append(TreeModel(f"xgboost-{kind}", file, model.save_model, later, expected))
    table, target, again = tables(rows)["regression"]
    train, later = as_categories(table), as_categories(again)
    ranker = xgboost.XGBRanker(**options)
    ranker.fit(train, target > 140, qid=np.repeat([0, 1], len(table) // 2))
    scores = TreeModel(
        "xgboost-ranking",
        "model.ubj",
        ranker.save_model,
        later,
        lambda t: {"score": ranker.predict(t)},
    )
    return [*found, scores]


def lightgbm_models(rows: int) -> list[TreeModel]:
    found = []
    options = {"n_estimators": TREES, "n_jobs": 1, "verbose": -1, "min_child_samples": 5}
    for kind, (table, target, again) in tables(rows).items():
        train, later = as_categories(table), as_categories(again)
        renamed = later.rename(columns=lambda name: name.replace(" ", "_"))  # as LightGBM does
        if kind == "regression":
            model: Any = lightgbm.LGBMRegressor(**options).fit(train, target)
            expected = lambda t, m=model: {"value": m.predict(t)}  # noqa: E731
        else:
            model = lightgbm.LGBMClassifier(**options).fit(train, target)
            expected = probabilities(model)
        found.append(
            TreeModel(f"lightgbm-{kind}", "model.txt", model.booster_.save_model, renamed, expected)
        )
    ranker = lightgbm.LGBMRanker(**options)
    ranker.fit(train, (target > 140).astype(int), group=[len(train) // 2] * 2)
    scores = TreeModel(
        "lightgbm-ranking",
        "model.txt",
        ranker.booster_.save_model,
        renamed,
        lambda t: {"score": ranker.predict(t)},
    )
    return [*found, scores]


def catboost_models(rows: int) -> list[TreeModel]:
    found = []
    options = {
        "iterations": TREES,
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
        "cat_features": ["home city", "size"],
    }
    for kind, (table, target, again) in tables(rows).items():
        later = again.rename(columns={"second (%) column": "second [%] column"})
        train = table.rename(columns={"second (%) column": "second [%] column"})
        if kind == "regression":
            model: Any = catboost.CatBoostRegressor(**options).fit(train, target)
            expected = lambda t, m=model: {"value": m.predict(t)}  # noqa: E731
        else:
            named = np.array(["no", "yes"])[target] if kind == "binary" else target
            model = catboost.CatBoostClassifier(**options).fit(train, named)
            expected = probabilities(model)
        found.append(TreeModel(f"catboost-{kind}", "model.cbm", model.save_model, later, expected))
    ranker = catboost.CatBoostRanker(**options)
    ranker.fit(train, (target > 140).astype(int), group_id=np.repeat([0, 1], len(train) // 2))
    scores = TreeModel(
        "catboost-ranking",
        "model.cbm",
        ranker.save_model,
        later,
        lambda t: {"score": ranker.predict(t)},
    )
    return [*found, scores]


@cache
def models(rows: int) -> list[TreeModel]:
    """All of them, trained once in a process."""
    return [*xgboost_models(rows), *lightgbm_models(rows), *catboost_models(rows)]
