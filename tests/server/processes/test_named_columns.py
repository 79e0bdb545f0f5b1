"""The log of a live server has the columns of a model by the names in its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from penstock.monitoring.prediction_log.query import query

pytestmark = pytest.mark.slow

IRIS = Path(__file__).parents[3] / "examples" / "trees" / "iris" / "1" / "model.ubj"
NAMES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
ROW = (5.0, 3.5, 1.25, 0.25)


def test_a_bare_copy_is_logged_with_the_names_of_its_columns(serve, tmp_path):
    place = tmp_path / "registry" / "iris" / "1"
    place.mkdir(parents=True)
    shutil.copy(IRIS, place)
    server = serve(registry=place.parents[1])
    server.until(lambda: server.once(server.url, "/v2/models/iris/ready")[0] == 200)
    body = json.dumps({"instances": [dict(zip(NAMES, ROW, strict=True))]}).encode()
    head = {"content-type": "application/json"}
    with urlopen(Request(f"{server.url}/v1/models/iris:predict", body, head)) as answer:
        assert answer.status == 200

    def asked(statement):
        return [tuple(one) for one in query(tmp_path / "state" / "monitor", statement, 10).rows]

    server.until(lambda: asked("select count(*) from predictions") == [(1,)])
    columns = ", ".join(f'"{name}"' for name in NAMES)
    assert asked(f'select {columns} from iris where "petal width (cm)" = 0.25') == [ROW]
