"""Work on a theorem by its name, as a process of its own can be given it."""

from __future__ import annotations

import time
import zlib

import jax
import numpy as np
from jax import Array

from theory import catalogue, runtime
from theory.falsify import Attack, falsify
from theory.theorem import Verdict, verify


def key(name: str, seed: int) -> Array:
    """A theorem's key depends on the seed and its name alone, not on what else is judged."""
    return jax.random.fold_in(runtime.key(seed), zlib.crc32(name.encode()))


def judge(name: str, *, seed: int, instances: int) -> Verdict:
    """The verdict on a theorem of the catalogue."""
    return verify(catalogue.THEOREMS[name], key(name, seed), instances)


def attack(name: str, *, seed: int, budget: float) -> tuple[Attack, dict[str, np.ndarray]]:
    """What a search of ``budget`` seconds found, and a counterexample's arrays if there is one."""
    end = time.perf_counter() + budget
    result = falsify(
        catalogue.THEOREMS[name], key(name, seed), proceed=lambda: time.perf_counter() < end
    )
    return result, result.counterexample.arrays() if result.counterexample else {}
