r"""Study ``lp``: the largest margin over very many neurons, by linear programming.

Over a fixed list of neurons the margin is a linear programme in their masses,
:math:`\max \gamma` with :math:`y_i \sum_k \nu_k F_k(x_i) \ge \gamma,\ \sum_k \nu_k = 1`. It is
solved on the host; the list holds random neurons, ones around the closed form's two, and these.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize

from twolayer.sims.engine.experiment import Inputs
from twolayer.theory import validation
from twolayer.theory.shortcut.gradients import max_margin

# Problems: neurons with biases, without; axis-aligned with, without; and, as a control, neurons
# with biases where every point has a noise of its own.
PROBLEMS = ("all", "bias-free", "axis", "axis, bias-free", "own noise")
_ANGLES = 65  # of an axis-aligned neuron between its input and its bias, 45 degrees among them
_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True, kw_only=True)
class LpConfig:
    """Block data with noise in null coordinates, and a number of random neurons.

    The noise is ``noise`` times random signs, both a vector of them and its negative at every
    signal coordinate and label; half of the neurons are around the closed form's. Nothing is
    traced, as the programmes are solved before anything is compiled.
    """

    signal: int = 3
    null: int = 1
    noise: float = 0.5
    neurons: int = 2000
    draw: int = 0

    def __post_init__(self) -> None:
        for name in ("signal", "null", "neurons"):
            validation.integer(name, getattr(self, name))
        validation.integer("draw", self.draw, low=0)
        validation.number("noise", self.noise, low=0.0, open_low=True)


DIMS = {
    "value": ("problem",),
    "theory": ("problem",),
    "atoms": ("problem",),
    "imbalance": ("problem",),
}


def coords(config: LpConfig) -> dict[str, list]:
    """Values along each axis of the results."""
    return {"problem": list(PROBLEMS)}


def solve(
    w: np.ndarray, r: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[float, np.ndarray]:
    """The largest margin of any masses on these neurons, and such masses, of sum 1.

    Args:
      w: output weights, shape ``(n,)``.
      r: input weights, shape ``(n, d)``.
      b: biases, shape ``(n,)``.
      x: points, shape ``(p, d)``.
      y: labels, shape ``(p,)``.

    Raises:
      RuntimeError: if the programme is not solved to tolerance.
    """
    outputs = y[:, None] * w[None, :] * np.maximum(x @ r.T + b[None, :], 0)
    number = len(w)
    found = optimize.linprog(
        np.append(np.zeros(number), -1.0),
        A_ub=np.hstack([-outputs, np.ones((len(y), 1))]),
        b_ub=np.zeros(len(y)),
        A_eq=np.append(np.ones(number), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0, None)] * number + [(None, None)],
        options={
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        },
    )
    if found.status != 0:
        raise RuntimeError(f"the linear programme was not solved: {found.message}")
    return float(found.x[-1]), found.x[:-1]


def solutions(config: LpConfig) -> Inputs:
    """Solve all problems of a config, on the host."""
    rng = np.random.default_rng(config.draw)
    m, null = config.signal, config.null
    # Compiled as one, as single operations take longer than the programmes.
    closed = jax.jit(lambda: _closed_forms(m, null))()
    (clean, y, _), atoms = jax.tree.map(np.asarray, closed)
    sign = rng.choice([-1.0, 1.0], (2 * m, null))
    one = np.zeros_like(clean)
    one[:, m:] = config.noise * sign[:1]
    own = clean.copy()
    own[:, m:] = config.noise * sign
    product, labels = np.concatenate([clean + one, clean - one]), np.tile(y, 2)
    found = []
    for problem in PROBLEMS:
        bias = "bias-free" not in problem
        if problem.startswith("axis"):
            w, r, b = _axis(m, null, bias)
        else:
            w, r, b = _neurons(rng, config, atoms[bias])
        x, targets = (own, y) if problem == "own noise" else (product, labels)
        value, mass = solve(w, r, b, x, targets)
        # The closed form's two come first.
        both = mass[:2] if not problem.startswith("axis") else np.full(2, np.nan)
        found.append((value, both.sum(), abs(both[0] - both[1])))
    arrays = dict(zip(("value", "atoms", "imbalance"), np.array(found).T, strict=True))
    return Inputs(
        arrays=arrays,
        checksum=hashlib.sha256(repr(config).encode()).hexdigest(),
        source="linear programmes, solved by HiGHS in scipy",
    )


def simulate(key: Array, config: LpConfig, inputs: dict[str, Array]) -> dict[str, Array]:
    """What was solved, beside the closed forms.

    - ``value``: the largest margin; ``theory``: the closed form, for own noise a lower bound;
    - ``atoms``, ``imbalance``: mass on the closed form's two neurons, and the difference between
      both masses; NaN for axis-aligned neurons.
    """
    m = config.signal
    best, bias_free = (max_margin.max_margin_value(m, bias) for bias in (True, False))
    axis = [jnp.asarray(1 / (scale * m)) for scale in (2 * np.sqrt(2), 4.0)]
    theory = jnp.stack([best, bias_free, *axis, best])
    return {**jax.tree.map(jnp.asarray, inputs), "theory": theory}


def _closed_forms(m: int, null: int) -> tuple[Any, dict[bool, Any]]:
    """The data without noise; the two neurons of the closed form, without biases and with."""
    atoms = {bias: max_margin.max_margin_atoms(m, null, bias) for bias in (False, True)}
    return max_margin.block_points(m, null), atoms


def _neurons(
    rng: np.random.Generator, config: LpConfig, atoms: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two of the closed form, then random ones on the sphere with either output.

    Where the closed form has no biases the others have none.
    """
    m, null = config.signal, config.null
    w, r, b = atoms
    far = rng.normal(size=(config.neurons, m + null + 1))
    half = config.neurons // 2
    # The inputs of the two, less or more far away.
    best = np.sqrt(2) * np.column_stack([r, b])
    distance = 10 ** rng.uniform(-3, 0, (half, 1))
    far[:half] = best[np.arange(half) % 2] + distance * far[:half]
    if not b.any():
        far[:, -1] = 0
    far /= np.sqrt(2) * np.linalg.norm(far, axis=1, keepdims=True)
    outputs = np.repeat(np.sqrt(0.5) * np.array([1.0, -1.0]), config.neurons)
    inside = np.concatenate([far, far])
    return (
        np.concatenate([w, outputs]),
        np.concatenate([r, inside[:, :-1]]),
        np.concatenate([b, inside[:, -1]]),
    )


def _axis(m: int, null: int, bias: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neurons that see one signal coordinate each, with any bias."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, _ANGLES) if bias else np.zeros(1)
    rows = [
        (w, sign * np.cos(angle) * np.eye(m + null)[j], np.sin(angle))
        for w in (1.0, -1.0)
        for sign in (1.0, -1.0)
        for j in range(m)
        for angle in angles
    ]
    w, r, b = (np.array(part) * np.sqrt(0.5) for part in zip(*rows, strict=True))
    return w, r, b
