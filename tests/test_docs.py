"""Everything the documentation shows is run, and its tables are compared with the registries.

A page is one story: its blocks share their names. It runs in a process and a folder of its own, because it registers
plugins and may write files; this file is also the script that does so.
"""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PLUGIN_PAGES = {"paddings": "padding", "poolings": "pooling", "activations": "activation", "filters": "convolution"}


def blocks(text: str) -> list[tuple[int, str]]:
    """Return the python blocks of a page, each with the number of lines before it."""
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


def run_page(path: Path) -> int:
    """Run the blocks of a page, sessions with >>> as doctests; return the number of failed lines."""
    names: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for line, code in blocks(path.read_text(encoding="utf-8")):
        if code.startswith(">>>"):
            session = doctest.DocTestParser().get_doctest(code, {}, path.name, str(path), line)
            session.globs = names
            runner.run(session, clear_globs=False)
        else:
            exec(compile("\n" * line + code, str(path), "exec"), names)
    return runner.summarize(verbose=False).failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(page)], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_pages_quote_what_is_run():
    """Blocks that a page cannot run are parts of the example package or of a test."""
    package = ROOT / "examples" / "plugin_package"
    sources = [*package.rglob("*"), *(ROOT / "tests" / "test_compiled").glob("*.py")]
    run = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.suffix in (".py", ".pyx", ".toml"))
    quoted = [
        block
        for page in (ROOT / "docs").glob("write_*.md")
        for block in re.findall(r"^```(?:cython|py|toml)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    ]
    assert len(quoted) >= 12
    for block in quoted:
        assert block in run, block


def built_in(registry):
    """Return the names of the library's own plugins; another test may have registered more."""
    return {name for name, plugin in registry.items() if plugin.owner.startswith("pyconvx.")}


@pytest.mark.parametrize("name", PLUGIN_PAGES)
def test_readme_lists_what_is_registered(name):
    cx = pytest.importorskip("pyconvx")
    row = re.search(rf"^\| `cx\.{name}` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert row, f"no row for cx.{name}"
    assert set(re.findall(r"`([\w:.]+)", row[1])) == built_in(getattr(cx, name))


@pytest.mark.parametrize(("name", "page"), PLUGIN_PAGES.items())
def test_page_lists_every_name_and_alias(name, page):
    cx = pytest.importorskip("pyconvx")
    registry = getattr(cx, name)
    own = built_in(registry)
    aliases = {alias for alias, canonical in registry.aliases().items() if canonical in own}
    told = set(re.findall(r"`([\w:.]+)", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")))
    assert own | aliases <= told, (own | aliases) - told


def test_testing_page_lists_every_law():
    laws = pytest.importorskip("pyconvx.testing").laws.LAWS
    told = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")))
    assert {law.name for kind in laws.values() for law in kind} <= told


def docstrings():
    """Yield the doctests of the public names, of the modules beside them, and of documented variables."""
    import pyconvx as cx

    finder = doctest.DocTestFinder(exclude_empty=True)
    public = [getattr(cx, name) for name in cx.__all__]
    beside = [importlib.import_module(f"pyconvx.{name}") for name in ("plot", "demo")]
    kit = [getattr(cx.testing, name) for name in cx.testing.__all__ if name.startswith(("check", "law_"))]
    within = [each for part in (cx.nn, cx.plot) for each in map(part.__dict__.get, part.__all__)]
    for documented in [*beside, *kit, *(each for each in [*public, *within] if hasattr(each, "__name__"))]:
        for test in finder.find(documented, documented.__name__):
            if test.examples:
                yield test
    for module in pkgutil.walk_packages(cx.__path__, "pyconvx."):
        source = Path(module.module_finder.path, module.name.split(".")[-1] + ".py")
        if not source.is_file() or module.name.endswith("__main__"):
            continue
        body = ast.parse(source.read_text(encoding="utf-8")).body
        for variable, text in pairwise(body):
            match (variable, text):
                case ((ast.Assign() | ast.AnnAssign()), ast.Expr(ast.Constant(str() as told))) if ">>>" in told:
                    names = dict(vars(importlib.import_module(module.name)))
                    where = f"{module.name}:{text.lineno}"
                    yield doctest.DocTestParser().get_doctest(told, names, where, str(source), text.lineno)


@pytest.mark.parametrize("test", list(docstrings()), ids=lambda test: test.name)
def test_docstring_runs(test):
    messages: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=messages.append)
    assert not runner.failures, "".join(messages)


if __name__ == "__main__":
    raise SystemExit(min(run_page(Path(sys.argv[1])), 1))
