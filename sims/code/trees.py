"""Syntax trees of the functions and classes that run, as the files say now.

A function is found again in its file by its name and place. Where the file has been edited since it
was imported, what it says is not what runs: then there is no tree.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import importlib.util
import linecache
import os
import site
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twolayer.host import checkout

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
# Folders whose code counts as the project's wherever they are installed; links lead to some.
_OWN = [checkout.PACKAGE, *(checkout.PACKAGE / floor for floor in ("theory", "sims"))]


@functools.cache
def is_project(file: str | None) -> bool:
    """Whether a file is neither Python's own nor of a library: of this project or a user's."""
    if not file or file.startswith("<"):
        return False
    path = Path(os.path.realpath(file))
    if any(path.is_relative_to(folder.resolve()) for folder in _OWN):
        return True
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in _libraries())


def is_project_code(value: Any) -> bool:
    """Whether a function, class or module is of this project or a user's."""
    if isinstance(value, types.ModuleType):
        return is_project_module(value)
    if isinstance(value, types.FunctionType) and not value.__code__.co_filename.startswith("<"):
        return is_project(value.__code__.co_filename)
    if isinstance(value, (type, types.FunctionType)):
        # Typed into an interpreter, or made by other code.
        module = sys.modules.get(value.__module__)
        typed = value.__module__ == "__main__" and not hasattr(module, "__file__")
        return not hasattr(value, "__wrapped__") and (typed or is_project_module(module))
    return False


def is_project_module(module: Any) -> bool:
    """Whether something is a module whose file is of this project or a user's."""
    return isinstance(module, types.ModuleType) and is_project(getattr(module, "__file__", None))


def of_function(function: types.FunctionType) -> list[_Function]:
    """The trees that a function may be compiled from: one, or several lambdas of a line.

    Empty where there is no source, or where it has changed since it was imported.
    """
    code = function.__code__
    source = _source(code.co_filename, function.__globals__)
    if source is None:
        return []
    if type(function.__globals__.get("__loader__")) is importlib.machinery.SourceFileLoader:
        named = [other for other in source.codes if other.co_qualname == code.co_qualname]
        same = [other for other in named if _shape(other) == _shape(code)]
        if not same:
            return []
        code = min(same, key=lambda other: abs(other.co_firstlineno - code.co_firstlineno))
    found = [node for name, node in source.functions if name == code.co_qualname]
    if len(found) > 1:
        found = [node for node in found if code.co_firstlineno in _first_lines(node)] or found
    spans = set(code.co_positions())
    exact = [node for node in found if _span(node.body) in spans]
    return exact or found


def of_class(kind: type) -> list[ast.ClassDef]:
    """The trees that a class may be of: several where it is defined under conditions."""
    source = of_names(vars(sys.modules[kind.__module__]))
    return [node for name, node in source.classes if name == kind.__qualname__] if source else []


def assigned(names: Mapping[str, Any], name: str) -> list[ast.expr]:
    """The expressions that a module assigns to one of its names, or the one it has it from."""
    source, name = _origin(names, name)
    return source.assigned.get(name, []) if source else []


def is_memory(names: Mapping[str, Any], name: str) -> bool:
    """Whether a module makes a container empty, and leaves it to its functions to fill it."""
    source, name = _origin(names, name)
    if source is None or name in source.mentioned or name not in source.assigned:
        return False
    return all(map(_is_empty, source.assigned[name]))


def of_names(names: Mapping[str, Any]) -> Source | None:
    """The parsed file of the module that has these names; None where there is none."""
    return _source(names["__file__"], names) if names.get("__file__") else None


class Source:
    """A parsed file.

    Attributes:
      tree: all of it.
      functions: name and tree of each function and lambda, with the names of what they stand in.
      classes: the same of each class.
      assigned: for each name of the module the expressions that are assigned to it.
      mentioned: names that the module's own statements use.
      imported: for each name that is imported from a module that one, and the name there.
      codes: what its functions compile to.
    """

    def __init__(self, text: str, file: str):
        self.tree = ast.parse(text)
        self.functions: list[tuple[str, _Function]] = []
        self.classes: list[tuple[str, ast.ClassDef]] = []
        self.assigned: dict[str, list[ast.expr]] = {}
        self.mentioned: set[str] = set()
        self.imported: dict[str, tuple[str, str]] = {}
        self._walk(self.tree, "", at_top=True)
        # Nothing of it is run.
        whole = importlib.machinery.SourceFileLoader("", file).source_to_code(self.tree, file)
        self.codes = list(_inner(whole))

    def _walk(self, node: ast.AST, prefix: str, at_top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            below, still_at_top = prefix, at_top
            if isinstance(child, _Function):
                name = prefix + getattr(child, "name", "<lambda>")
                self.functions.append((name, child))
                below, still_at_top = f"{name}.<locals>.", False
            elif isinstance(child, ast.ClassDef):
                self.classes.append((prefix + child.name, child))
                below, still_at_top = f"{prefix}{child.name}.", False
            elif at_top and isinstance(child, ast.ImportFrom):
                origin = "." * child.level + (child.module or "")
                for alias in child.names:
                    self.imported[alias.asname or alias.name] = origin, alias.name
            elif at_top and isinstance(child, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                named = [each for target in targets for each in ast.walk(target)]
                for each in named:
                    if isinstance(each, ast.Name) and child.value is not None:
                        self.assigned.setdefault(each.id, []).append(child.value)
            elif at_top and isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
                self.mentioned.add(child.id)
            self._walk(child, below, still_at_top)


def _origin(names: Mapping[str, Any], name: str) -> tuple[Source | None, str]:
    """The file that assigns a module's name, and the name there."""
    source = of_names(names)
    if source and name not in source.assigned and name in source.imported:
        origin, original = source.imported[name]
        module = sys.modules.get(importlib.util.resolve_name(origin, names.get("__package__")))
        return _origin(vars(module), original) if is_project_module(module) else (None, name)
    return source, name


def _is_empty(expression: ast.expr) -> bool:
    match expression:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(keywords=[], args=arguments):
            called = ast.unparse(expression.func).rpartition(".")[2]
            if called == "defaultdict":
                return len(arguments) < 2
            return called in ("dict", "list", "set", "OrderedDict") and not arguments
    return False


def _source(file: str, module: Mapping[str, Any]) -> Source | None:
    linecache.checkcache(file)
    lines = linecache.getlines(file, dict(module))
    try:
        return _parsed("".join(lines), file) if lines else None
    except SyntaxError:  # edited since it was imported
        return None


@functools.cache
def _parsed(text: str, file: str) -> Source:
    return Source(text, file)


@functools.cache
def _libraries() -> list[Path]:
    """Where Python's own modules and libraries are."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(os.path.realpath(folder)) for folder in (*folders, site.getusersitepackages())]


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner(constant)


def _shape(code: types.CodeType) -> tuple[Any, ...]:
    """What a code does, wherever it stands: not its file and lines."""
    constants = [
        _shape(each)
        if isinstance(each, types.CodeType)
        else sorted(map(repr, each))
        if isinstance(each, frozenset)
        else repr(each)
        for each in code.co_consts
    ]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, names, constants


def _first_lines(node: _Function) -> range:
    decorators = getattr(node, "decorator_list", [])
    return range(min([node.lineno, *(each.lineno for each in decorators)]), node.lineno + 1)


def _span(body: ast.expr | list[ast.stmt]) -> tuple[int | None, ...]:
    """Where the body of a lambda stands, as a code's positions say it."""
    if isinstance(body, list):
        return ()
    return body.lineno, body.end_lineno, body.col_offset, body.end_col_offset
