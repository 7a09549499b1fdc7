"""The memory of a program, from when its arrays are made and last used.

Operations on single entries are fused by the compiler: their results are arrays only where they go
into something that needs a whole array, such as a matrix product, a loop or the program's results.
"""

from __future__ import annotations

import collections

from twolayer.sims.forecast.op_counts import SPECIAL
from twolayer.sims.forecast.operations import Block, Op, Value

# Reductions over the last axis read their argument entry by entry; others need it whole.
_REDUCTIONS = {"reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum"}
# Operations on whole arrays, besides those with blocks.
_WHOLE = {
    *("argmax", "argmin", "cholesky", "concatenate", "conv_general_dilated", "cumsum"),
    *("dot_general", "eigh", "fft", "gather", "geqrf", "householder_product", "lu", "qr"),
    *("random_bits", "random_gamma", "scatter", "scatter-add", "sort", "stack", "svd"),
    "triangular_solve",
}
# Results that cost much are kept where two operations use them; others are computed again, which
# the compiler stops at some length of code, here where four use them.
_DEAR = {*SPECIAL, "div", "rsqrt", "sqrt"}


def peak(block: Block) -> float:
    """Bytes of a program's arguments, results and what is in between, at the worst moment."""
    return float(sum(value.bytes for value in block.inputs)) + _peak(block)


def _peak(block: Block) -> float:
    """Bytes at the worst moment of the arrays that a block makes, its results among them."""
    arrays = _arrays(block)
    last: dict[Value, int] = {}
    sources: dict[Value, set[Value]] = {}
    for place, op in enumerate(block.ops):
        reads: set[Value] = set()
        for value in op.inputs:
            reads |= {value} if value in arrays else sources.get(value, set())
        last |= dict.fromkeys(reads, place)
        sources |= dict.fromkeys(op.outputs, reads)
    last |= dict.fromkeys(block.outputs, len(block.ops))
    live = worst = 0.0
    ends: collections.Counter[int] = collections.Counter()
    for place, op in enumerate(block.ops):
        made = [value for value in op.outputs if value in arrays]
        worst = max(worst, live + sum(value.bytes for value in made) + _inside(op))
        for value in made:
            if value in last:
                live += value.bytes
                ends[last[value]] += value.bytes
        live -= ends[place]
    return worst


def _inside(op: Op) -> float:
    """What an operation needs besides its arguments and results."""
    if op.name == "random_bits":
        # The counters that are scrambled.
        return float(op.outputs[0].bytes)
    return max((_peak(inner) for inner, times in op.blocks if times), default=0.0)


def _arrays(block: Block) -> set[Value]:
    """The values that are there as arrays."""
    made = {value for op in block.ops for value in op.outputs}
    found = set(block.outputs)
    uses = collections.Counter(value for op in block.ops for value in set(op.inputs))
    for op in block.ops:
        whole = op.name in _WHOLE or op.blocks
        if whole or op.name in _REDUCTIONS:
            found |= set(op.outputs)
        if whole or (op.name in _REDUCTIONS and not _reduces_last(op)):
            found |= set(op.inputs)
        found |= {value for value in op.outputs if uses[value] > (1 if op.name in _DEAR else 3)}
    return found & made


def _reduces_last(op: Op) -> bool:
    return op.inputs[0].aval.ndim - 1 in op.params["axes"]
