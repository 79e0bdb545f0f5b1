"""The harness that runs pages finds what is wrong with a page."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="servers are awaited by curl")

PAGE = """
```console
$ NAME=world
$ echo '{"hello": \\
>   "'$NAME'", "at": 1.00001, "port": 8000}'
{"hello":    "world", "at": …}
```

<!-- output -->
```json
{"hello": "world", "at": 1.0, "port": "..."}
```

<!-- not run: it ends the session -->
```sh
exit 3
```

<!-- file: greeting.txt -->
```json
"hello"
```

```sh
echo "[1, \\"$NAME\\", $(cat greeting.txt)]"
false      # exit status 1: always
```
<!-- output -->
```json
[1, "world", "hello"]
```

```python
import sys

print("a  b")
print("world", len(sys.argv))
```

```console
$ printf 'first line\\nsecond line\\n'
first …
second line
```
"""


def test_a_correct_page_passes(markdown: Any, session: Any, tmp_path: Path) -> None:
    page = markdown.blocks(PAGE)
    assert len(session.steps(page)) == 5
    assert session.run(page, tmp_path, tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"world", "at": 1.0,', '"moon", "at": 1.0,'),
        ("1.0,", "1.01,"),
        ('[1, "world", "hello"]', '[1, "world", "hello", 2]'),
        ("$ NAME=world", "$ false"),
        ("$ NAME=world", "$ echo $UNSET"),
        ('"hello"\n', '"bye"\n'),
        ("false  ", "true  "),
        ("status 1:", "status 2:"),
        ("import sys", "import nothing_of_the_kind"),
        ("first …", "other …"),
        ("first …\nsecond line\n", "second line\nfirst …\n"),
    ],
)
def test_a_wrong_page_is_found(
    markdown: Any, session: Any, tmp_path: Path, before: str, after: str
) -> None:
    assert PAGE.count(before) == 1
    page = markdown.blocks(PAGE.replace(before, after))
    assert len(session.run(page, tmp_path, tmp_path)) == 1


def test_a_failure_names_the_line_of_its_block(markdown: Any, session: Any, tmp_path: Path) -> None:
    page = markdown.blocks("a\n\n```sh\ntrue\n```\n\n```sh\necho so >&2; exit 7\n```\n")
    assert session.run(page, tmp_path, tmp_path) == ["line 7: bash ended with 7: so\n"]


@needs_curl
def test_servers_run_in_the_background_on_free_ports(
    markdown: Any, session: Any, tmp_path: Path
) -> None:
    fake(tmp_path, FAKE_SERVER)
    page = (
        "```sh\nbin/penstock serve \\\n  models\n```\n"
        "```sh\ncurl -s localhost:8000/anything\n```\n"
        '<!-- output -->\n```json\n{"path": "/anything"}\n```\n'
    )
    assert session.run(markdown.blocks(page), tmp_path, tmp_path) == []


@needs_curl
def test_a_server_that_does_not_start_is_reported(
    markdown: Any, session: Any, tmp_path: Path
) -> None:
    fake(tmp_path, "#!/bin/sh\necho no such registry\nexit 2\n")
    page = markdown.blocks("```sh\nbin/penstock serve x\n```\n")
    (problem,) = session.run(page, tmp_path, tmp_path)
    assert "no such registry" in problem


@needs_curl
def test_an_answer_that_is_an_error_is_reported(
    markdown: Any, session: Any, tmp_path: Path
) -> None:
    fake(tmp_path, FAKE_SERVER)
    page = "```sh\nbin/penstock serve models\n```\n```sh\ncurl -s localhost:8000/missing\n```\n"
    (problem,) = session.run(markdown.blocks(page), tmp_path, tmp_path)
    assert problem.startswith("line 4: bash ended with 22")


def fake(directory: Path, program: str) -> None:
    path = directory / "bin" / "penstock"
    path.parent.mkdir()
    path.write_text(program)
    path.chmod(0o755)


#: Answers 200 to every GET but one.
FAKE_SERVER = f"""#!{sys.executable}
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({{"path": self.path}}).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PENSTOCK_PORT"])), Handler).serve_forever()
"""
