"""CSV files of rows, with and without a header, with missing values and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from penstock.server.conversion.rows_file import read_rows
from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from pathlib import Path


def test_the_types_of_columns_follow_their_fields(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text('a,b c,"d,e"\n1,Oslo,2.5\n,,nan\n3,"x ""y""",-inf\n')
    rows = read_rows(tmp_path / "r.csv")
    assert list(rows.columns) == ["a", "b c", "d,e"]
    np.testing.assert_array_equal(rows["a"], [1, np.nan, 3])
    np.testing.assert_array_equal(rows["d,e"], [2.5, np.nan, -np.inf])
    assert list(rows["b c"]) == ["Oslo", None, 'x "y"']


def test_a_first_line_of_numbers_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("1,2\n3,4\n\n")
    assert read_rows(tmp_path / "r.csv").to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 rows"),
        (b"a,b\n", "has 0 rows"),
        (b"a,b\n1\n", "row 1 has 1 fields, expected 2"),
        (b"a,a\n1,2\n", "two columns have one name"),
        (b"\xff\xfe", "no CSV file in UTF-8"),
        (b'a,b\n1,"2\n3,4\n5,6\n', "no second one"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(ModelRefused, match=message):
        read_rows(tmp_path / "r.csv")
