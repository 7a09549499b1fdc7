"""Gains of a flow and their divided differences, and the response of singular kernels."""

import decimal
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.training import gains

gain = jax.jit(gains.gain)
divided_gain = jax.jit(gains.divided_gain)
KERNELS = {
    "distinct": [1, 2, 4, 8],
    "one zero": [0, 1, 2, 4],
    "equal": [2, 2, 2, 2],
    "zeros": [0, 0, 3, 3],
    "nothing": [0, 0, 0, 0],
}
TIMES = jnp.array([0.0, 0.4, 5.0])


@jax.jit
def respond(kernel, kernel_test, residual, times):
    return gains.response(kernel, *gains.spectrum(kernel), kernel_test, residual, times)


@jax.jit
def along(at, kernel, move, weights, residual):
    """A function of a number: how the response of the kernel moves with it."""
    kernel = kernel + at * move
    found = respond(kernel, kernel[:2], residual + at, TIMES * (1 + at))
    return jnp.sum(weights * found)


def problem(values):
    """A kernel with these eigenvalues, a positive semi-definite change of it, and vectors."""
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    kernel, half = (frame * np.array(values, float)) @ frame.T, rng.normal(size=(4, 3))
    return (kernel + kernel.T) / 2, half @ half.T, rng.normal(size=(3, 2)), rng.normal(size=4)


def exact(first, second, time):
    """The divided difference to 80 digits."""
    decimal.getcontext().prec = 80
    first, second, time = (decimal.Decimal(float(value)) for value in (first, second, time))

    def g(value):
        return (1 - (-value * time).exp()) / value if value else time

    if first != second:
        return float((g(first) - g(second)) / (first - second))
    if first == 0:
        return float(-time * time / 2)
    return float(((-first * time).exp() * time - g(first)) / first)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divided_differences_keep_all_digits(dtype):
    rng = np.random.default_rng(0)
    first, time = 10 ** rng.uniform(-6, 3, 300), 10 ** rng.uniform(-4, 8, 300)
    close = first * (1 + 10 ** rng.uniform(-16, -1, 300))
    second = np.choose(np.arange(300) % 4, [close, 10 ** rng.uniform(-6, 3, 300), 0, first])
    given = [np.asarray(part, dtype) for part in (first, second, time)]
    wanted = [exact(*each) for each in zip(*given, strict=True)]
    found = divided_gain(*given)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(found, divided_gain(given[1], given[0], given[2]))


def test_gains_at_the_ends():
    """No infinite time, late time or small exponent gives anything but the limit."""
    for dtype, late in ((np.float32, 1e38), (np.float64, 1e300)):
        values = np.array([0, 2, 4, 1e-30, 1e20], dtype)
        for time in (dtype(late), dtype(np.inf)):
            wanted = [min(time, late) if time == late else 0, 0.5, 0.25, 1e30, 1e-20]
            found = gain(values, time)
            limit = np.array(wanted, dtype)
            limit[3] = min(limit[3], time)
            np.testing.assert_allclose(found, limit, rtol=1e-6)
            assert divided_gain(values[1], values[2], time) == -0.125
        assert gain(dtype(1e-30), dtype(1e-30)) == dtype(1e-30)
        assert divided_gain(values[0], values[1], dtype(np.inf)) == 0.25
        assert divided_gain(values[0], values[0], dtype(np.inf)) == 0
        assert np.isfinite(divided_gain(values[0], values[0], dtype(late)))


@functools.cache
def differences(case):
    """First and second derivative at 0, from the side where the kernel is one."""
    values = [float(along(i * 1e-3, *problem(KERNELS[case]))) for i in range(7)]
    first = np.dot([-147, 360, -450, 400, -225, 72, -10], values) / 60e-3
    second = np.dot([812, -3132, 5265, -5080, 2970, -972, 137], values) / 180e-6
    return first, second


@pytest.mark.parametrize("case", KERNELS)
def test_first_derivatives_are_those_of_the_exact_flow(case):
    found = jax.grad(along)(0.0, *problem(KERNELS[case]))
    assert found == pytest.approx(differences(case)[0], rel=1e-7)


@pytest.mark.parametrize("case", KERNELS)
def test_second_derivatives_are_right_or_there_are_none(case):
    backward = jax.grad(jax.grad(along))(0.0, *problem(KERNELS[case]))
    forward = jax.jacfwd(jax.jacfwd(along))(0.0, *problem(KERNELS[case]))
    if case in ("distinct", "one zero"):
        assert backward == pytest.approx(differences(case)[1], rel=1e-4)
        assert forward == pytest.approx(float(backward), rel=1e-12)
    else:
        assert np.isnan(backward) and np.isnan(forward)


def test_first_derivatives_pass_through_loops_and_conditions():
    """Where cotangents of the eigenvectors are zeros, not absent."""
    given = problem(KERNELS["equal"])

    @jax.jit
    def loop(at):
        kept = jax.checkpoint(along)(at, *given)
        return jax.lax.scan(lambda total, _: (total + kept, None), 0.0, length=2)[0]

    found = jax.jit(jax.vmap(jax.grad(loop)))(jnp.zeros(2))
    np.testing.assert_allclose(found, 2 * differences("equal")[0], rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_in_the_null_space_is_not_seen_at_any_time(dtype):
    """Of a kernel of rank 3 on 30 points, to within rounding and its condition."""
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(30, 3)) * [1, 3, 10], rng.normal(size=(4, 3))
    kernel, kernel_test, residual = x @ x.T, z @ x.T, rng.normal(size=30)
    values, vectors = np.linalg.eigh(x.T @ x)
    times = 10.0 ** np.arange(-6, 38)
    learned = -np.expm1(-times[:, None] * values) / values * (vectors.T @ (x.T @ residual))
    wanted = learned @ (z @ vectors).T
    given = (np.asarray(part, dtype) for part in (kernel, kernel_test, residual, times))
    room = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(respond(*given), wanted, rtol=room, atol=room * np.max(abs(wanted)))


def test_modes_below_rounding_count_before_anything_is_learned():
    """A smooth kernel has many: in float32 its early flow is that of float64."""
    rng = np.random.default_rng(2)
    x, z, residual = rng.normal(size=(100, 2)), rng.normal(size=(5, 2)), rng.normal(size=100)
    kernel, kernel_test = (
        np.exp(-np.sum((rows[:, None] - x[None]) ** 2, axis=2) / 2) for rows in (x, z)
    )
    times = np.array([0.01, 0.1, 1.0])
    given = kernel, kernel_test, residual, times
    short, full = respond(*(np.asarray(part, "float32") for part in given)), respond(*given)
    # Modes at rounding level, and how much of the output is theirs at the time 1.
    values, vectors = gains.spectrum(jnp.asarray(kernel, "float32"))
    null = np.asarray(vectors)[:, np.asarray(values) == 0]
    share = np.max(np.abs(kernel_test @ null @ (null.T @ residual)))
    assert share > 5e-4
    assert np.all(np.abs(short - full) < 0.02 * share * times[:, None])
