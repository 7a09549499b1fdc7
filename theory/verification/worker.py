"""Verify or attack a theorem by name, in a worker process."""

from __future__ import annotations

import dataclasses
import zlib

import jax
import numpy as np
from jax import Array

from twolayer.host import clock, jax_setup
from twolayer.theory.verification import registry
from twolayer.theory.verification.counterexamples import Counterexample
from twolayer.theory.verification.falsify import Attack, falsify
from twolayer.theory.verification.verify import Verdict, verify


def key(name: str, seed: int) -> Array:
    """A theorem's key depends on the seed and its name alone, not on what else is judged."""
    return jax.random.fold_in(jax_setup.key(seed), zlib.crc32(name.encode()))


def judge(name: str, *, seed: int, instances: int) -> tuple[Verdict, dict[str, np.ndarray]]:
    """The verdict on a theorem, and the arrays of an instance that breaks it if there is one."""
    verdict = verify(registry.THEOREMS[name], key(name, seed), instances)
    return dataclasses.replace(verdict, counterexample=None), _arrays(verdict.counterexample)


def attack(name: str, *, seed: int, budget: float) -> tuple[Attack, dict[str, np.ndarray]]:
    """What a search of ``budget`` seconds found, and a counterexample's arrays if there is one."""
    result = falsify(registry.THEOREMS[name], key(name, seed), proceed=clock.deadline(budget))
    return dataclasses.replace(result, counterexample=None), _arrays(result.counterexample)


def _arrays(found: Counterexample | None) -> dict[str, np.ndarray]:
    return found.arrays() if found else {}
