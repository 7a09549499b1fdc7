"""Calls of a function: valid, in another form, with extreme entries, or with a wrong argument."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np

from tests import dtypes
from tests.robustness.fuzz.domains import (
    ANY_SHAPE,
    ARRAYS_ONLY,
    INNER,
    MODELS,
    SIZES,
    draw_patches,
    draw_state,
)
from tests.robustness.fuzz.functions import Parameter, matches, parameters
from twolayer.theory.training.momentum import TrainTrace

Given = dict[str, Any]


@dataclasses.dataclass
class Case:
    """One call: its arguments, what is special about it, and what must come of it."""

    name: str
    given: Given
    story: str
    must_raise: bool = False
    finite: bool = True
    dtypes: set[Any] = dataclasses.field(default_factory=set)


# What each dtype's name stands for; the short ones that can be computed with here.
DTYPES = {np.dtype(dtype).name: dtype for dtype in (jnp.float32, *dtypes.SHORT)}
FORMS = ("contiguous", "strided", "reversed", *DTYPES, "mixed", "int", "bool", "list")
EXTREMES = (0.0, 1e300, 1e-300, 5e-324, -1e300)
NO_ARRAYS = {
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


# A way to call a function: the sizes, what is special, and which of the several such ways.
Way = tuple[str, str, int]


def ways(name: str) -> dict[str, list[Way]]:
    """All ways to call a function, wrong ones and others."""
    others = [("valid", 0)] + [("form", index) for index in range(len(_forms(name)))]
    others += [("extreme", index) for index in range(len(EXTREMES))]
    if not parameters(name):
        others = others[:1]
    wrong = []
    if not matches(name, INNER):
        known, given = parameters(name), draw(name, "plain", np.random.default_rng(0))
        number = len(_all_wrong(name, known, given))
        # Alternately at both sizes, as what is wrong is told before sizes matter.
        wrong = [(list(SIZES)[index % 2], "wrong", index) for index in range(number)]
    return {"others": [(size, *way) for size in SIZES for way in others], "wrong": wrong}


def draw(name: str, size: str, rng: np.random.Generator) -> Given:
    """Valid arguments of a function."""
    known = parameters(name)
    # A set of patches has one size.
    if any(parameter.kind.make in (draw_patches, draw_state) for parameter in known):
        size = "plain"
    given = {}
    for parameter in known:
        value = parameter.kind.make(rng, _shape(parameter, size), SIZES[size])
        if parameter.dtype == "Bool" and parameter.kind.sort == "array":
            value = value.astype(bool)
        given[parameter.name] = value
    return given


def make_case(name: str, way: Way, seed: int) -> Case:
    """A call of a function: valid, in another form, with extreme entries, or with a wrong one."""
    size, mode, index = way
    known, rng = parameters(name), np.random.default_rng(seed)
    given = draw(name, size, rng)
    if mode == "form":
        return _in_form(name, given, known, _forms(name)[index])
    if mode == "extreme":
        return _with_extremes(name, given, known, rng, EXTREMES[index])
    if mode == "wrong":
        return _with_wrong(name, given, known, index)
    return Case(name, {key: _delivered(value) for key, value in given.items()}, "valid")


def _forms(name: str) -> tuple[str, ...]:
    if matches(name, INNER):
        return FORMS[:-3]
    return FORMS[:-1] if matches(name, ARRAYS_ONLY) else FORMS


def _delivered(value: Any) -> Any:
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


def _in_form(name: str, given: Given, known: list[Parameter], form: str) -> Case:
    choices = [DTYPES.get(form, jnp.float64)]
    if form == "mixed":
        choices = [jnp.float64, jnp.float32, dtypes.SHORT[0]]
    cast = False
    for index, parameter in enumerate(known):
        value = given[parameter.name]
        if parameter.kind.sort in ("record", "other") and form in DTYPES:
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
    # Short floats are read in float32, and the result is that; models may hand short ones on.
    wanted = {jnp.promote_types(choices[0], jnp.float32)} if cast and form in DTYPES else set()
    if wanted and matches(name, MODELS):
        wanted |= {jnp.dtype(choices[0])}
    return Case(name, given, form, dtypes=wanted)


def _cast(leaf: Any, dtype: Any) -> Any:
    floating = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(dtype) if floating else leaf


def _with_extremes(
    name: str,
    given: Given,
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


def _with_wrong(name: str, given: Given, known: list[Parameter], index: int) -> Case:
    wrong = _all_wrong(name, known, given)
    given = {key: _delivered(value) for key, value in given.items()}
    # Of a record or array of one entry there is less that can be wrong.
    parameter, story, value, must = wrong[index % len(wrong)]
    given[parameter.name] = value
    finite = not any(word in story for word in ("nan", "inf", "outside"))
    return Case(name, given, f"{parameter.name} {story}", must, finite)


def _all_wrong(
    name: str, known: list[Parameter], given: Given
) -> list[tuple[Parameter, str, Any, bool]]:
    return [
        (parameter, story, value, must)
        for parameter in known
        for story, value, must in _wrong(parameter, given[parameter.name])
        if not (must and parameter.kind.sort == "array" and matches(name, ARRAYS_ONLY))
    ]


def _wrong(parameter: Parameter, value: Any) -> list[tuple[str, Any, bool]]:
    """What is wrong for a parameter: (story, value, whether it must raise)."""
    kind = parameter.kind
    if kind.wrong:
        return [(f"wrong: {value!r}", value, True) for value in kind.wrong]
    nothing = [] if parameter.optional else [("None", None, True)]
    if kind.sort == "array":
        result = [(key, what, True) for key, what in NO_ARRAYS.items()]
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
            ("None", None, whole and field.default is not None),
            ("words", "words", whole),
            ("of integers", jnp.ones(leaf.shape, int), False),
            ("with nan", jnp.full(leaf.shape, jnp.nan), False),
        ]
        for story, what, must in spoilt:
            with unannotated():
                changed = dataclasses.replace(value, **{field.name: what})
            result.append((f"with {field.name} {story}", changed, must))
    return result


class unannotated:
    """Annotations are not enforced inside: the function's own checks are what answers."""

    def __enter__(self) -> None:
        jaxtyping.config.update("jaxtyping_disable", True)

    def __exit__(self, *_: object) -> None:
        jaxtyping.config.update("jaxtyping_disable", False)
