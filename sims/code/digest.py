"""Identify the code behind stored results by a digest.

From ``Study.simulate``, ``inputs`` and ``coords`` every function, class and constant of the project
that they refer to is walked. Of functions and classes the syntax tree counts, without docstrings,
comments, annotations and messages of errors; of constants, defaults and closures the value. A
reference counts as what it refers to, not by its name: code that is moved to another file or
renamed is the same code. Libraries count by the names that are used of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import hashlib
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from twolayer.sims.code import trees as sources
from twolayer.sims.code.words import Reference, Token, Words

if TYPE_CHECKING:
    from twolayer.sims.engine.experiment import Study

# Where wrappers of libraries (jit, partial, cache, custom_jvp, bound methods) keep what they wrap.
_WRAPPED = ("__wrapped__", "__func__", "func", "fun")
_PARTS = (*_WRAPPED, "__self__", "args", "keywords", "jvp", "fwd", "bwd", "nondiff_argnums")
# The word before what a library has made.
_MADE = "made by a library"
# The wrappers of these libraries check arguments and change nothing.
_CHECKERS = {"jaxtyping", "beartype"}


@functools.cache
def of_study(study: Study) -> str:
    """The digest of all code that decides what a study's cells hold, besides their configs."""
    roots = (study.simulate, study.coords, study.inputs)
    return of(filter(None, roots), study.config_type)


def of(roots: Iterable[Callable], config_type: type | None = None) -> str:
    """The digest of functions and of all that they refer to.

    Args:
      roots: the functions.
      config_type: a class whose methods and properties count where their names are used.
    """
    hashed = hashlib.sha256()
    numbers: dict[int, int] = {}
    owners: list[Any] = []
    attributes: set[str] = set()

    def tell(tokens: Iterable[Token]) -> None:
        for token in tokens:
            if isinstance(token, Reference):
                if id(token.to) not in numbers:
                    numbers[id(token.to)] = len(owners)
                    owners.append(token.to)
                token = f"refers to {numbers[id(token.to)]}"
            elif token.startswith("."):
                attributes.add(token[1:])
            hashed.update(token.encode() + b"\0")

    methods = dict(_methods(config_type)) if config_type else {}
    waiting = [list(_value(root)) for root in roots]
    done = 0
    while waiting:
        for tokens in waiting:
            tell(tokens)
        while done < len(owners):
            tell(_tokens(owners[done]))
            done += 1
        used = [name for name in methods if name in attributes]
        waiting = [[name, *_value(methods.pop(name))] for name in used]
    return hashed.hexdigest()


def _methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties by name, of a class and of the classes that it is derived from."""
    for each in reversed(kind.__mro__):
        for name, member in vars(each).items():
            function = getattr(member, "fget", None) or getattr(member, "func", None) or member
            if isinstance(getattr(function, "__func__", function), types.FunctionType):
                if not name.startswith("__"):
                    yield name, function


# Kept, as many studies ask for the same.
_told: dict[int, tuple[Any, list[Token]]] = {}


def _tokens(owner: Any) -> list[Token]:
    """List the words that make up a function, class or module."""
    if id(owner) not in _told:
        if isinstance(owner, types.FunctionType):
            tokens = _of_function(owner)
        else:
            tokens = _of_class(owner) if isinstance(owner, type) else _of_module(owner)
        _told[id(owner)] = owner, list(tokens)
    return _told[id(owner)][1]


def _of_function(function: types.FunctionType) -> Iterator[Token]:
    yield from _value((function.__defaults__, function.__kwdefaults__))
    names, closure = function.__globals__, {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        with contextlib.suppress(ValueError):  # not bound yet
            closure[name] = cell.cell_contents
    trees = sources.of_function(function)
    for tree in trees:
        words = Words(names, closure, _named)
        words.add_definition(tree)
        yield from words.tokens
    if not trees:
        yield from _of_code(function.__code__)
        for used in (closure, names):
            for name in function.__code__.co_names + function.__code__.co_freevars:
                if name in used and not name.startswith("__"):
                    yield from _value(used[name])


def _of_code(code: types.CodeType) -> Iterator[Token]:
    """A function without source, as this version of Python has compiled it."""
    yield from ("code", sys.version, code.co_code.hex(), *code.co_names)
    for constant in code.co_consts:
        yield from _of_code(constant) if isinstance(constant, types.CodeType) else _value(constant)


def _of_class(kind: type) -> Iterator[Token]:
    trees = sources.of_class(kind)
    for tree in trees:
        words = Words(vars(sys.modules[kind.__module__]), {}, _named)
        words.add_definition(tree)
        yield from words.tokens
    if not trees:  # made by a call
        for name, member in vars(kind).items():
            if not name.startswith("__"):
                yield name
                yield from _value(member)


def _of_module(module: types.ModuleType) -> Iterator[Token]:
    """All of a module that is used as a value."""
    source = sources.of_names(vars(module))
    if source:
        words = Words(vars(module), {}, _named)
        words.add(source.tree)
        yield from words.tokens


_under_way: set[tuple[int, str]] = set()


def _named(value: Any, names: Mapping[str, Any], name: str) -> list[Token]:
    """The value of a name; of what a library has made the expression that made it counts as well.

    A container that is made empty is a memory, to be filled while the program runs: of its contents
    only functions and classes of modules count, which are registered there.
    """
    if sources.is_memory(names, name) and isinstance(value, (dict, list, set)):
        held = value.values() if isinstance(value, dict) else value
        code = [_innermost(item) for item in held]
        ours = [each for each in code if sources.is_project_code(each)]
        registered = [each for each in ours if "<locals>" not in each.__qualname__]
        return ["memory", *map(Reference, sorted(registered, key=lambda each: each.__qualname__))]
    tokens = list(_value(value))
    key = id(names), name
    if key not in _under_way and _MADE in tokens:
        _under_way.add(key)
        for expression in sources.assigned(names, name):
            words = Words(names, {}, _named)
            words.add(expression)
            tokens += words.tokens
        _under_way.remove(key)
    return tokens


def _value(value: Any, within: tuple[int, ...] = ()) -> Iterator[Token]:
    """A value: numbers and containers whole, the project's code by reference, others by name."""
    if id(value) in within:
        yield "itself"
        return
    inner = functools.partial(_value, within=(*within, id(value)))
    match value:
        case enum.Enum():
            yield from (*inner(type(value)), value.name)
        case None | bool() | int() | float() | complex() | str() | bytes() | PurePath():
            yield f"{type(value).__name__} {value!s}"
        case np.ndarray() | np.generic() | jax.Array():
            yield from _array(value)
        case tuple() | list() | set() | frozenset() | range() | slice():
            yield type(value).__name__
            items = [value.start, value.stop, value.step] if isinstance(value, slice) else value
            parts = [list(inner(item)) for item in items]
            if isinstance(value, (set, frozenset)):
                parts.sort(key=lambda tokens: [_sortable(token) for token in tokens])
            yield str(len(parts))
            for tokens in parts:
                yield from tokens
        case dict() | types.MappingProxyType():
            yield f"dict {len(value)}"
            for key, item in value.items():
                yield from (*inner(key), *inner(item))
        case re.Pattern():
            yield f"pattern {value.pattern} {value.flags}"
        case _:
            yield from _object(value, inner)


def _array(value: Any) -> Iterator[Token]:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        yield str(value.dtype)
        value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype == object:
        yield from _value(array.tolist())
        return
    yield f"array {array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _object(value: Any, inner: Callable[[Any], Iterator[Token]]) -> Iterator[Token]:
    kind = type(value)
    innermost = _innermost(value)
    if sources.is_project_code(value):
        yield Reference(value)
    elif isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        yield _name(value)
    elif isinstance(value, (functools.partial, types.MethodType)):
        yield from (kind.__name__, *_parts(value, inner))
    elif sources.is_project_code(innermost):
        if _only_checks(value):
            yield from inner(value.__wrapped__)
        else:
            yield from (_MADE, *_parts(value, inner), *_closure(value, inner))
    elif hasattr(value, "__qualname__") or hasattr(value, "__name__"):
        yield _name(value)
        if "<locals>" in _name(value):
            yield from _closure(value, inner)
    else:
        ours = sources.is_project_code(kind)
        yield from [Reference(kind)] if ours else [_MADE, _name(kind)]
        if dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                yield from (field.name, *inner(getattr(value, field.name, None)))
        elif ours:
            for name, held in getattr(value, "__dict__", {}).items():
                yield from (name, *inner(held))


def _innermost(value: Any) -> Any:
    """Unwrap what decorators of libraries have wrapped."""
    seen: set[int] = set()
    while id(value) not in seen and not sources.is_project_code(value):
        seen.add(id(value))
        value = next((getattr(value, part) for part in _WRAPPED if hasattr(value, part)), value)
    return value


def _only_checks(value: Any) -> bool:
    file = value.__code__.co_filename if isinstance(value, types.FunctionType) else ""
    return bool(_CHECKERS & set(PurePath(file).parts)) or file.startswith("<@beartype")


def _parts(value: Any, inner: Callable[[Any], Iterator[Token]]) -> Iterator[Token]:
    for part in _PARTS:
        if hasattr(value, part):
            yield from (part, *inner(getattr(value, part)))


def _closure(value: Any, inner: Callable[[Any], Iterator[Token]]) -> Iterator[Token]:
    for cell in getattr(value, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # not bound yet
            yield from inner(cell.cell_contents)


def _name(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    return f"{getattr(value, '__module__', '')}.{name}"


def _sortable(token: Token) -> str:
    return token if isinstance(token, str) else token.to.__qualname__
