"""No template can show a value that is not escaped, and none is found outside of the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment, TemplateNotFound, UndefinedError, nodes

from penstock.server.page import renderer
from penstock.server.page.renderer import environment, render

FOLDER = Path(renderer.__file__).parent / renderer.FOLDER
NAMES = sorted(path.name for path in FOLDER.iterdir())
#: Ways to say that text is markup. Values that are (charts, badges) were made by `markup.py`.
UNSAFE = (nodes.MarkSafe, nodes.MarkSafeIfAutoescape, nodes.EvalContextModifier)


def flaws(environ: Environment, name: str) -> list[str]:
    """What in a template lets a value through as it is."""
    assert environ.loader is not None
    source, _, _ = environ.loader.get_source(environ, name)
    tree = environ.parse(source)
    found = [f"{type(one).__name__} in line {one.lineno}" for one in tree.find_all(UNSAFE)]
    found += ["filter safe" for one in tree.find_all(nodes.Filter) if one.name == "safe"]
    found += ["attribute without quotes" for _ in re.finditer(r"=\s*\{\{", source)]
    for kind, content in re.findall(r"<(script|style)\b[^>]*>(.*?)</\1>", source, re.DOTALL):
        values = re.findall(r"\{\{\s*(.*?)\s*\}\}", content)
        found += [f"value {one} in a {kind}" for one in values if (kind, one) != ("style", "style")]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_template_turns_escaping_off(name: str) -> None:
    assert flaws(environment(), name) == []


def test_values_are_escaped_in_every_template() -> None:
    assert environment().autoescape is True
    assert environment().list_templates() == NAMES


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ name|safe }}</p>",
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "<a href={{ name }}>",
        "<script>const name = '{{ name }}'</script>",
        "<style>{{ name }} {}</style>",
    ],
)
def test_a_template_that_does_is_found(source: str) -> None:
    assert len(flaws(Environment(loader=DictLoader({"planted": source})), "planted")) == 1


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("page.html", sections=[], policy="", style="")


@pytest.mark.parametrize("name", ["../page.py", "/etc/passwd", "..", "nothing.html"])
def test_no_file_outside_of_the_folder_is_a_template(name: str) -> None:
    with pytest.raises(TemplateNotFound):
        render(name)


def test_a_server_that_shows_no_page_does_not_load_the_library() -> None:
    program = (
        "import sys\n"
        "import penstock.server.worker.worker, penstock.server.control.control\n"
        "assert 'starlette' in sys.modules\n"
        "print(sorted(one for one in sys.modules if one.split('.')[0] in ('jinja2', 'scipy')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
