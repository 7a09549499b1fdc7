import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from twolayer.theory.kernels import activations

# A new activation is one row: (Activation, numpy value, numpy derivative, value of phi'(0)).
TABLE = {
    "relu": (activations.relu(), lambda s: np.maximum(s, 0), lambda s: 1.0 * (s >= 0), 1.0),
    "leaky": (
        activations.leaky_relu(0.3),
        lambda s: np.where(s >= 0, s, 0.3 * s),
        lambda s: np.where(s >= 0, 1.0, 0.3),
        1.0,
    ),
    "erf": (
        activations.erf(),
        scipy.special.erf,
        lambda s: 2 / np.sqrt(np.pi) * np.exp(-(s**2)),
        2 / np.sqrt(np.pi),
    ),
    "tanh": (activations.tanh(), np.tanh, lambda s: np.cosh(s) ** -2.0, 1.0),
}
SMOOTH = ("erf", "tanh")
every_activation = pytest.mark.parametrize("name", TABLE)

NORMS = jnp.array([0.01, 0.3, 1.0, 4.0, 16.0])
COSINES = jnp.array([-1.0, -0.6, 0.0, 0.5, 0.99, 1.0])


def on_grid(moment):
    """The moment at every (norm, norm, cosine) of the grid, in one call."""
    return jax.jit(moment)(NORMS[:, None, None], NORMS[None, :, None], COSINES[None, None, :])


def integral(f, norm_x, norm_z, cosine):
    """E[f(u) f(v)] by a two-dimensional trapezoid sum, spectrally accurate for analytic f."""
    step = min(0.05, 0.15 / max(norm_x, norm_z))
    t = np.arange(-8.5, 8.5 + step, step)
    density = np.exp(-(t**2) / 2) / np.sum(np.exp(-(t**2) / 2))
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    inner = [f(norm_z * (cosine * s + sine * t)) @ density for s in t]
    return np.sum(density * f(norm_x * t) * np.array(inner))


@every_activation
def test_value_and_derivative(name):
    phi, value, derivative, at_zero = TABLE[name]
    s = jnp.array([-30.0, -1.5, -0.2, 0.4, 2.0, 30.0])
    np.testing.assert_allclose(phi.value(s), value(np.asarray(s)), rtol=1e-15)
    np.testing.assert_allclose(phi.derivative(s), derivative(np.asarray(s)), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(phi.derivative(s), jax.vmap(jax.grad(phi.value))(s), atol=1e-15)
    np.testing.assert_allclose(phi.derivative(jnp.zeros(())), at_zero, rtol=1e-15)


@every_activation
def test_degree_and_gain(name):
    phi = TABLE[name][0]
    s = jnp.array([-2.0, -0.1, 0.7])
    assert phi.gain == (1.0 if name in SMOOTH else math.sqrt(2))
    assert (phi.degree == 1) == bool(jnp.allclose(phi.value(3 * s), 3 * phi.value(s)))


@every_activation
def test_moments_by_monte_carlo(name):
    phi = TABLE[name][0]
    num_samples = 100_000
    first, second = jax.random.normal(jax.random.key(7), (2, num_samples))
    norm_x, norm_z, cosine = jnp.array(1.3), jnp.array(0.6), jnp.array(-0.4)
    u, v = norm_x * first, norm_z * (cosine * first + jnp.sqrt(1 - cosine**2) * second)
    for f, moment in [(phi.value, phi.value_moment), (phi.derivative, phi.derivative_moment)]:
        products = f(u) * f(v)
        error = abs(jnp.mean(products) - moment(norm_x, norm_z, cosine))
        assert error <= 5 * jnp.std(products) / math.sqrt(num_samples)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize(
    "norm_x, norm_z, cosine",
    [(0.01, 0.01, 0.5), (0.3, 1.0, 0.7), (1.0, 4.0, -0.3), (4.0, 4.0, 0.99), (16.0, 0.1, 0.9)],
)
def test_moments_of_smooth_activations_by_quadrature(name, norm_x, norm_z, cosine):
    phi, value, derivative, _ = TABLE[name]
    at = jnp.array(norm_x), jnp.array(norm_z), jnp.array(cosine)
    for f, moment in [(value, phi.value_moment), (derivative, phi.derivative_moment)]:
        np.testing.assert_allclose(moment(*at), integral(f, norm_x, norm_z, cosine), rtol=1e-11)


def test_tanh_moments_by_adaptive_quadrature():
    phi = activations.tanh()
    for f, moment in [
        (np.tanh, phi.value_moment),
        (lambda s: 1 - np.tanh(s) ** 2, phi.derivative_moment),
    ]:
        exact = scipy.integrate.quad(
            lambda t, f=f: f(40 * t) ** 2 * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi),
            -9,
            9,
            points=[0],
            limit=500,
            epsabs=1e-13,
        )[0]
        at = jnp.array(40.0), jnp.array(40.0), jnp.array(1.0)
        np.testing.assert_allclose(moment(*at), exact, rtol=1e-10)


def test_large_norms_make_tanh_the_sign():
    far = jnp.array(1e6)
    correlation = activations.tanh().value_moment(far, far, COSINES)
    np.testing.assert_allclose(correlation, 2 / np.pi * np.arcsin(COSINES), atol=2e-6)


@every_activation
def test_price_theorem_ties_the_two_moments(name):
    """dV / d rho = s s' D, for every absolutely continuous activation."""
    phi = TABLE[name][0]
    inner = COSINES[1:-1]

    def slope(norm_x, norm_z, cosine):
        rate = jax.jvp(
            lambda c: phi.value_moment(norm_x, norm_z, c), (cosine,), (jnp.ones_like(cosine),)
        )[1]
        return rate, norm_x * norm_z * phi.derivative_moment(norm_x, norm_z, cosine)

    left, right = jax.jit(slope)(NORMS[:, None, None], NORMS[None, :, None], inner[None, None, :])
    np.testing.assert_allclose(left, right, rtol=1e-10)


@every_activation
def test_moments_are_symmetric_and_bounded_by_their_diagonal(name):
    phi = TABLE[name][0]
    for moment in (phi.value_moment, phi.derivative_moment):
        values = np.asarray(on_grid(moment))
        assert values.shape == (5, 5, 6)
        np.testing.assert_allclose(values, np.swapaxes(values, 0, 1), rtol=1e-12, atol=1e-15)
        squares = np.einsum("iic->ic", values)[:, -1]
        bound = np.sqrt(squares[:, None] * squares[None, :])[:, :, None]
        assert np.all(np.abs(values) <= bound * (1 + 1e-12))


@every_activation
def test_angle_and_cosine_give_the_same_moment(name):
    phi = TABLE[name][0]
    norm = jnp.array(1.5)
    for moment in (phi.value_moment, phi.derivative_moment):
        np.testing.assert_allclose(
            moment(norm, norm, COSINES, jnp.arccos(COSINES)),
            moment(norm, norm, COSINES),
            atol=2e-15,
        )


def test_leaky_relu_hand_values():
    phi = activations.leaky_relu(0.5)
    two, three = jnp.array(2.0), jnp.array(3.0)
    ends = jnp.array([1.0, 0.0, -1.0])
    # rho = 1: E phi'^2 = (1 + g^2)/2; rho = 0: independent gates; rho = -1: one open, one shut.
    np.testing.assert_allclose(
        phi.derivative_moment(two, three, ends), [0.625, 0.5625, 0.5], rtol=1e-15
    )
    # V(rho = 0) = (E phi)^2 with E phi(N(0, s^2)) = (1 - g) s / sqrt(2 pi).
    np.testing.assert_allclose(
        phi.value_moment(two, three, ends), [3.75, 1.5 / (2 * np.pi), -3.0], rtol=1e-14
    )


def test_slopes_of_other_leaky_relus():
    """The identity at 1, the absolute value at -1, and a slope above 1, at rho = 1, 0, -1."""
    two, three, ends = jnp.array(2.0), jnp.array(3.0), jnp.array([1.0, 0.0, -1.0])
    for gamma, gate, value in [
        (1.0, [1.0, 1.0, 1.0], [6.0, 0.0, -6.0]),
        (-1.0, [1.0, 0.0, -1.0], [6.0, 12 / np.pi, 6.0]),
        (3.0, [5.0, 4.0, 3.0], [30.0, 12 / np.pi, -18.0]),
    ]:
        phi = activations.leaky_relu(gamma)
        np.testing.assert_allclose(phi.derivative_moment(two, three, ends), gate, atol=1e-14)
        np.testing.assert_allclose(phi.value_moment(two, three, ends), value, atol=1e-13)


@every_activation
def test_short_floats_are_read_in_float32(name):
    phi = TABLE[name][0]
    at = jnp.array([4.0, 0.3]), jnp.array([3.0, 0.1]), jnp.array([0.9, -0.4])
    for moment in (phi.value_moment, phi.derivative_moment):
        short = [value.astype(jnp.bfloat16) for value in at]
        found = moment(*short)
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, moment(*(v.astype(jnp.float32) for v in short)))


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype, size", [(jnp.float32, 1e30), (jnp.float64, 1e200)])
def test_moments_of_smooth_activations_at_huge_norms(name, dtype, size):
    """phi is the sign there; beside a norm of 1 phi' is seen only where the other one is 0."""
    phi = TABLE[name][0]
    far, cosine = jnp.asarray(size, dtype), COSINES.astype(dtype)
    np.testing.assert_allclose(
        phi.value_moment(far, far, cosine), 2 / np.pi * np.arcsin(COSINES), atol=1e-6
    )
    np.testing.assert_allclose(phi.derivative_moment(far, far, cosine), 0, atol=1e-15)
    near = jnp.ones((), dtype)
    assert 0 < float(phi.value_moment(far, near, cosine[3])) < 1
    product = phi.derivative_moment(far, near, jnp.zeros((), dtype)) * far
    assert np.isfinite(product) and product > 0


def test_moments_at_zero_norm():
    zero, one = jnp.zeros(()), jnp.ones(())
    for name, (phi, _, _, at_zero) in TABLE.items():
        assert phi.value_moment(zero, one, zero) == 0
        if name in SMOOTH:
            np.testing.assert_allclose(
                phi.derivative_moment(zero, zero, zero), at_zero**2, rtol=1e-11
            )


@every_activation
def test_gradients_are_finite_at_the_edges(name):
    phi = TABLE[name][0]
    edges = np.array(list(itertools.product([0.0, 1.0], [0.0, 2.0], [-1.0, 0.0, 1.0])))
    for moment in (phi.value_moment, phi.derivative_moment):
        gradients = jax.vmap(jax.grad(moment, argnums=(0, 1, 2)))(*jnp.asarray(edges.T))
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@every_activation
def test_float32_stays_float32_and_is_accurate(name):
    phi = TABLE[name][0]
    for moment in (phi.value_moment, phi.derivative_moment):
        at = jnp.array(1.5), jnp.array(0.5), jnp.linspace(-0.9, 0.9, 7)
        short = moment(*(value.astype(jnp.float32) for value in at))
        assert short.dtype == jnp.float32
        np.testing.assert_allclose(short, moment(*at), atol=5e-7)


def test_slope_can_be_traced_batched_and_of_any_dtype():
    def gate(gamma):
        moment = activations.leaky_relu(gamma).derivative_moment
        return moment(jnp.ones(()), jnp.ones(()), jnp.array(0.5))

    slopes = jnp.array([0.0, 0.25, 0.9])
    batch = jax.jit(jax.vmap(gate))(slopes)
    np.testing.assert_allclose(batch, [gate(float(slope)) for slope in slopes], rtol=1e-15)
    derivative = jax.grad(gate)(0.25)
    np.testing.assert_allclose(
        derivative, (gate(0.25 + 1e-6) - gate(0.25 - 1e-6)) / 2e-6, rtol=1e-8
    )
    s = jnp.ones(3, jnp.float32)
    assert activations.leaky_relu(np.float64(0.5)).value(s).dtype == jnp.float32


def test_resolve():
    phi = activations.erf()
    assert activations.resolve(phi) is phi
    assert activations.resolve(0.25).value(jnp.array(-1.0)) == -0.25
    # One object each, so that they serve as static arguments without compiling twice.
    assert activations.tanh() is activations.tanh()
    assert activations.relu() is activations.relu()


def test_bad_slopes(rejects):
    for wrong in (float("inf"), float("nan")):
        with rejects("gamma must be in (-inf, inf)"):
            activations.resolve(wrong)
    with rejects("gamma must be a number"):
        activations.resolve("relu")
    with rejects("gamma must be a scalar"):
        activations.leaky_relu(jnp.array([0.1, 0.2]))
