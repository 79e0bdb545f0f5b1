"""The documents know every option, error code and metric, and none that does not exist."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from penstock.batching.options import BatchingOptions
from penstock.server import errors
from penstock.server.config import model_config
from penstock.server.config.config import OPTIONS
from penstock.server.config.environment import CLIENT_VARIABLES
from penstock.server.config.process_options import ProcessOptions
from penstock.server.rollout import options as rollout_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METRIC = re.compile(r"penstock_[a-z_]+")
VARIABLE = re.compile(r"PENSTOCK_[A-Z0-9_]+")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
#: A file of ours, with the name of a test behind it or without.
FILE = re.compile(r"`([\w./-]+\.py)(?:::(\w+))?[^`\n]*`")
FIRST_CELL = re.compile(r"^\| *`([^`]+)`", re.MULTILINE)


def documents(tree: Any) -> str:
    """All pages, one after the other."""
    pages = [tree.root / "README.md", *sorted((tree.root / "docs").rglob("*.md"))]
    return "\n".join(page.read_text() for page in pages if page.is_file())


def code_spans(text: str) -> set[str]:
    """What stands in backticks, fences aside."""
    return set(re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))


def error_codes() -> set[str]:
    def below(kind: type[errors.ApiError]) -> Iterator[type[errors.ApiError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return {kind.code for kind in below(errors.ApiError)}


def model_keys() -> set[str]:
    """Keys of ``model.toml``; those of tables as ``batching.key``."""
    batching = {field.name for field in fields(BatchingOptions)} - {"slo_seconds"}
    tables = {f"batching.{name}" for name in (*batching, "slo_milliseconds")}
    tables |= {f"rollout.{name}" for name in rollout_options._Table.__struct_fields__}
    tables |= {f"process.{field.name}" for field in fields(ProcessOptions)}
    return tables | set(model_config._Table.__struct_fields__) - {"batching", "rollout", "process"}


def exported_metrics(tree: Any) -> set[str]:
    """Names of metrics in the code; counters without the ending that the wire adds."""
    quoted = re.compile(rf'"({METRIC.pattern})"')
    code = (source.text for source in tree.sources("monitoring", "server"))
    return {name for text in code for name in quoted.findall(text)}


def documented_metrics(tree: Any) -> set[str]:
    """The same, from the tables of the metrics page."""
    cells = FIRST_CELL.findall((tree.root / "docs" / "metrics.md").read_text())
    return {cell.removesuffix("_total") for cell in cells if METRIC.fullmatch(cell)}


def unknown_variables(tree: Any) -> set[str]:
    known = {option.variable for option in OPTIONS} | {"PENSTOCK_CONFIG", *CLIENT_VARIABLES}
    return set(VARIABLE.findall(documents(tree))) - known


def stale_files(tree: Any) -> set[str]:
    """Files and tests that the documents name and that do not exist."""
    sources = {
        source.path.as_posix(): source.text
        for source in tree.sources("server", "runtimes", "batching", "monitoring", "loadtests")
    }
    sources |= {one.path.as_posix(): one.text for one in tree.sources("tests", "examples")}
    stale = set()
    for path, test in FILE.findall(FENCE.sub("", documents(tree))):
        texts = [text for name, text in sources.items() if f"/{name}".endswith(f"/{path}")]
        if not texts or (test and not any(f"def {test}" in text for text in texts)):
            stale.add(f"{path}::{test}" if test else path)
    return stale


def test_every_option_is_documented(project: Any) -> None:
    spans = code_spans((project.root / "docs" / "configuration.md").read_text())
    assert {option.name for option in OPTIONS} - spans == set()


def test_every_key_of_a_model_is_documented(project: Any) -> None:
    spans = code_spans((project.root / "docs" / "configuration.md").read_text())
    assert model_keys() - spans == set()


def test_every_documented_option_exists(project: Any) -> None:
    page = (project.root / "docs" / "configuration.md").read_text()
    known = {option.name for option in OPTIONS} | model_keys()
    assert set(FIRST_CELL.findall(page)) - known == set()
    assert unknown_variables(project) == set()


def test_every_error_code_is_documented(project: Any) -> None:
    assert error_codes() - code_spans(documents(project)) == set()


def test_metrics_and_their_page_agree(project: Any) -> None:
    assert exported_metrics(project) == documented_metrics(project)


def test_a_missing_and_an_invented_metric_are_found(plant: Callable[..., Any]) -> None:
    page = (
        "| metric | type |\n|---|---|\n| `penstock_a_total` | counter |\n| `penstock_c` | gauge |"
    )
    tree = plant({"docs/metrics.md": page, "monitoring/m.py": 'A = "penstock_a"\nB = "penstock_b"'})
    assert exported_metrics(tree) == {"penstock_a", "penstock_b"}
    assert documented_metrics(tree) == {"penstock_a", "penstock_c"}


def test_an_invented_variable_is_found(plant: Callable[..., Any]) -> None:
    tree = plant({"docs/a.md": "Set `PENSTOCK_PORT` or\n```\nPENSTOCK_PROT=1 penstock serve\n```"})
    assert unknown_variables(tree) == {"PENSTOCK_PROT"}


def test_the_files_and_tests_that_the_documents_name_exist(project: Any) -> None:
    assert stale_files(project) == set()


def test_a_file_and_a_test_that_are_gone_are_found(plant: Callable[..., Any]) -> None:
    page = "`a.py`, `server/a.py`, `b.py`, `tests/test_a.py::test_x`, `tests/test_a.py::test_y`"
    tree = plant(
        {"docs/a.md": page, "server/a.py": "", "tests/test_a.py": "def test_x(): ..."},
    )
    assert stale_files(tree) == {"b.py", "tests/test_a.py::test_y"}


def test_words_in_code_blocks_do_not_document() -> None:
    assert code_spans("`a` and\n```toml\nb = `c`\n```\nthen `d`") == {"a", "d"}
