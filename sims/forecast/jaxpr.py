"""A traced program as a list of operations: calls inlined, numbers of steps of its loops known.

A program's costs are read off it (``twolayer.sims.forecast.op_counts``,
``twolayer.sims.forecast.peak_memory``) without running or compiling anything. Numbers that do not
depend on keys or data, such as a traced config field that says how long to train, are evaluated
where a loop asks for them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from twolayer.sims.forecast.operations import Block, Op, Value

_CALLS = {"jit", "closed_call", "core_call", "remat2", "custom_jvp_call", "custom_vjp_call"}


def block(
    jaxpr: Any, args: Sequence[Any], *, known: Sequence[int] = (), turns: float = 8.0
) -> Block:
    """A traced program; nothing is computed.

    Args:
      jaxpr: from ``jax.make_jaxpr(fn)(*args)``, or the ``jaxpr`` of ``jax.jit(fn).trace(*args)``.
      args: what it was traced with: arrays, numbers, ``jax.ShapeDtypeStruct``, pytrees of them.
      known: which of the arguments have values that loops may ask for.
      turns: how many steps a loop makes that ends when it has converged, unless its bound is less:
        Newton's method in a bracket, which most of them are, makes 4 to 12 [measured].
    """
    values = [
        _constant(leaf) if i in known else None
        for i, arg in enumerate(args)
        for leaf in jax.tree.leaves(arg)
    ]
    inputs = [Value(var.aval, value) for var, value in zip(jaxpr.jaxpr.invars, values, strict=True)]
    return _inline(jaxpr, inputs, turns)


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _inline(closed: Any, inputs: list[Value], turns: float) -> Block:
    ops: list[Op] = []
    outputs = _append(ops, closed.jaxpr, closed.consts, inputs, turns)
    return Block(inputs, ops, outputs)


def _append(
    ops: list[Op], jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value], turns: float
) -> list[Value]:
    """Append the operations of a jaxpr, and give its results."""
    found: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    for var, const in zip(jaxpr.constvars, consts, strict=True):
        found[var] = Value(var.aval, _constant(const))

    def read(atom: Any) -> Value:
        if isinstance(atom, core.Literal):
            return Value(atom.aval, _constant(atom.val))
        return found[atom]

    for eqn in jaxpr.eqns:
        args = [read(atom) for atom in eqn.invars]
        name = eqn.primitive.name
        if name in _CALLS:
            called = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            # A jaxpr by itself has no constants.
            inner, its_consts = getattr(called, "jaxpr", called), getattr(called, "consts", ())
            results = _append(ops, inner, its_consts, args, turns)
        elif name == "custom_linear_solve":
            results = _append_solve(ops, eqn, args, turns)
        else:
            results = _results(eqn, args)
            ops.append(Op(name, eqn.params, args, results, _blocks(eqn, args, turns)))
        found.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _append_solve(ops: list[Op], eqn: Any, args: list[Value], turns: float) -> list[Value]:
    """The solution alone: what else a linear solve consists of is for its derivatives."""
    lengths, solve = eqn.params["const_lengths"], eqn.params["jaxprs"].solve
    start = lengths.matvec + lengths.vecmat
    sides = args[sum(lengths) :]
    own = args[start : start + lengths.solve]
    return _append(ops, solve.jaxpr, solve.consts, [*own, *sides], turns)


def _results(eqn: Any, args: list[Value]) -> list[Value]:
    """The results; known, as soon as somebody asks, where all arguments are."""
    avals = [var.aval for var in eqn.outvars]
    if any(arg.known is None for arg in args):
        return [Value(aval) for aval in avals]

    @functools.cache
    def evaluate() -> list[Any]:
        values = eqn.primitive.bind(*[arg.known() for arg in args if arg.known], **eqn.params)
        return values if eqn.primitive.multiple_results else [values]

    def entry(index: int) -> Callable[[], Any]:
        return lambda: evaluate()[index]

    return [Value(aval, entry(i)) for i, aval in enumerate(avals)]


def _blocks(eqn: Any, args: list[Value], turns: float) -> list[tuple[Block, float]]:
    name, params = eqn.primitive.name, eqn.params
    if name == "scan":
        return _scan(params, args, turns)
    if name == "while":
        return _while(params, args, turns)
    if name == "cond":
        index, *rest = args
        branches = [_inline(branch, rest, turns) for branch in params["branches"]]
        if index.known is None:
            return [(branch, 1.0) for branch in branches]
        chosen = int(np.clip(index.known(), 0, len(branches) - 1))
        return [(branch, float(place == chosen)) for place, branch in enumerate(branches)]
    return []


def _scan(params: dict[str, Any], args: list[Value], turns: float) -> list[tuple[Block, float]]:
    jaxpr, length = params["jaxpr"], params["length"]
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    consts, carries = args[:num_consts], args[num_consts : num_consts + num_carry]
    rows = args[num_consts + num_carry :]
    invars = jaxpr.jaxpr.invars[num_consts:]
    asked: list[int] = []

    def row(value: Value, index: int) -> Callable[[], Any] | None:
        if value.known is None:
            return None

        def entry() -> Any:
            asked.append(index)
            return value.known()[index] if value.known else None

        return entry

    def body(index: int) -> Block:
        own = [
            Value(var.aval, row(value, index))
            for var, value in zip(invars[num_carry:], rows, strict=True)
        ]
        kept = _kept(invars[:num_carry], jaxpr.jaxpr.outvars[:num_carry], carries)
        return _inline(jaxpr, [*consts, *kept, *own], turns)

    if not length:
        return []
    first = body(0)
    # Where no loop inside has asked for its rows, all steps are alike.
    if not asked:
        return [(first, float(length))]
    return [(first, 1.0), *((body(index), 1.0) for index in range(1, length))]


def _kept(invars: Sequence[Any], outvars: Sequence[Any], carries: Sequence[Value]) -> list[Value]:
    """What a step of a loop begins with; known where the loop leaves it as it was."""
    return [
        Value(var.aval, value.known if after is var else None)
        for var, after, value in zip(invars, outvars, carries, strict=True)
    ]


def _while(params: dict[str, Any], args: list[Value], turns: float) -> list[tuple[Block, float]]:
    num_cond, num_body = params["cond_nconsts"], params["body_nconsts"]
    cond, body = params["cond_jaxpr"], params["body_jaxpr"]
    cond_consts, body_consts = args[:num_cond], args[num_cond : num_cond + num_body]
    carries = args[num_cond + num_body :]
    steps = _steps(cond, body, cond_consts, num_body, carries, turns)
    invars = body.jaxpr.invars[num_body:]
    kept = _kept(invars, body.jaxpr.outvars, carries)
    return [
        (_inline(cond, [*cond_consts, *kept], turns), steps + 1),
        (_inline(body, [*body_consts, *kept], turns), steps),
    ]


def _steps(
    cond: Any,
    body: Any,
    cond_consts: list[Value],
    num_body: int,
    carries: list[Value],
    turns: float,
) -> float:
    """How often the loop's condition holds.

    The condition is a conjunction. A part of it ``i < n`` with a known n, and an i that grows by
    one in each step, bounds the number of steps; it is that number if there is no other part.
    """
    made = {var: eqn for eqn in cond.jaxpr.eqns for var in eqn.outvars}
    places = {var: i for i, var in enumerate(cond.jaxpr.invars)}

    def place(atom: Any) -> int | None:
        """Which of the carries it is."""
        index = None if isinstance(atom, core.Literal) else places.get(atom)
        return None if index is None or index < len(cond_consts) else index - len(cond_consts)

    def number(atom: Any) -> float | None:
        """Its value, if it is known and stays the same."""
        if isinstance(atom, core.Literal):
            return float(atom.val)
        if atom in made and made[atom].primitive.name == "convert_element_type":
            return number(made[atom].invars[0])
        index = places.get(atom)
        if index is None:
            return None
        if index < len(cond_consts):
            value = cond_consts[index]
        else:
            index -= len(cond_consts)
            if body.jaxpr.outvars[index] is not body.jaxpr.invars[num_body + index]:
                return None
            value = carries[index]
        return None if value.known is None else float(value.known())

    def left(atom: Any) -> list[float | None]:
        """For each part of the condition the number of steps that it allows."""
        eqn = None if isinstance(atom, core.Literal) else made.get(atom)
        if eqn is not None and eqn.primitive.name == "convert_element_type":
            return left(eqn.invars[0])
        if eqn is not None and eqn.primitive.name == "and":
            return [*itertools.chain(*(left(part) for part in eqn.invars))]
        if eqn is None or eqn.primitive.name != "lt":
            return [None]
        index, limit = place(eqn.invars[0]), number(eqn.invars[1])
        if index is None or limit is None or not _counts(body.jaxpr, num_body + index, index):
            return [None]
        start = carries[index].known
        return [None if start is None else max(0.0, limit - float(start()))]

    parts = left(cond.jaxpr.outvars[0])
    bounds = [part for part in parts if part is not None]
    return min(bounds if len(bounds) == len(parts) else [*bounds, turns])


def _counts(body: Any, inward: int, outward: int) -> bool:
    """Whether a step adds one to a carry."""
    made = {var: eqn for eqn in body.eqns for var in eqn.outvars}
    eqn = made.get(body.outvars[outward])
    return (
        eqn is not None
        and eqn.primitive.name == "add"
        and eqn.invars[0] is body.invars[inward]
        and isinstance(eqn.invars[1], core.Literal)
        and eqn.invars[1].val == 1
    )
