"""``python -m penstock.server.log_query.child``: one query, in a process of its own with limits.

The order comes as JSON on standard input. On standard output there is one line of JSON about the
answer, or with the problem, and behind it the answer: JSON, or a file.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from penstock.monitoring.prediction_log.answer import QueryFailed
from penstock.monitoring.prediction_log.query import query
from penstock.monitoring.prediction_log.search import Search, column_kinds, search_statement
from penstock.server.log_query.cells import MAX_SHOWN, file_of, plain
from penstock.server.log_query.chain import chain
from penstock.server.processes.parent import die_with_parent

T = TypeVar("T")

#: Of an answer; its end is cut off beyond that.
MAX_ANSWER_BYTES: Final = 8 << 20
MAX_FILE_BYTES: Final = 64 << 20
_NICENESS: Final = 15


def main() -> None:
    """Answer the order."""
    order = json.loads(sys.stdin.buffer.read())
    die_with_parent(order["parent"])
    os.nice(_NICENESS)
    _limit(resource.RLIMIT_DATA, order["memory_bytes"])
    _limit(resource.RLIMIT_CPU, order["cpu_seconds"])
    _limit(resource.RLIMIT_CORE, 0)
    head, body = _answered(order)
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _answered(order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        return _answer(order)
    except QueryFailed as error:
        return {"problem": str(error)}, b""
    except sqlite3.Error as error:
        return {"problem": f"the log cannot be read: {error}"}, b""
    except MemoryError:
        most = order["memory_bytes"] >> 20
        return {"problem": f"it needs more memory than the {most} MiB of a query"}, b""


def _answer(order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    state = Path(order["state"])
    if order["kind"] == "chain":
        found = chain(state, Path(order["registry"]), order["request_id"])
        found["rows"], more = _fitting(found["rows"])
        return {}, _encoded({**found, "more": found["more"] or more})
    statement = order.get("sql", "")
    if order["kind"] == "search":
        search = Search(**order["search"])
        kinds = column_kinds(state, search.model)
        if not kinds:
            note = f"The log has no prediction of {search.model}."
            none: dict[str, Any] = {"columns": [], "rows": [], "more": False}
            return {}, _encoded({**none, "notes": [note], "sql": ""})
        statement = search_statement(search, kinds)
    answer = query(state, statement, order["rows"])
    if order["kind"] == "file":
        body = file_of(answer, order["format"])
        if len(body) > MAX_FILE_BYTES:
            raise QueryFailed(f"the file has more than {MAX_FILE_BYTES >> 20} MiB; ask for less")
        return {"rows": len(answer.rows), "more": answer.more, "notes": list(answer.notes)}, body
    columns = list(answer.columns)
    rows = [[plain(one, MAX_SHOWN) for one in row] for row in answer.rows]
    rows, more = _fitting(rows, len(json.dumps(columns)))
    return {}, _encoded(
        {
            "columns": columns,
            "rows": rows,
            "more": answer.more or more,
            "notes": list(answer.notes),
            "sql": statement,
        }
    )


def _encoded(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()


def _fitting(rows: list[T], used_bytes: int = 0) -> tuple[list[T], bool]:
    """The first rows, as many as fit; whether there are more."""
    for place, row in enumerate(rows):
        used_bytes += len(json.dumps(row))
        if used_bytes > MAX_ANSWER_BYTES:
            if not place:
                raise QueryFailed(
                    f"one row has more than {MAX_ANSWER_BYTES >> 20} MiB; ask for fewer columns"
                )
            return rows[:place], True
    return rows, False


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, hard))


if __name__ == "__main__":
    main()
