"""A syntax tree as words, in which what a name of the project stands for takes the name's place.

Left out are docstrings, comments, annotations, the messages of errors, and the name of the function
or class itself.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib.util
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from twolayer.sims.code import trees

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEFT_OUT = {"ctx", "annotation", "returns", "type_comment", "type_params", "kind"}
# What a name stands for that the code itself binds, and one that nothing is known about.
_LOCAL, _UNKNOWN = object(), object()


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """A function, class or module of the project that is referred to."""

    to: Any


Token = str | Reference


class Words:
    """Collects the words of trees of one module.

    Attributes:
      tokens: the words so far; that of an attribute begins with a dot.
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        closure: Mapping[str, Any],
        describe: Callable[[Any, Mapping[str, Any], str], Iterable[Token]],
    ):
        """Collect words from the syntax trees of a module.

        Args:
          names: what the module's names stand for.
          closure: what names of functions around the tree stand for.
          describe: the words of a value, given the names of its module, if any, and its own there.
        """
        self.tokens: list[Token] = []
        self._names = names
        self._describe = describe
        # The innermost last: whether it is a class's, and what names stand for in it.
        self._scopes: list[tuple[bool, Mapping[str, Any]]] = [(False, closure)]

    def add_definition(self, node: ast.AST) -> None:
        """A function without its name and its defaults, or a class without its name."""
        if isinstance(node, _FUNCTIONS):
            self._add_function(node)
        else:
            self._add_class(node)

    def add(self, node: Any) -> None:
        """Any tree, or what a field of one may hold."""
        match node:
            case list():
                items = [item for item in node if not self._is_silent(item)]
                self.tokens.append(f"list {len(items)}")
                for item in items:
                    self.add(item)
            case ast.Name() | ast.Attribute():
                self._add_chain(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self.tokens.append(getattr(node, "name", ""))
                self.add([*node.args.defaults, *filter(None, node.args.kw_defaults)])
                self._add_function(node)
            case ast.ClassDef():
                self.tokens.append(node.name)
                self._add_class(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self.add(node.generators[0].iter)
                with self._scope(node.generators):
                    self._add_fields(node)
            case ast.AnnAssign(value=ast.expr() as value) if not self._in_class():
                self._add_fields(ast.Assign([node.target], value))
            case ast.Raise(exc=ast.Call() as error):
                # What an error says changes no result.
                self.tokens.append("Raise")
                self.add(error.func)
            case ast.AST():
                self._add_fields(node)
            case _:
                self.tokens.append(f"{type(node).__name__} {node!r}")

    def _add_fields(self, node: ast.AST, *without: str) -> None:
        self.tokens.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            if name not in _LEFT_OUT and name not in without:
                self.add(value)

    def _add_function(self, node: Any) -> None:
        self.add(getattr(node, "decorator_list", []))
        with self._scope([node.args, node.body]):
            self._add_fields(node.args, "defaults", "kw_defaults")
            self.tokens.append(f"{type(node).__name__} {len(node.args.defaults)}")
            self.add(node.body)

    def _add_class(self, node: Any) -> None:
        self.add([*node.decorator_list, *node.bases, *node.keywords])
        with self._scope(node.body, is_class=True):
            self.add(node.body)

    def _add_chain(self, node: ast.expr) -> None:
        """A name, with the attributes that are taken of it."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            self.add(node)
        else:
            name, (names, value) = node.id, self._lookup(node.id)
            while attributes and trees.is_project_module(value) and attributes[0] in vars(value):
                names, name = vars(value), attributes.pop(0)
                value = names[name]
            if isinstance(value, types.ModuleType) and not trees.is_project_module(value):
                self.tokens.append(".".join(["library", value.__name__, *attributes]))
                attributes = []
            elif value is _LOCAL or value is _UNKNOWN:
                self.tokens.append(f"name {name}")
            else:
                self.tokens += self._describe(value, names, name)
        self.tokens += [f".{attribute}" for attribute in attributes]

    def _lookup(self, name: str) -> tuple[Mapping[str, Any], Any]:
        """What a name stands for, and the names of its module if it is a module's."""
        for depth, (is_class, bound) in enumerate(reversed(self._scopes)):
            if name in bound and (depth == 0 or not is_class):
                return {}, bound[name]
        # Names with underscores, such as __file__, tell where the module is.
        if name.startswith("__") or name not in self._names:
            return {}, _UNKNOWN
        return self._names, self._names[name]

    @contextlib.contextmanager
    def _scope(self, nodes: Any, is_class: bool = False) -> Iterator[None]:
        self._scopes.append((is_class, dict(_bound(nodes, self._names))))
        yield
        self._scopes.pop()

    def _in_class(self) -> bool:
        return self._scopes[-1][0]

    def _is_silent(self, node: Any) -> bool:
        """Whether a statement does nothing but to explain, annotate or import."""
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Import() | ast.ImportFrom():
                return True
            case ast.AnnAssign(value=None):
                return not self._in_class()
        return False


def _bound(nodes: Any, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names that a function, comprehension or class binds, and what they stand for if known."""
    outside: set[str] = set()
    found: list[tuple[str, Any]] = []
    todo = list(nodes) if isinstance(nodes, list) else [nodes]
    while todo:
        node = todo.pop()
        match node:
            case list():
                todo += node
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.append((name, _LOCAL))
                continue
            case ast.ClassDef(name=name):
                found.append((name, _LOCAL))
                continue
            case ast.Lambda():
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                walrus = [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
                found += [(each.target.id, _LOCAL) for each in walrus]
                continue
            case ast.Import() | ast.ImportFrom():
                found += _imported(node, names.get("__package__"))
            case ast.Global(names=listed):
                outside |= set(listed)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                found.append((name, _LOCAL))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.append((name, _LOCAL))
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found.append((name, _LOCAL))
        todo += ast.iter_child_nodes(node)
    return ((name, value) for name, value in found if name not in outside)


def _imported(node: ast.Import | ast.ImportFrom, package: str | None) -> Iterator[tuple[str, Any]]:
    """The names that an import within a function binds; a library's are not imported for it."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            within, whole = alias.name, alias.name if alias.asname else alias.name.partition(".")[0]
        else:
            origin = "." * node.level + (node.module or "")
            within = importlib.util.resolve_name(origin, package)
            whole = f"{within}.{alias.name}"
        value: Any = types.ModuleType(whole)
        with contextlib.suppress(ImportError, ValueError):  # nor is it there when this runs
            spec = importlib.util.find_spec(within.partition(".")[0])
            if spec and trees.is_project(spec.origin):
                module = importlib.import_module(within)
                held = isinstance(node, ast.ImportFrom) and hasattr(module, alias.name)
                value = getattr(module, alias.name) if held else importlib.import_module(whole)
        yield alias.asname or alias.name.partition(".")[0], value
