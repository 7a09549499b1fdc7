"""Values of a public function at drawn valid arguments, and how far two of them may lie apart.

A tolerance is measured, not chosen: it is what the result changes by when every number that goes in
is changed by one rounding of the coarser of two computations.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.robustness.fuzz.cases import Given, draw, unannotated
from tests.robustness.fuzz.domains import SIZES
from tests.robustness.fuzz.functions import functions, parameters, seed_of

# How many measured changes two results may be apart: roundings inside of a function add up, and
# four random changes are seldom the worst one.
FACTOR, CHANGES = 16.0, 4
# What a function raises under jit that reads the numbers of its arguments.
READS_NUMBERS = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
READS_NUMBERS += (jax.errors.TracerIntegerConversionError,)
# Arguments of these kinds are traced; others are part of the program.
TRACED = ("array", "number", "key", "record")
# What is computed in a dtype of its own, or only as well as is asked for, does not tell.
CHOSEN = {"dtype": np.float64, "products": None, "max_steps": 4096, "rtol": 1e-7, "atol": 1e-7}

# The numbers of a result by their places in it.
Result = dict[str, np.ndarray]


class Program:
    """A public function at one set of sizes, words and integers: compiled once for each dtype.

    Attributes:
      fixed: the arguments that are part of the program.
      points: the other ones, as numbers that float32 holds: drawn, and at the edges of kernels,
        norms and ranges.
      thorough: whether time does not matter.
    """

    def __init__(self, name: str, size: str, seed: int, thorough: bool) -> None:
        self.name, self.function, self.thorough = name, functions()[name], thorough
        self.kinds = {parameter.name: parameter.kind for parameter in parameters(name)}
        self.story = f"{name}, {size}, seed {seed}"
        self.compiles = True
        seeds = [seed_of(name, size, seed, index) for index in range(4)]
        draws = [
            draw(name, size, np.random.default_rng(one)) for one in seeds[: 4 if thorough else 2]
        ]
        traced = [key for key, value in draws[0].items() if self._is_traced(key, value)]
        self.fixed = {key: value for key, value in draws[0].items() if key not in traced}
        self.fixed |= {key: CHOSEN[key] for key in self.fixed if key in CHOSEN}
        self.points = {
            f"drawn {index}": cast({key: drawn[key] for key in traced}, np.float32)
            for index, drawn in enumerate(draws)
        }
        self.drawn = list(self.points)
        self.points |= self._edges(self.points["drawn 0"])

    def _is_traced(self, key: str, value: Any) -> bool:
        sort = self.kinds[key].sort
        if sort == "number":
            return isinstance(value, float) and key not in CHOSEN
        return value is not None and sort in TRACED

    def _edges(self, point: Given) -> dict[str, Given]:
        edges = {}
        free = [key for key in point if self.kinds[key].free and np.ndim(point[key]) == 2]
        if len(free) > 1 and len({point[key].shape[1] for key in free}) == 1:
            same = {key: np.resize(point[free[0]], point[key].shape) for key in free}
            edges["equal rows"] = point | same
        if free:
            zero = {key: np.concatenate([0 * point[key][:1], point[key][1:]]) for key in free}
            edges["a zero row"] = point | zero
        numbers = {key: 0.0 for key in point if self._takes(key, 0.0)}
        if numbers:
            edges[f"{', '.join(numbers)} at 0"] = point | numbers
        return edges

    def _takes(self, key: str, value: float) -> bool:
        """Whether an argument is a number that may have this value, by the function's own check."""
        if self.kinds[key].sort != "number":
            return False
        try:
            self.shapes(self.points["drawn 0"] | {key: value})
        except (ValueError, *READS_NUMBERS):
            return False
        return True

    def shapes(self, point: Given) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of the result, with numbers that are known while arrays are not."""
        known, rest = self._parted(point)
        with quiet():
            return jax.eval_shape(lambda rest: self.numbers(rest | known), rest)

    def known(self, point: Given) -> Result:
        """The result of a program of which the numbers are part."""
        known, rest = self._parted(point)
        with quiet():
            return _read(jax.jit(lambda rest: self.numbers(rest | known))(rest))

    def _parted(self, point: Given) -> tuple[Given, Given]:
        numbers = {key: one for key, one in point.items() if self.kinds[key].sort == "number"}
        return numbers, {key: one for key, one in point.items() if key not in numbers}

    def but(self, **fixed: Any) -> Program:
        """The program with other words or integers, to be compiled anew."""
        other = copy.copy(self)
        other.fixed = self.fixed | fixed
        other.__dict__.pop("traced", None)
        return other

    def numbers(self, point: Given) -> dict[str, Any]:
        """What is a number in the result, by its place."""
        leaves = jax.tree_util.tree_leaves_with_path(self.function(**point, **self.fixed))
        return {
            jax.tree_util.keystr(place): leaf
            for place, leaf in leaves
            if isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int)
        }

    @functools.cached_property
    def traced(self) -> Callable[[Given], Any]:
        return jax.jit(self.numbers)

    def __call__(self, point: Given) -> Result:
        """The result, compiled where the function can be."""
        if self.compiles:
            try:
                with quiet():
                    return _read(self.traced(point))
            except READS_NUMBERS:
                self.compiles = False
        return self.eager(point)

    def eager(self, point: Given) -> Result:
        with quiet():
            return _read(self.numbers(point))

    def change(self, point: Given, eps: float) -> tuple[Result, Result]:
        """The result in float64, and what it changes by with inputs that differ by ``eps``."""
        point = cast(point, np.float64)
        value, rng = self(point), np.random.default_rng(0)
        others = [self(shaken(point, rng, eps)) for _ in range(CHANGES)]
        return value, {
            place: np.max([_apart(other[place], one) for other in others], axis=0)
            + eps * (_size(one) + max(np.max(_size(one), initial=0.0), self._usual[place]) / FACTOR)
            for place, one in value.items()
        }

    @functools.cached_property
    def _usual(self) -> dict[str, float]:
        """The largest entry at drawn points, of which a rounding is left where all else cancels."""
        results = [self(cast(self.points[story], np.float64)) for story in self.drawn]
        return {
            place: max(np.max(_size(one[place]), initial=0.0) for one in results)
            for place in results[0]
        }


def programs(name: str, thorough: bool) -> Iterator[Program]:
    """Programs of a function whose words, integers and sizes fit together."""
    for size in SIZES if thorough else ("plain",):
        for seed in range(20):
            try:
                program = Program(name, size, seed, thorough)
                program(program.points["drawn 0"])
            except ValueError:
                # Two words may exclude each other, and not every function takes sizes of one.
                continue
            yield program
            break


def _size(value: np.ndarray) -> np.ndarray:
    return np.abs(np.where(np.isfinite(value), value, 0.0)) if is_float(value) else 0.0 * value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, and no annotations: as functions are called by a user."""
    with unannotated(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray | jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)


def is_number(value: Any) -> bool:
    return is_float(value) or isinstance(value, float)


def eps(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps)


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """A value of an argument with its numbers changed: an array, a float, or a record's arrays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        with quiet():
            return jax.tree.map(lambda leaf: jnp.asarray(mapped(change, leaf)), value)
    return change(value) if is_number(value) else value


def cast(point: Given, dtype: Any) -> Given:
    """Arguments with floating arrays of a dtype; numbers become ones that float32 holds."""

    def change(value: Any) -> Any:
        return float(np.float32(value)) if isinstance(value, float) else np.asarray(value, dtype)

    return {key: mapped(change, value) for key, value in point.items()}


def times(point: Given, keys: Iterable[str], power: int) -> Given:
    """Arguments of which some are multiplied by a power of two."""
    return point | {key: mapped(lambda value: np.ldexp(value, power), point[key]) for key in keys}


def shaken(point: Given, rng: np.random.Generator, eps: float) -> Given:
    """Numbers changed by one rounding up or down, alike in a symmetric matrix.

    Small whole numbers are exact in every dtype: labels, shares of 0 and 1, unit vectors.
    """

    def change(value: Any) -> Any:
        known = np.asarray(value)
        signs = rng.choice([-1.0, 1.0], known.shape)
        if known.ndim == 2 and np.array_equal(known, known.T):
            signs = np.triu(signs) + np.triu(signs, 1).T
        whole = (np.abs(known) < 100) & (known == np.rint(known))
        changed = known * np.where(whole, 1.0, 1.0 + eps * signs)
        return float(changed) if isinstance(value, float) else changed

    return {key: mapped(change, value) for key, value in point.items()}


def difference(got: Result, want: Result, change: Result) -> str | None:
    """Where two results differ by more than they may, or None."""
    if got.keys() != want.keys():
        return f"has {sorted(got)}, not {sorted(want)}"
    for place, wanted in want.items():
        value = got[place]
        if value.shape != wanted.shape or is_float(value) != is_float(wanted):
            return f"{place} is {value.dtype}{value.shape}, not {wanted.dtype}{wanted.shape}"
        allowed = FACTOR * np.broadcast_to(change[place], wanted.shape)
        apart = _apart(value, wanted)
        if np.any(apart > allowed):
            at = np.unravel_index(np.argmax(np.where(apart > allowed, apart, -1)), apart.shape)
            told = f"{value[at]!s}, not {wanted[at]!s} within {allowed[at]:.2g}"
            return f"{place}{list(map(int, at)) or ''} is {told}"
    return None


def _apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances, infinite where one of two is NaN, infinite or another integer."""
    if not is_float(first):
        return np.where(first == second, 0.0, np.inf)
    first, second = first.astype(float), second.astype(float)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.nan_to_num(np.abs(first - second), nan=np.inf))


def _read(result: dict[str, Any]) -> Result:
    return {place: np.asarray(leaf) for place, leaf in result.items()}
