"""Certified verdicts: statements decided in interval arithmetic at random instances.

Beside the float verdict of :func:`twolayer.theory.verification.verify.verify`: the same instances'
numbers are taken as exact, and the closed-form inequalities that a statement comes down to are
proved or refuted for them, whatever the rounding of float64. Needs the optional package
python-flint.
"""

from __future__ import annotations

import collections

import jax
from jax import Array

from twolayer.host import jax_setup
from twolayer.theory import validation
from twolayer.theory.verification import intervals
from twolayer.theory.verification.evaluation import draw_parameters, one_key, sample_many
from twolayer.theory.verification.intervals import Decision
from twolayer.theory.verification.theorem import Theorem


@jax_setup.numerics()
def certify(
    theorem: Theorem, key: Array, num_instances: int, *, block: int = 64
) -> collections.Counter[Decision] | None:
    """How many random instances are proved, refuted, undecided, or outside the hypotheses.

    A statement with probability is decided at each instance too; some of them may be refuted.

    Args:
      theorem: whose statement to decide.
      key: random key, of any kind; :func:`twolayer.theory.verification.worker.key` gives that of
        the command.
      num_instances: at least 1; rounded up so that every size gets the same number.
      block: instances sampled together, as many as for ``verify`` to share what it compiles.

    Returns:
      Counts of the decisions, or None if the theorem has no certified form.

    Raises:
      ValueError: for a number below 1, or what is no theorem.
      ImportError: without python-flint.
    """
    validation.record("theorem", theorem, Theorem)
    num_instances = validation.integer("num_instances", num_instances)
    block = validation.integer("block", block)
    key = one_key(key)
    statement = theorem.interval_form
    if statement is None:
        return None
    number = -(-num_instances // len(theorem.sizes))
    decisions: collections.Counter[Decision] = collections.Counter()
    for index, size in enumerate(theorem.sizes):
        for row in range(number):
            if row % block == 0:
                key_block = jax.random.fold_in(jax.random.fold_in(key, index), row)
                key_parameters, key_draws = jax.random.split(key_block)
                parameters = draw_parameters(theorem, key_parameters, block)
                batch = sample_many(theorem, size, jax.random.split(key_draws, block), parameters)
            instance = jax.tree.map(lambda leaf, row=row: leaf[row % block], batch)
            decisions[intervals.decide(statement, instance)] += 1
    return decisions
