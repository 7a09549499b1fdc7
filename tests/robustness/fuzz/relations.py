"""Relations between two ways of calling a function on the same valid arguments.

Each relation is a function of a :class:`tests.robustness.fuzz.values.Program` that yields what does
not hold. ``unless`` names the functions (patterns) to which it does not apply, each with the
reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests import dtypes
from tests.robustness.fuzz.cases import Given
from tests.robustness.fuzz.functions import matches, parameters, seed_of
from tests.robustness.fuzz.values import (
    Program,
    Result,
    cast,
    difference,
    eps,
    is_float,
    is_number,
    quiet,
    times,
)

Check = Callable[[Program], Iterator[str]]


@dataclasses.dataclass(frozen=True)
class Relation:
    """A check of programs.

    Attributes:
      check: yields what does not hold.
      unless: the functions to which it does not apply, with the reasons.
      cheap: whether it needs no program but those in float32 and float64.
      needs: the word or kind of an argument without which it says nothing.
    """

    check: Check
    unless: dict[str, str]
    cheap: bool
    needs: str | None

    def applies(self, name: str) -> bool:
        """Whether it says something of a function."""
        words = {word for one in parameters(name) for word in (one.name, one.kind.sort)}
        return not matches(name, self.unless) and self.needs in (None, *words)

    def complaints(self, program: Program) -> list[str]:
        """What does not hold."""
        told, what = [], f"{program.story}, {self.check.__name__}"
        try:
            with np.errstate(all="ignore"):
                told.extend(f"{what}: {complaint}" for complaint in self.check(program))
        except Exception as error:
            told.append(f"{what}: {_line(error)}")
        return told


RELATIONS: dict[str, Relation] = {}


def relation(
    unless: dict[str, str] | None = None, *, cheap: bool = False, needs: str | None = None
) -> Callable[[Check], Check]:
    """Put a check among the relations."""

    def register(check: Check) -> Check:
        RELATIONS[check.__name__] = Relation(check, unless or {}, cheap, needs)
        return check

    return register


def by_turns(name: str) -> list[Relation]:
    """The cheap relations, and two of the others that each function has in its turn."""
    fitting = [one for one in RELATIONS.values() if one.applies(name)]
    others = [one for one in fitting if not one.cheap]
    first = seed_of(name)
    chosen = [others[(first + index) % len(others)] for index in range(min(2, len(others)))]
    return [one for one in fitting if one.cheap] + chosen


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.200}".replace("\n", " ")


# Networks, mixtures, attacked points and chosen rows are as short as what came.
KEEPS = (
    "theory.networks.*",
    "theory.training.gradient_descent.*",
    "theory.training.dual.*",
    "sims.*",
)


@relation()
def short_floats(program: Program) -> Iterator[str]:
    """Floats of 16 bits are read as float32, and the result is that of float32."""
    for dtype in dtypes.SHORT:
        for story, point in program.points.items():
            short = cast(point, dtype)
            wide = cast(short, np.float32)
            if not _has_floats(short):
                return
            got, want = program(short), program(wide)
            _, change = program.change(wide, eps(np.float32))
            for place, value in got.items():
                if value.dtype == dtype and matches(program.name, KEEPS):
                    change[place] = change[place] + eps(dtype) * np.abs(want[place])
                elif is_float(value) and value.dtype != want[place].dtype:
                    yield f"{place} is {value.dtype} for {dtype.dtype} at {story}"
            told = difference(got, want, change)
            if told:
                yield f"with {dtype.dtype}, {story}: {told}"


RANK = "without spread eigenvalues beyond the rank are rounding"


@relation(
    {
        "theory.training.function_space.decompose": "an eigenvector has either sign",
        "theory.kernels.preactivations.aug_cosine": "snaps within 64 eps of 1, as it says",
        "theory.mixup.features.noise.lift": "its Gram matrix has the square of the condition",
        "theory.shortcut.availability.spectra.mixture_linear_spectrum": RANK,
    },
    cheap=True,
)
def precision(program: Program) -> Iterator[str]:
    """Float32 gives what float64 gives of the same numbers, to its own rounding."""
    if "key" in program.kinds:
        # Random numbers of another dtype are other numbers.
        return
    for story, point in program.points.items():
        want, change = program.change(point, eps(np.float32))
        told = difference(program(point), want, change)
        if told:
            yield f"{story}: {told}"


@relation(needs="form")
def forms(program: Program) -> Iterator[str]:
    """Both forms of a kernel agree."""
    other = program.but(form={"gram": "pairwise"}.get(program.fixed["form"], "gram"))
    for story, point in program.points.items():
        for dtype in (np.float32, np.float64):
            _, change = program.change(point, eps(dtype))
            given = cast(point, dtype)
            told = difference(program(given), other(given), change)
            if told:
                yield f"{story}, {dtype.__name__}: {told}"


# Powers of two by which numbers are scaled: where a function shows how it scales, and up to where
# it must not end. Products of several arguments must not leave the range by themselves.
SMALL = (2, -2, 6, -8, 12, -14)
LARGE = {np.float32: (34, -34, 66, -66, 100, -100), np.float64: (200, -200, 664, -664)}


# What is a step function of its inputs looks homogeneous between two steps.
GATES = "gates switch somewhere, and nothing changes in between"
SOLVER = "of very different sizes the solver needs more steps than it may take"
GRAM = "steps may be taken in the Gram matrix, which holds squares of the inputs"


@relation(
    {
        "theory.training.gradient_descent.*": f"{GATES}; {GRAM}",
        "theory.training.dual.*": f"{GATES}; {GRAM}",
        "theory.training.function_space.margin_flow": SOLVER,
        "theory.kernels.shallow.gate_kernel_mc": GATES,
        "theory.perturbation.orthogonal.flow.normalized_flow": "outputs go with the square of a",
        "theory.perturbation.wide.surrogate.even_odd_split": "the odd part is a difference",
        "theory.shortcut.availability.spectra.mixture_linear_spectrum": RANK,
    },
    cheap=True,
)
def scales(program: Program) -> Iterator[str]:
    """What is homogeneous in an argument at ordinary scale is so at every scale."""
    for story, point in program.points.items():
        for dtype in LARGE:
            given = cast(point, dtype)
            _, change = program.change(point, eps(dtype))
            base = program(given)
            for keys, powers in _scaled(program, dtype):
                degrees = _degrees(program, given, keys, base, change)
                for power in powers if degrees else ():
                    got = program(times(given, keys, power))
                    told = _off_scale(got, base, change, degrees, power)
                    if told:
                        what = f"{', '.join(keys)} times 2**{power}"
                        yield f"{story}, {dtype.__name__}, {what}: {told}"


def _scaled(program: Program, dtype: Any) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Arguments that may be of any size, and by which powers they are scaled: alone and all."""
    kinds = {key: program.kinds[key] for key in program.points["drawn 0"]}
    arrays = [key for key, kind in kinds.items() if kind.free]
    records = [key for key, kind in kinds.items() if kind.sort == "record"]
    together = [(key,) for key in records] + ([tuple(arrays)] if len(arrays) > 1 else [])
    every = LARGE[dtype]
    return [((key,), every) for key in arrays] + [(keys, every[:2]) for keys in together]


def _degrees(
    program: Program, given: Given, keys: tuple[str, ...], base: Result, change: Result
) -> dict[str, float]:
    """The degrees k of what goes as 2**k with its arguments."""
    degrees = {}
    others = {power: program(times(given, keys, power)) for power in SMALL}
    for place, value in base.items():
        if not is_float(value) or not np.all(np.isfinite(value)) or not np.any(value):
            continue
        at = np.unravel_index(np.argmax(np.abs(value)), value.shape)
        degree = np.rint(np.log2(np.abs(others[2][place][at] / value[at]))) / 2
        if np.isfinite(degree) and not any(
            _off_scale(other, base, change, {place: degree}, power)
            for power, other in others.items()
        ):
            degrees[place] = degree
    return degrees


def _off_scale(
    got: Result, base: Result, change: Result, degrees: dict[str, float], power: int
) -> str | None:
    shifts = {place: int(np.rint(power * degree)) for place, degree in degrees.items()}
    # In a wider range than any result's.
    want = {place: np.ldexp(base[place].astype("g"), shift) for place, shift in shifts.items()}
    moved = {place: np.ldexp(change[place], shift) for place, shift in shifts.items()}
    return _apart_in_range({place: got[place] for place in degrees}, want, moved)


def _apart_in_range(got: Result, want: Result, change: Result) -> str | None:
    """Where results differ, unless a dtype's range ends within some steps of a computation."""
    want, change = dict(want), dict(change)
    for place, value in got.items():
        if not is_float(value):
            continue
        limits, size = jnp.finfo(value.dtype), np.abs(want[place])
        largest = np.max(size, initial=0.0)
        ends = largest > np.ldexp(float(limits.max), -20)
        if ends or 0 < largest < np.ldexp(float(limits.tiny), 20):
            return None
        tiny = (size < np.ldexp(float(limits.tiny), 20)) & (size > 0)
        change[place] = np.where(tiny, np.inf, change[place])
        want[place] = want[place].astype(float)
    return difference(got, want, change)


@relation(
    {
        "theory.training.gradient_descent.*": GRAM,
        "theory.training.dual.*": GRAM,
        "theory.training.function_space.decompose": "an eigenvector has either sign",
        "theory.training.function_space.margin_flow": SOLVER,
        "theory.mixup.calibration.overlapping_pairs.nn_logits": "far away, all are equally near",
        "theory.mixup.calibration.scores.ts_weak": "steps below the rounding of T are none",
        "theory.mixup.features.noise.lift": "what cancels is of the size of the filters",
        "theory.perturbation.orthogonal.flow.normalized_flow": "outputs go with the square of a",
        "theory.perturbation.wide.surrogate.even_odd_split": "the odd part is a difference",
        "theory.perturbation.wide.directions.kernel_gradient_direction": (
            "large inputs of one dimension are parallel to rounding"
        ),
        "theory.shortcut.availability.flows.ntk": "opposite rows leave the rounding of |x||z|",
        "theory.shortcut.availability.spectra.mixture_linear_spectrum": (
            "to rounding equal eigenvalues have any vectors"
        ),
    },
    cheap=True,
)
def sizes(program: Program) -> Iterator[str]:
    """Float32 gives what float64 gives of very large and very small numbers too."""
    if "key" in program.kinds:
        return
    for story in program.drawn:
        for keys, powers in _scaled(program, np.float32):
            for power in powers:
                given = times(program.points[story], keys, power)
                want, change = program.change(given, eps(np.float32))
                told = _apart_in_range(program(given), want, change)
                if told:
                    yield f"{story}, {', '.join(keys)} times 2**{power}: {told}"


NUMPY = "made by NumPy, of numbers that are known"


@relation(
    {
        "theory.mixup.features.data.make_patch_data": "rho decides on a size",
        "theory.mixup.features.data.rare_count": "gives a size",
        "theory.shortcut.cues.accuracy.wilson_interval": NUMPY,
    }
)
def compiled(program: Program) -> Iterator[str]:
    """A compiled call gives what the call gives, without an infinity or NaN on the way there."""
    if not program.compiles:
        yield "reads the numbers of its arguments"
        return
    for story, point in program.points.items():
        given = cast(point, np.float64)
        want, change = program.change(point, eps(np.float64))
        numbers = (leaf for leaf in (*want.values(), *program.fixed.values()) if is_number(leaf))
        finite = all(np.all(np.isfinite(leaf)) for leaf in numbers)
        try:
            with jax.debug_nans(finite), jax.debug_infs(finite):
                got = program.eager(given)
        except FloatingPointError as error:
            yield f"{story}: {_line(error)}"
        except ValueError:
            # Numbers are checked where they are known only.
            continue
        else:
            told = difference(got, want, change)
            if told:
                yield f"{story}: {told}"


@relation()
def batched(program: Program) -> Iterator[str]:
    """A batch gives what its examples give one by one."""
    if not program.compiles or not program.points["drawn 0"]:
        return
    points = [cast(point, np.float64) for point in program.points.values()]
    batch = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *points)
    with quiet():
        together = jax.tree.map(np.asarray, jax.jit(jax.vmap(program.numbers))(batch))
    for index, (story, point) in enumerate(program.points.items()):
        want, change = program.change(point, eps(np.float64))
        got = {place: np.asarray(leaf[index]) for place, leaf in together.items()}
        told = difference(got, want, change)
        if told:
            yield f"{story}: {told}"


@relation()
def strict(program: Program) -> Iterator[str]:
    """Strict promotion of dtypes changes nothing."""
    for story, point in program.points.items():
        want = program(point)
        _, change = program.change(point, eps(np.float32))
        for call in (program, program.eager) if program.thorough else (program,):
            with jax.numpy_dtype_promotion("strict"):
                try:
                    got = call(point)
                except ValueError:
                    continue
            told = difference(got, want, change)
            if told:
                yield f"{story}: {told}"


@relation(needs="key")
def generators(program: Program) -> Iterator[str]:
    """Keys of every generator do, and a raw key is what a typed one is."""
    keys = [key for key, kind in program.kinds.items() if kind.sort == "key"]
    point = cast(program.points["drawn 0"], np.float64)
    want = program(point)
    for name in ("threefry2x32", "rbg", "unsafe_rbg")[0 if program.thorough else 1 :]:
        typed = {key: jax.random.key(7, impl=name) for key in keys}
        raw = {key: jax.random.key_data(one) for key, one in typed.items()}
        got = program(point | typed)
        with jax.default_prng_impl(name):
            # Programs do not know for which generator they were made.
            same = program.but()(point | raw)
        told = difference(same, got, {place: 0 * np.abs(leaf) for place, leaf in got.items()})
        if told:
            yield f"raw key of {name}: {told}"
        for place, leaf in want.items():
            if leaf.shape != got[place].shape or leaf.dtype != got[place].dtype:
                yield f"{place} is {got[place].dtype}{got[place].shape} for a key of {name}"
            if is_float(leaf) and np.all(np.isfinite(leaf)) > np.all(np.isfinite(got[place])):
                yield f"{place} is not finite for a key of {name}"


def _narrow(value: float) -> jax.Array:
    return jnp.asarray(value, np.float32)


@relation()
def scalars(program: Program) -> Iterator[str]:
    """NumPy's numbers and arrays of no rank are what Python's numbers are."""
    whole = {key: one for key, one in program.fixed.items() if program.kinds[key].sort == "integer"}
    first = program.points["drawn 0"]
    numbers = {key: one for key, one in first.items() if isinstance(one, float)}
    for dtype in (np.float32, np.float64) if numbers else ():
        # Numbers are narrower or wider than arrays.
        make = np.float64 if dtype == np.float32 else _narrow
        point, story = cast(first, dtype), f"{make.__name__} for {dtype.__name__}"
        want, other = program(point), _made(point, numbers, make)
        _, change = program.change(point, eps(np.float32))
        for got in (program.known(other), *([program(other)] if program.thorough else [])):
            told = difference(got, want, change)
            if told:
                yield f"{story}: {told}"
        if _has_floats(point) and program.shapes(other) != program.shapes(point):
            yield f"{story}: {program.shapes(other)}, not {program.shapes(point)}"
    for make in (np.float32, np.float64, np.asarray, jnp.asarray, _narrow):
        if numbers and program.compiles:
            program.shapes(_made(first, numbers, make))
    for make in (np.int32, np.int64, np.asarray, jnp.asarray):
        if whole:
            got, want = program.but(**_made({}, whole, make)).shapes(first), program.shapes(first)
            if got != want:
                yield f"integers by {make.__name__}: {got}, not {want}"


def _made(point: Given, numbers: Given, make: Callable[[Any], Any]) -> Given:
    return point | {key: make(value) for key, value in numbers.items()}


@relation()
def default_precision(program: Program) -> Iterator[str]:
    """Float32 gives the same numbers whether float64 is there or not."""
    if "key" in program.kinds:
        return
    for story, point in program.points.items():
        _, change = program.change(point, eps(np.float32))
        want = program(point)
        with jax.enable_x64(False):
            try:
                got = program(point)
            except ValueError as error:
                if "jax_enable_x64" in str(error):
                    return
                raise
        told = difference(got, want, change)
        if told:
            yield f"{story}: {told}"


def _has_floats(point: Given) -> bool:
    return any(is_float(leaf) for leaf in jax.tree.leaves(point))
