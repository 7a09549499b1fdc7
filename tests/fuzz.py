"""Calls of every public function with valid and invalid arguments, and what is a defect.

Annotations say shapes (``Float[Array, "n d"]``), and a parameter's name means the same nearly
everywhere (``y`` are labels, ``gamma`` is a slope): so one table by name, ``tests/fuzz_table.py``,
serves all functions.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
from hypothesis import strategies as st

import sims
import theory
from tests.fuzz_table import (
    ANY_SHAPE,
    ARRAYS_ONLY,
    BITS,
    EAGER,
    EXCLUDED,
    FREE,
    INNER,
    LIMITS,
    OPTIONAL,
    RAISES,
    SIZES,
    TABLE,
    Kind,
    draw_patches,
    draw_state,
    numbers,
    one_of,
)
from theory.heavy_ball import TrainTrace


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """Every public function of theory and sims by its full name."""
    found = {}
    for package in (theory, sims):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                public = callable(value) and not inspect.isclass(value) and not name.startswith("_")
                if public and getattr(value, "__module__", None) == module.name:
                    found[f"{module.name}.{name}"] = value
    return found


def excluded(name: str) -> str | None:
    """Why a function is not called here, or None."""
    return next((why for key, why in EXCLUDED.items() if fnmatch.fnmatchcase(name, key)), None)


def fuzzed() -> list[str]:
    return [name for name in functions() if excluded(name) is None]


_SPEC = re.compile(r"(Float|Int|Bool|Num)\[Array, ['\"]\s*([^'\"]*?)\s*['\"]\]")


def specs(annotation: str) -> list[tuple[str, list[str]]]:
    """The arrays of an annotation: (dtype, names of sizes)."""
    return [(dtype, dims.split()) for dtype, dims in _SPEC.findall(str(annotation))]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a function, and what it takes."""

    name: str
    kind: Kind
    dtype: str
    dims: list[str]
    optional: bool


@functools.cache
def parameters(name: str) -> list[Parameter]:
    """The parameters of a function that are given here; a LookupError for one without a kind."""
    module, _, function = name.rpartition(".")
    result = []
    for parameter in inspect.signature(functions()[name]).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        annotation = str(parameter.annotation)
        shaped = specs(annotation)
        entries = (f"{name}:{parameter.name}", f"{module}:{parameter.name}")
        kind = next((TABLE[entry] for entry in entries if entry in TABLE), None)
        if kind is None and parameter.default is None:
            kind = TABLE[parameter.name] if parameter.name in OPTIONAL else None
            if kind is None:
                continue
        scalar = annotation in _SCALARS or (shaped and "float |" in annotation)
        dtype, dims = shaped[0] if shaped and not scalar else ("Float", [])
        if kind is None and not dims and TABLE.get(parameter.name, FREE).sort == "array":
            kind = TABLE.get(parameter.name)
        if kind is not None and kind.dims:
            dims = kind.dims.split()
        kind = kind or _by_annotation(parameter.name, annotation, dtype, dims, scalar)
        if kind is None:
            raise LookupError(f"{name} needs an entry of TABLE for {parameter.name}: {annotation}.")
        optional = parameter.default is None or annotation.endswith("| None")
        result.append(Parameter(parameter.name, kind, dtype, dims, optional))
    return result


_SCALARS = ("float", "Scalar", "Slope", "orthogonal.Slope", "ArrayLike", "ActivationLike", "Weight")


def _by_annotation(
    name: str, annotation: str, dtype: str, dims: list[str], scalar: bool
) -> Kind | None:
    kind = TABLE.get(name)
    if annotation == "bool":
        return one_of(True, False)
    if annotation == "int":
        if kind is not None and kind.sort == "integer":
            return kind
        return Kind(lambda rng, shape, sizes: sizes.get(name, 2), "integer")
    if kind is not None:
        return kind
    if scalar:
        return numbers(0.1, 0.9)
    if dims or specs(annotation):
        return {"Int": BITS, "Bool": BITS}.get(dtype, FREE)
    return None


@dataclasses.dataclass
class Case:
    """One call: its arguments, what is special about it, and what must come of it."""

    name: str
    given: dict[str, Any]
    story: str
    must_raise: bool = False
    finite: bool = True
    dtype: Any = None


FORMS = ("contiguous", "strided", "reversed", "float32", "float16", "bfloat16", "mixed", "int")
FORMS += ("bool", "list")
EXTREMES = (0.0, 1e300, 1e-300, 5e-324, -1e300)
NO_ARRAYS = {
    "None": None,
    "words": "words",
    "object": object(),
    "complex": 1j,
    "ragged": [[1.0], [1.0, 2.0]],
}


def _shape(parameter: Parameter, size: str) -> tuple[int, ...]:
    shape: list[int] = []
    for dim in parameter.dims:
        if dim == "..." or dim.startswith("*"):
            shape += ANY_SHAPE[size]
        else:
            shape.append(int(dim) if dim.isdigit() else SIZES[size][dim])
    return tuple(shape)


# A call's size, seed, mode, and which of the ways of its mode. What is made of them runs outside of
# hypothesis, as the checks of annotations draw random numbers of their own.
RECIPES = st.tuples(
    st.sampled_from(list(SIZES)),
    st.integers(0, 2**31 - 1),
    st.sampled_from(("valid", "form", "extreme", "wrong", "wrong", "wrong")),
    st.integers(0, 10**6),
)


def make_case(name: str, recipe: tuple[str, int, str, int]) -> Case:
    """A call of a function: valid, in another form, with extreme entries, or with a wrong one."""
    known = parameters(name)
    size, seed, mode, way = recipe
    # A set of patches has one size.
    if any(parameter.kind.make in (draw_patches, draw_state) for parameter in known):
        size = "plain"
    rng = np.random.default_rng(seed)
    given = {}
    for parameter in known:
        value = parameter.kind.make(rng, _shape(parameter, size), SIZES[size])
        if parameter.dtype == "Bool" and parameter.kind.sort == "array":
            value = value.astype(bool)
        given[parameter.name] = value
    if not known or mode == "valid" or (matches(name, INNER) and mode == "wrong"):
        return Case(name, {key: _delivered(value) for key, value in given.items()}, "valid")
    if mode == "form":
        forms = _forms(name)
        return _in_form(name, given, known, forms[way % len(forms)])
    if mode == "extreme":
        return _with_extremes(name, given, known, rng, EXTREMES[way % len(EXTREMES)])
    return _with_wrong(name, given, known, way)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of some patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _forms(name: str) -> tuple[str, ...]:
    if matches(name, INNER):
        return FORMS[:-3]
    return FORMS[:-1] if matches(name, ARRAYS_ONLY) else FORMS


def _delivered(value: Any) -> Any:
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def _in_form(name: str, given: dict[str, Any], known: list[Parameter], form: str) -> Case:
    dtypes = {"float32": [jnp.float32], "float16": [jnp.float16], "bfloat16": [jnp.bfloat16]}
    choices = dtypes.get(form, [jnp.float64])
    if form == "mixed":
        choices = [jnp.float64, jnp.float32, jnp.float16]
    cast = False
    for index, parameter in enumerate(known):
        value = given[parameter.name]
        if parameter.kind.sort in ("record", "other") and form in dtypes:
            given[parameter.name] = jax.tree.map(lambda leaf: _cast(leaf, choices[0]), value)
        if parameter.kind.sort != "array" or not isinstance(value, np.ndarray):
            continue
        if form == "strided":
            value = np.repeat(value, 2, axis=-1)[..., ::2] if value.ndim else value
        elif form == "reversed":
            value = np.flip(np.flip(value).copy())
        elif form == "list":
            value = value.tolist()
        elif form in ("int", "bool") and parameter.kind.free:
            value = np.rint(2 * value).astype(int if form == "int" else bool)
        elif parameter.dtype == "Float":
            value = jnp.asarray(value, choices[index % len(choices)])
            cast = True
        given[parameter.name] = value
    return Case(name, given, form, dtype=choices[0] if cast and form in dtypes else None)


def _cast(leaf: Any, dtype: Any) -> Any:
    floating = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(dtype) if floating else leaf


def _with_extremes(
    name: str,
    given: dict[str, Any],
    known: list[Parameter],
    rng: np.random.Generator,
    extreme: float,
) -> Case:
    everywhere = rng.random() < 0.5
    for parameter in known:
        value = given[parameter.name]
        if parameter.kind.free and isinstance(value, np.ndarray):
            spoilt = everywhere or (rng.random(value.shape) < 0.3)
            given[parameter.name] = np.where(spoilt, extreme, value)
    story = f"{extreme} {'everywhere' if everywhere else 'here and there'}"
    given = {key: _delivered(value) for key, value in given.items()}
    return Case(name, given, story, finite=abs(extreme) < 1)


def _with_wrong(name: str, given: dict[str, Any], known: list[Parameter], way: int) -> Case:
    wrong = [
        (parameter, story, value, must)
        for parameter in known
        for story, value, must in _wrong(parameter, given[parameter.name])
        if not (must and parameter.kind.sort == "array" and matches(name, ARRAYS_ONLY))
    ]
    given = {key: _delivered(value) for key, value in given.items()}
    if not wrong:
        return Case(name, given, "valid")
    parameter, story, value, must = wrong[way % len(wrong)]
    given[parameter.name] = value
    finite = not any(word in story for word in ("nan", "inf", "outside"))
    return Case(name, given, f"{parameter.name} {story}", must, finite)


def _wrong(parameter: Parameter, value: Any) -> list[tuple[str, Any, bool]]:
    """What is wrong for a parameter: (story, value, whether it must raise)."""
    kind = parameter.kind
    if kind.wrong:
        return [(f"wrong: {value!r}", value, True) for value in kind.wrong]
    nothing = [] if parameter.optional else [("None", None, True)]
    if kind.sort == "array":
        result = [(key, what, True) for key, what in NO_ARRAYS.items() if what is not None]
        result += nothing
        value = np.asarray(value)
        result += [("of rank one more", value[None], False)]
        if value.ndim:
            result += [("of rank one less", value[0], False), ("empty", value[:0], False)]
            result += [("without columns", value[..., :0], False)]
            result += [("twice as long", np.concatenate([value, value]), False)]
            result += [("twice as wide", np.concatenate([value, value], axis=-1), False)]
        if value.dtype.kind == "f":
            for entry in (np.nan, np.inf):
                spoilt = value.copy()
                spoilt.reshape(-1)[-1:] = entry
                result.append((f"with {entry}", spoilt, False))
            result += [
                (f"outside: {entry}", np.full_like(value, entry), False) for entry in (-3, 7)
            ]
        else:
            result += [("outside: -3", value.astype(int) - 3, False)]
            result += [("outside: 70", value.astype(int) + 70, False)]
        return [
            (story, jnp.asarray(what) if isinstance(what, np.ndarray) else what, must)
            for story, what, must in result
        ]
    if kind.sort == "number":
        outside = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0, 2.5, 1e300, 1e-300, 5e-324)
        result = [(f"outside: {entry}", entry, False) for entry in outside]
        result += [("words", "0.5", True), ("object", object(), True), ("complex", 1j, True)]
        if not kind.many:
            result += [("of two", jnp.array([0.5, 0.5]), True)]
        return result + nothing
    if kind.sort == "integer":
        result = [(f"outside: {entry}", entry, False) for entry in (0, -1, 1, 5)]
        return result + [("words", "3", True), ("fraction", 1.5, True), *nothing]
    if kind.sort == "key":
        key = np.asarray(jax.random.key_data(value))
        result = [("of floats", jnp.asarray(key, float), True), ("a seed", 7, True)]
        result += [("of three words", jnp.zeros(3, jnp.uint32), True), ("words", "key", True)]
        result += [("a batch", jax.random.split(value, 2), True)]
        result += [("a raw batch", jnp.stack([key, key]), True)]
        return [*result, ("raw", jnp.asarray(key), False), *nothing]
    if kind.sort == "record":
        result = [("words", "words", True), ("an array", jnp.ones((2, 2)), True), *nothing]
        return result + _spoilt_fields(value)
    if kind.sort == "word":
        return [("nonsense", "nonsense", True), ("a number", 3, True), ("a list", ["l2"], True)]
    return []


def _spoilt_fields(value: Any) -> list[tuple[str, Any, bool]]:
    """A record with one field that is wrong."""
    result = []
    # No function reads all fields of a trace.
    whole = not isinstance(value, TrainTrace)
    for field in dataclasses.fields(value):
        leaf = getattr(value, field.name)
        spoilt = [
            ("of rank one more", leaf[None], whole),
            ("of rank one less", leaf[0], whole),
            ("twice as long", jnp.concatenate([leaf, leaf]), whole),
            ("None", None, whole),
            ("words", "words", whole),
            ("of integers", jnp.ones(leaf.shape, int), False),
            ("with nan", jnp.full(leaf.shape, jnp.nan), False),
        ]
        for story, what, must in spoilt:
            with _unannotated():
                changed = dataclasses.replace(value, **{field.name: what})
            result.append((f"with {field.name} {story}", changed, must))
    return result


class Defect(AssertionError):
    """What a function must not do."""


def outcome(case: Case) -> str:
    """Call the function: "result" or "ValueError", or a :class:`Defect`."""
    function = functions()[case.name]
    sizes: dict[str, int] = {}
    known = {parameter.name: parameter for parameter in parameters(case.name)}
    fits = case.must_raise or all(
        _unify(parameter.dims, np.shape(case.given[name]), sizes)
        for name, parameter in known.items()
        if parameter.kind.sort == "array" and _is_array(case.given[name])
    )
    for name, parameter in known.items():
        if parameter.kind.sort == "integer" and isinstance(case.given[name], int):
            fits = fits and sizes.setdefault(name, case.given[name]) is not None
    try:
        with _unannotated(), jax.disable_jit(case.name in EAGER), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(**case.given)
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result) if _is_array(leaf)]
    except ValueError as error:
        # What is wrong with numbers may show in a quantity made of them, under its own name.
        named = any(re.search(rf"\b{name}\b", str(error)) for name in known)
        if not named and (case.must_raise or not fits):
            raise Defect(
                f"{_told(case)}: ValueError that names no argument: {error!s:.120}"
            ) from error
        return "ValueError"
    except Exception as error:
        if isinstance(error, RAISES.get(case.name, ((),))[0]):
            return "documented"
        raise Defect(f"{_told(case)}: {type(error).__name__}: {error!s:.150}") from error
    if case.must_raise or not fits:
        raise Defect(f"{_told(case)}: no ValueError, but {_shapes(result)}")
    annotation = str(inspect.signature(function).return_annotation)
    wanted = specs(annotation)
    results = list(result) if annotation.startswith("tuple[") else [result]
    if wanted and len(wanted) == len(results):
        for (dtype, dims), one in zip(wanted, results, strict=True):
            if not _unify(dims, np.shape(one), sizes):
                raise Defect(f"{_told(case)}: shape {np.shape(one)} for {dims} with {sizes}")
            if not jnp.issubdtype(one.dtype, _DTYPES[dtype]):
                raise Defect(f"{_told(case)}: dtype {one.dtype} for {dtype}")
    if case.dtype is not None:
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != case.dtype:
                raise Defect(
                    f"{_told(case)}: dtype {leaf.dtype} for input of {case.dtype.__name__}"
                )
    if case.finite and case.name not in LIMITS:
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.all(np.isfinite(leaf)):
                raise Defect(f"{_told(case)}: not finite: {leaf!s:.100}")
    return "result"


_DTYPES = {"Float": jnp.floating, "Int": jnp.integer, "Bool": jnp.bool_, "Num": jnp.number}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | jax.Array | list) and not (
        isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    )


def _unify(dims: list[str], shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Whether a shape is that of an annotation, at sizes that are known or become so."""
    if any(dim == "..." or dim.startswith("*") for dim in dims):
        return True
    if len(dims) != len(shape):
        return False
    return all(
        dim == "_" or (int(dim) if dim.isdigit() else sizes.setdefault(dim, size)) == size
        for dim, size in zip(dims, shape, strict=True)
    )


class _unannotated:
    """Annotations are not enforced inside: the function's own checks are what answers."""

    def __enter__(self) -> None:
        jaxtyping.config.update("jaxtyping_disable", True)

    def __exit__(self, *_: object) -> None:
        jaxtyping.config.update("jaxtyping_disable", False)


def _told(case: Case) -> str:
    return f"{case.name}, {case.story}"


def _shapes(result: Any) -> str:
    return str([getattr(leaf, "shape", leaf) for leaf in jax.tree.leaves(result)])[:100]
