"""The exact temperature fit against scipy's, and mixup's prediction against a double loop."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize, special

from tests.benchmarks.measure import Check, Row, deviation, side_by_side
from twolayer.theory.mixup.calibration import mixup_posterior, overlapping_pairs, scores


def temperature(*, n: int = 5000, k: int = 100, repeats: int = 7) -> list[Row]:
    """One fit to the labels of n points; the references are what one would write with scipy."""
    logits, labels = _logits(n, k)
    host, host_labels = np.asarray(logits), np.asarray(labels)
    ours = jax.jit(scores.fit_temperature)
    slope = jax.jit(jax.value_and_grad(lambda beta: scores.nll(beta * logits, labels)))
    # Both references get the derivative, without which beta is not known to 1e-8.
    references: dict[str, Callable[[], float]] = {
        "minimize_scalar and brentq, numpy": lambda: _scalar(host, host_labels),
        "L-BFGS, jax gradient": lambda: _quasi_newton(slope),
    }
    rows = []
    for name, reference in references.items():
        (theirs, mine), (usual, beta) = side_by_side(
            [reference, lambda: ours(logits, labels)], repeats
        )
        rows.append(
            Row(
                name=f"temperature fit, {name}",
                what=f"{n} points, {k} classes, float64",
                reference=theirs,
                ours=mine,
                # The other calls a compiled gradient ten times, and has no safeguard.
                required=1.0 if "scalar" in name else None,
                checks=(
                    Check("error of beta", abs(float(beta) / float(usual) - 1), at_most=1e-8),
                    Check("gradient", abs(float(slope(beta)[1])), at_most=1e-10),
                    Check("gradient of the reference", abs(float(slope(usual)[1]))),
                ),
            )
        )
    return rows


def _logits(n: int, k: int) -> tuple[Array, Array]:
    """Overconfident logits: labels are drawn at half of their height."""
    key_logits, key_labels = jax.random.split(jax.random.key(0))
    logits = 4 * jax.random.normal(key_logits, (n, k))
    return logits, jax.random.categorical(key_labels, logits / 2)


def _scalar(logits: np.ndarray, labels: np.ndarray) -> float:
    """Brent's method on the derivative's root: values alone know beta to eight digits at best."""
    rows = np.arange(len(labels))
    true = logits[rows, labels].mean()

    def gradient(beta: float) -> float:
        probs = special.softmax(beta * logits, axis=1)
        return float((probs * logits).sum(axis=1).mean() - true)

    def nll(beta: float) -> float:
        return float(special.logsumexp(beta * logits, axis=1).mean() - beta * true)

    near = optimize.minimize_scalar(nll, bounds=(0, 10), method="bounded").x
    return float(optimize.brentq(gradient, near / 2, 2 * near, xtol=1e-13))


def _quasi_newton(slope: Callable) -> float:
    def both(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = slope(at[0])
        return float(value), np.array([gradient])

    found = optimize.minimize(
        both,
        np.ones(1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)],
        options={"ftol": 0.0, "gtol": 1e-12},
    )
    return float(found.x[0])


def prediction(*, n: int = 400, k: int = 10, queries: int = 1000, repeats: int = 5) -> list[Row]:
    """Mixup's optimal prediction at many points; the loop is timed on a twentieth of them."""
    key_train, key_test = jax.random.split(jax.random.key(1))
    x, y = overlapping_pairs.sample_paired(key_train, n, k, 0.5)
    z, _ = overlapping_pairs.sample_paired(key_test, queries, k, 0.5)
    # As one calls it: the largest number of points in a pair is counted from the labels.
    most = int(np.bincount(np.asarray(y) // 2).max())
    ours = jax.jit(lambda z: mixup_posterior.mixup_predict_1d(z, x, y, k, per_pair=most))
    some = max(1, queries // 20)
    host = [np.asarray(array) for array in (z[:some], x, y)]
    (loop, mine), (exact, found) = side_by_side(
        [lambda: double_loop(*host, k), lambda: ours(z)], repeats
    )
    return [
        Row(
            name="mixup prediction",
            what=f"{queries} queries, {n} training points, {k} classes, a double loop in Python",
            reference=loop * queries / some,
            ours=mine,
            required=1.0,
            checks=(Check("error", deviation(found[:some], jnp.asarray(exact)), at_most=1e-10),),
            note=f"the loop is scaled from {some} queries",
        )
    ]


def double_loop(z: np.ndarray, x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """The formula as it stands, over all pairs of training points of the query's pair of classes.

    Queries outside of their pair's points get the nearest one's class, as the function does.
    """
    result = np.zeros((len(z), k))
    for row, at in enumerate(z):
        mine = np.nonzero(y // 2 == at // (k + 2))[0]
        for a in mine:
            for b in mine:
                if x[a] <= at < x[b]:
                    length = x[b] - x[a]
                    result[row, y[a]] += (x[b] - at) / length**2
                    result[row, y[b]] += (at - x[a]) / length**2
        if not result[row].any():
            nearest = y[mine[np.argmin(np.abs(x[mine] - at))]]
            result[row, [nearest, nearest ^ 1]] = (
                mixup_posterior.SURE,
                1 - mixup_posterior.SURE,
            )
    return result / result.sum(axis=1, keepdims=True)


BENCHMARKS = {"temperature": temperature, "prediction": prediction}
