"""What holds for every module; which module may import which is in pyproject.toml."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LONGEST, TESTS

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("jobmonitor", "flask_panel")
    for path in (ROOT / package).rglob("*.py")
)
MODULE_LINES = 400
FUNCTION_LINES = 40


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_at_most_400_lines_long(module: Path) -> None:
    lines = len(source(module).splitlines())
    assert lines <= MODULE_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_function_is_at_most_40_lines_long(module: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        node for node in ast.walk(ast.parse(source(module))) if isinstance(node, functions)
    ]
    assert [node.name for node in found if length(node) > FUNCTION_LINES] == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_imports_the_app_of_the_demo(module: Path) -> None:
    assert "celery_app" not in set(imported(ast.parse(source(module))))


def test_the_files_with_which_tests_begin_are_there() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def source(module: Path) -> str:
    return (ROOT / module).read_text()


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from `def` on, without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def imported(tree: ast.Module) -> Iterator[str]:
    """The top-level names of all modules that are imported anywhere in the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]
