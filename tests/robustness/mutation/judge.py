"""Whether a tree's checks notice that one of its modules has been changed.

``python -m tests.robustness.mutation.judge MODULE LINE``, run in the changed tree: exit status 1,
and the last line printed says what noticed it, or 0.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

INSTANCES = 200
# Files that go through all theorems or all functions, which takes minutes.
WHOLE = {"test_catalogue.py", "test_falsify.py", "test_fuzz.py"}
RECORD = "tests/theory/test_theorems.py::test_theorem_holds_and_its_controls_are_caught"


def main(module: str, line: int) -> int:
    """Verify the module's theorems, then run its tests; stop at the first that fails."""
    names = theorems(module, line)
    for name in names:
        if trouble := _verify(name):
            print(f"verify {name}: {trouble}")
            return 1
    for selection in ([f"{RECORD}[{name}]" for name in names], tests(module)):
        if selection and (trouble := _pytest(selection)):
            print(f"tests {trouble}")
            return 1
    return 0


def theorems(module: str, line: int = 0) -> list[str]:
    """The theorems that a module states, or else those of modules that import it.

    Those with a function at the line come first.
    """
    stated = _stated(module)
    if not stated:
        users = [path for path in Path("theory").rglob("*.py") if module in _imports(path)]
        stated = [theorem for path in sorted(users) for theorem in _stated(_name(path))]
    return [theorem.name for theorem in sorted(stated, key=lambda each: not _covers(each, line))]


def tests(module: str) -> list[str]:
    """The test files that import a module, those with its name first."""
    last = module.rpartition(".")[2].removesuffix("_theorems")
    files = [
        path
        for path in sorted(Path("tests").rglob("test_*.py"))
        if module in _imports(path) and path.name not in WHOLE
    ]
    return [str(path) for path in sorted(files, key=lambda path: path.stem != f"test_{last}")]


def _verify(name: str) -> str | None:
    from twolayer.host import jax_setup
    from twolayer.theory.verification import worker

    jax_setup.single_threaded()
    jax_setup.configure()
    try:
        verdict, _ = worker.judge(name, seed=0, instances=INSTANCES)
    except Exception as error:  # a change may raise anything
        return type(error).__name__
    return None if verdict.held else verdict.status


def _pytest(selection: list[str]) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "--no-header"]
    done = subprocess.run([*command, *selection], capture_output=True, text=True)
    if not done.returncode:
        return None
    rows = [row for row in done.stdout.splitlines() if row.startswith(("FAILED", "ERROR"))]
    return (rows or ["stopped"])[0]


def _stated(module: str) -> list[Any]:
    found = getattr(importlib.import_module(module), "THEOREMS", ())
    return list(found) if isinstance(found, tuple) else []


def _covers(theorem: Any, line: int) -> bool:
    """Whether one of a theorem's functions has this line."""
    for part in (theorem.sample, theorem.complete, theorem.hypotheses, theorem.conclusions):
        code = getattr(inspect.unwrap(part), "__code__", None)
        if code and code.co_firstlineno <= line <= max(row or 0 for *_, row in code.co_lines()):
            return True
    return False


def _name(path: Path) -> str:
    return ".".join(("twolayer", *path.with_suffix("").parts))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
