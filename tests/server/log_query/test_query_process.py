"""Queries run in processes of their own, which end at their limits."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.log_query.query_process import MAX_QUERIES, QueryProcesses

if TYPE_CHECKING:
    from pathlib import Path

#: Counts for ever.
ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"


def test_what_takes_too_long_is_killed_and_others_are_told_to_come_back(tmp_path: Path) -> None:
    processes = QueryProcesses(tmp_path, tmp_path, timeout_seconds=2.0)

    async def ask(sql: str) -> object:
        return await processes.ask(kind="sql", sql=sql, rows=10)

    async def run() -> list[object]:
        every = [ask(ENDLESS) for _ in range(MAX_QUERIES + 1)]
        return await asyncio.gather(*every, return_exceptions=True)

    *killed, refused = asyncio.run(run())
    assert all(isinstance(one, InvalidRequest) for one in killed)
    assert "takes longer than 2 s" in str(killed[0])
    assert isinstance(refused, Unavailable)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select 1; select 2", "one statement|single"),
        ("create table x (a)", "SELECT"),
        ("select readfile('/etc/passwd')", "no such function|not authorized"),
        ("attach '/etc/passwd' as x", "SELECT"),
        ("select length(hex(zeroblob(900000000)) || hex(zeroblob(900000000)))", "memory|big|ended"),
    ],
)
def test_what_is_no_select_or_too_large_is_told(tmp_path: Path, sql: str, why: str) -> None:
    processes = QueryProcesses(tmp_path, tmp_path)
    with pytest.raises(InvalidRequest, match=why):
        asyncio.run(processes.ask(kind="sql", sql=sql, rows=10))


def test_an_answer_comes_with_its_statement(tmp_path: Path) -> None:
    processes = QueryProcesses(tmp_path, tmp_path)
    head, answer = asyncio.run(processes.ask(kind="sql", sql="select 1 as a, 'x' as b", rows=10))
    found = json.loads(answer)
    assert (found["columns"], found["rows"], found["more"]) == (["a", "b"], [[1, "x"]], False)
    assert (found["sql"], head) == ("select 1 as a, 'x' as b", {})


@pytest.mark.parametrize(("columns", "kept"), [(100, 13), (700, 1), (1500, None)])
def test_rows_that_do_not_fit_are_told(tmp_path: Path, columns: int, kept: int | None) -> None:
    # Each cell is 1000 letters of 6 bytes.
    cell = "select replace(hex(zeroblob(500)), '00', 'éé') as x union all select 1"
    rows = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20)"
    sql = f"{rows} select {', '.join(['x'] * columns)} from ({cell}), n where x <> 1"
    asked = QueryProcesses(tmp_path, tmp_path).ask(kind="sql", sql=sql, rows=100)
    if kept is None:
        with pytest.raises(InvalidRequest, match="one row has more than 8 MiB"):
            asyncio.run(asked)
        return
    found = json.loads(asyncio.run(asked)[1])
    assert (len(found["rows"]), found["more"]) == (kept, True)


def test_a_file_comes_with_what_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "predictions-2026-11-20.db").write_bytes(b"no database" * 1000)
    order = {"kind": "file", "sql": "select 1 as a", "rows": 10, "format": "csv"}
    head, file = asyncio.run(QueryProcesses(tmp_path, tmp_path).ask(**order))
    assert (head["rows"], head["more"], file) == (1, False, b"a\n1\n")
    assert "predictions-2026-11-20.db cannot be read and was left out" in head["notes"][0]
