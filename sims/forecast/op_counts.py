"""What a program costs to run, counted from its operations.

Every number follows from the code that runs, for any config. Operations on single entries are
counted as they stand; a compiler fuses them, so that they are no traffic of memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from twolayer.sims.forecast.operations import Block, Op, Value

# Operations on an entry that take a polynomial or a call of a library.
SPECIAL = {
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "digamma", "erf"),
    *("erf_inv", "erfc", "exp", "exp2", "expm1", "lgamma", "log", "log1p", "logistic", "pow"),
    *("sin", "sinh", "tan", "tanh"),
}
# These are done as they are read or written by others, or at compile time.
_FREE = {
    *("bitcast_convert_type", "broadcast_in_dim", "copy", "iota", "optimization_barrier"),
    *("random_unwrap", "random_wrap", "reshape", "slice", "squeeze", "stop_gradient"),
}
_MOVES = {
    *("concatenate", "dynamic_slice", "dynamic_update_slice", "gather", "pad", "rev", "scatter"),
    *("scatter-add", "split", "stack", "tile", "transpose", "unstack"),
}
_REDUCES = {"argmax", "argmin", "cumsum", "cumlogsumexp", "cummax", "cummin", "cumprod"}
# Marsaglia and Tsang's method draws a normal and a uniform number in each of its few rounds.
_GAMMA_DRAWS = 8


@dataclasses.dataclass(frozen=True)
class Work:
    """Numbers of operations; sums and multiples are those of programs.

    Attributes:
      flops: of matrix products in float32 or shorter, an addition and a multiplication being two.
      flops64: of those in float64.
      product_bytes: of the factors and results of matrix products.
      products: how many matrix products there are.
      elements: operations on entries, such as sums and comparisons, and entries of reductions;
        an entry of 64 bits counts as two, here and below.
      special: of them exponentials, logarithms and the like, which are not in ``elements``.
      random: words of 32 bits drawn.
      moved: bytes gathered, scattered, joined and transposed.
      sorted: comparisons of sorts, :math:`n \\log_2 n` for n entries.
      factored: flops of factorisations and decompositions.
      steps: operations carried out one after another, whatever their size.
    """

    flops: float = 0.0
    flops64: float = 0.0
    product_bytes: float = 0.0
    products: float = 0.0
    elements: float = 0.0
    special: float = 0.0
    random: float = 0.0
    moved: float = 0.0
    sorted: float = 0.0
    factored: float = 0.0
    steps: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(self._numbers(), other._numbers(), strict=True)))

    def __mul__(self, times: float) -> Work:
        return Work(*(times * a for a in self._numbers()))

    def _numbers(self) -> list[float]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    @property
    def total_flops(self) -> float:
        """All arithmetic; a special function or a random word counts as ten."""
        return (
            self.flops
            + self.flops64
            + self.factored
            + self.elements
            + 10 * (self.special + self.random)
        )


def count(block: Block) -> Work:
    """The work of a program; of branches that are not known the dearest."""
    total = Work()
    for op in block.ops:
        if op.name == "cond":
            branches = [count(branch) * chosen for branch, chosen in op.blocks]
            total += max(branches, key=lambda work: work.total_flops)
        elif op.blocks:
            for inner, times in op.blocks:
                total += count(inner) * times
        else:
            total += _own(op)
    return total


def code(block: Block) -> float:
    """How much there is to compile, in units of a matrix product's code; all branches count."""
    return 1.0 + _code(block)


def _code(block: Block) -> float:
    total = 0.0
    for op in block.ops:
        total += _CODE.get(op.name, _CODE_REDUCTION if _reduces(op) else _CODE_ENTRY)
        # A scan's steps are one piece of code, however many they are.
        blocks = op.blocks[:1] if op.name == "scan" else op.blocks
        total += sum(_code(inner) for inner, _ in blocks)
    return total


# [measured] Least squares over the programs of all stems, in time of the compiler (jax 0.10, CPU).
_CODE = {"dot_general": 1.0, "conv_general_dilated": 1.0, "sort": 1.5, "cond": 4.5}
_CODE |= {"scan": 4.0, "while": 4.0}
_CODE |= dict.fromkeys(("random_bits", "random_fold_in", "random_gamma", "random_split"), 4.5)
_CODE_REDUCTION = 0.25
_CODE_ENTRY = 0.02


def _own(op: Op) -> Work:
    """The work of an operation by itself."""
    if op.name in _FREE:
        return Work()
    size = sum(map(_words, op.outputs))
    if op.name in _PRODUCTS:
        flops = _PRODUCTS[op.name](op)
        traffic = float(sum(value.bytes for value in [*op.inputs, *op.outputs]))
        is_double = op.outputs[0].aval.dtype.itemsize >= 8
        kind = "flops64" if is_double else "flops"
        return Work(**{kind: flops}, product_bytes=traffic, products=1.0, steps=1.0)
    if op.name in _FACTORS:
        return Work(factored=_FACTORS[op.name](op), steps=1.0)
    if op.name == "random_bits":
        return Work(random=size, steps=1.0)
    if op.name == "random_gamma":
        return Work(random=_GAMMA_DRAWS * size, special=_GAMMA_DRAWS * size, steps=1.0)
    if op.name in SPECIAL:
        return Work(special=size, steps=1.0)
    if op.name in _MOVES:
        return Work(moved=float(sum(value.bytes for value in op.outputs)), steps=1.0)
    if op.name == "sort":
        length = op.inputs[0].aval.shape[op.params["dimension"]]
        return Work(sorted=size * math.log2(max(length, 2)), steps=1.0)
    if _reduces(op):
        return Work(elements=_words(op.inputs[0]), steps=1.0)
    return Work(elements=size, steps=1.0)


def _reduces(op: Op) -> bool:
    return op.name.startswith("reduce_") or op.name in _REDUCES


def _words(value: Value) -> float:
    """Entries, those of 64 bits twice."""
    return value.size * (2.0 if value.bytes > 4 * value.size else 1.0)


def _dot_general(op: Op) -> float:
    (contracted, _), _ = op.params["dimension_numbers"]
    left = op.inputs[0].aval.shape
    return 2.0 * op.outputs[0].size * math.prod(left[axis] for axis in contracted)


def _convolution(op: Op) -> float:
    kernel, spec = op.inputs[1].aval.shape, op.params["dimension_numbers"].rhs_spec
    return 2.0 * op.outputs[0].size * math.prod(kernel) / kernel[spec[0]]


_PRODUCTS: dict[str, Callable[[Op], float]] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
}


def _matrices(op: Op) -> tuple[float, int, int]:
    """How many matrices there are, and the sides of each, the longer first."""
    *batch, rows, columns = op.inputs[0].aval.shape
    return float(math.prod(batch)), max(rows, columns), min(rows, columns)


def _cubes(number: float, extra: float = 0.0) -> Callable[[Op], float]:
    """Flops of the form (number a + extra b) b^2 for a matrix of sides a >= b."""

    def flops(op: Op) -> float:
        batch, a, b = _matrices(op)
        return batch * (number * a + extra * b) * b**2

    return flops


def _triangular_solve(op: Op) -> float:
    """One side of the equation for each entry of the solution."""
    return float(op.outputs[0].size * op.inputs[0].aval.shape[-1])


def _fft(op: Op) -> float:
    length = math.prod(op.params["fft_lengths"])
    return 5.0 * op.inputs[0].size * math.log2(max(length, 2))


# LAPACK's own counts; those of the iterative ones are usual numbers of iterations.
_FACTORS: dict[str, Callable[[Op], float]] = {
    "cholesky": _cubes(1 / 3),
    "lu": _cubes(1.0, -1 / 3),
    "geqrf": _cubes(2.0, -2 / 3),
    "qr": _cubes(4.0, -4 / 3),
    "householder_product": _cubes(2.0, -2 / 3),
    "eigh": _cubes(9.0),
    "svd": _cubes(6.0, 16.0),
    "triangular_solve": _triangular_solve,
    "fft": _fft,
}
