"""Train the examples of trees, each served by the library that made it.

    examples/trees/iris/1/model.ubj        XGBoost, three classes
    examples/trees/diabetes/1/model.txt    LightGBM, a regression
    examples/trees/wine/1/model.cbm        CatBoost, three classes with names
    examples/data/<model>.csv              held-out rows, named as in the model, and ``target``

The data sets ship inside scikit-learn. Each version has a manifest, as ``penstock push`` writes it.
CatBoost writes an id of the training into its file; the other files have the same bytes each time.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catboost import CatBoostClassifier
from lightgbm import LGBMRegressor
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

from penstock.server.cli.main import main as penstock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent
SEED = 1
HELD_OUT_ROWS = 40


def split(load: Callable[..., Any]) -> tuple[Any, Any, Any, Any]:
    """Training table, held-out table and their targets, the same way every time."""
    table, target = load(return_X_y=True, as_frame=True)
    parts: tuple[Any, Any, Any, Any] = train_test_split(
        table, target, test_size=HELD_OUT_ROWS, random_state=SEED
    )
    return parts


def publish(name: str, file: Path, *arguments: str) -> None:
    """Publish a file as version 1, in place of the one that was there."""
    trees = HERE / "trees"
    trees.mkdir(exist_ok=True)
    shutil.rmtree(trees / name, ignore_errors=True)
    status = penstock(["push", str(trees), name, str(file), *arguments])
    if status:
        raise SystemExit(status)


def write_rows(name: str, names: Sequence[str], table: Any, target: Any) -> None:
    """Write the held-out rows, each value as it reads back."""
    with (HERE / "data" / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, "target"])
        writer.writerows([*row, one] for row, one in zip(table.to_numpy(), target, strict=True))


def main() -> None:
    """Train everything."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        table, held_out, target, truth = split(load_iris)
        species = load_iris().target_names.tolist()
        xgboost = XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=SEED)
        xgboost.fit(table, target).save_model(folder / "iris.ubj")
        publish("iris", folder / "iris.ubj", "--classes", ",".join(species))
        write_rows("iris", table.columns, held_out, [species[one] for one in truth])

        table, held_out, target, truth = split(load_diabetes)
        lightgbm = LGBMRegressor(
            n_estimators=40, num_leaves=8, n_jobs=1, random_state=SEED, verbose=-1
        )
        lightgbm.fit(table, target).booster_.save_model(folder / "diabetes.txt")
        publish("diabetes", folder / "diabetes.txt")
        write_rows("diabetes", table.columns, held_out, truth)

        table, held_out, target, truth = split(load_wine)
        growers = ["first grower", "second grower", "third grower"]
        catboost = CatBoostClassifier(
            iterations=40, depth=4, random_seed=SEED, verbose=0, allow_writing_files=False
        )
        catboost.fit(table, [growers[one] for one in target]).save_model(str(folder / "wine.cbm"))
        publish("wine", folder / "wine.cbm")
        write_rows("wine", table.columns, held_out, [growers[one] for one in truth])


if __name__ == "__main__":
    main()
