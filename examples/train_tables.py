"""Train the examples that take rows with names, each served by the library that made it.

    examples/trees/iris/1/model.ubj                  XGBoost, three classes
    examples/trees/diabetes/1/model.txt              LightGBM, a regression
    examples/trees/wine/1/model.cbm                  CatBoost, three classes with names
    examples/isolated/tips/1/model.skops             scikit-learn, texts and missing values
    examples/isolated/wine-neighbours/1/model.py     Python, with its data beside it
    examples/data/<model>.csv                        held-out rows by name, and ``target``

The data sets ship inside scikit-learn and plotly. Each version has a manifest, as ``penstock push``
writes it. CatBoost and skops write ids of the training into their files; the other files have the
same bytes each time.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import skops.io
from catboost import CatBoostClassifier
from lightgbm import LGBMRegressor
from plotly import data as plotly_data
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from penstock.server.cli.main import main as penstock

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
SEED = 1
HELD_OUT_ROWS = 40
GROWERS = ("first grower", "second grower", "third grower")
#: One value of so many is left out of the tips, as in tables that people fill in.
LACKING_SHARE = 0.1


def split(table: Any, target: Any) -> Any:
    """Training table, held-out table and their targets, the same way every time."""
    return train_test_split(table, target, test_size=HELD_OUT_ROWS, random_state=SEED)


def publish(place: str, name: str, source: Path, *arguments: str) -> None:
    """Publish a file, or a directory, as version 1, in place of the one that was there."""
    registry = HERE / place
    registry.mkdir(exist_ok=True)
    shutil.rmtree(registry / name, ignore_errors=True)
    status = penstock(["push", str(registry), name, str(source), *arguments])
    if status:
        raise SystemExit(status)


def write_rows(path: Path, table: Any, target: Any) -> None:
    """Write rows, each value as it reads back; a missing one is empty."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*table.columns, "target"])
        for row, one in zip(table.to_numpy(), target, strict=True):
            writer.writerow([*("" if value != value else value for value in row), one])  # noqa: PLR0124  NaN


def train_iris(folder: Path) -> None:
    """XGBoost: the classes are positions, and the manifest names them."""
    table, held_out, target, truth = split(*load_iris(return_X_y=True, as_frame=True))
    species = load_iris().target_names.tolist()
    model = XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=SEED)
    model.fit(table, target).save_model(folder / "iris.ubj")
    publish("trees", "iris", folder / "iris.ubj", "--classes", ",".join(species))
    write_rows(HERE / "data" / "iris.csv", held_out, [species[one] for one in truth])


def train_diabetes(folder: Path) -> None:
    """LightGBM: a regression."""
    table, held_out, target, truth = split(*load_diabetes(return_X_y=True, as_frame=True))
    model = LGBMRegressor(n_estimators=40, num_leaves=8, n_jobs=1, random_state=SEED, verbose=-1)
    model.fit(table, target).booster_.save_model(folder / "diabetes.txt")
    publish("trees", "diabetes", folder / "diabetes.txt")
    write_rows(HERE / "data" / "diabetes.csv", held_out, truth)


def wines() -> tuple[Any, Any, Sequence[str], Sequence[str]]:
    """The wines, each with the name of its grower."""
    table, held_out, *growers = split(*load_wine(return_X_y=True, as_frame=True))
    train, truth = ([GROWERS[one] for one in some] for some in growers)
    return table, held_out, train, truth


def train_wine(folder: Path) -> None:
    """CatBoost: the model knows the names of its classes."""
    table, held_out, target, truth = wines()
    model = CatBoostClassifier(
        iterations=40, depth=4, random_seed=SEED, verbose=0, allow_writing_files=False
    )
    model.fit(table, target).save_model(str(folder / "wine.cbm"))
    publish("trees", "wine", folder / "wine.cbm")
    write_rows(HERE / "data" / "wine.csv", held_out, truth)


def train_neighbours(folder: Path) -> None:
    """Python code, published again as it is, with the wines that it compares with."""
    table, _, target, _ = wines()
    home = folder / "neighbours"
    home.mkdir()
    shutil.copy(HERE / "isolated" / "wine-neighbours" / "1" / "model.py", home)
    write_rows(home / "wines.csv", table, target)
    os.environ["PENSTOCK_ALLOW_CODE"] = "wine-neighbours"  # it is run to learn its signature
    publish("isolated", "wine-neighbours", home, "--classes", ",".join(GROWERS))


def train_tips(folder: Path) -> None:
    """scikit-learn: a pipeline that takes texts, and lacks some values."""
    table = plotly_data.tips(return_type="pandas")
    target = table.pop("tip")
    table = table.astype({"size": np.float64})
    lacking = np.random.default_rng(SEED).random(table.shape) < LACKING_SHARE
    table = table.astype(object).mask(lacking, np.nan)
    numbers, texts = ["total_bill", "size"], ["sex", "smoker", "day", "time"]
    table[numbers] = table[numbers].astype(np.float64)
    table, held_out, target, truth = split(table, target)
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), texts),
    )
    model = make_pipeline(prepare, Ridge()).fit(table, target)
    skops.io.dump(model, folder / "tips.skops", compression=zipfile.ZIP_DEFLATED)
    publish("isolated", "tips", folder / "tips.skops")
    write_rows(HERE / "data" / "tips.csv", held_out, truth)


def main() -> None:
    """Train everything."""
    with tempfile.TemporaryDirectory() as made:
        for train in (train_iris, train_diabetes, train_wine, train_neighbours, train_tips):
            train(Path(made))


if __name__ == "__main__":
    main()
