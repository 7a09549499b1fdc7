import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import dtypes
from twolayer.theory.kernels import activations, deep

ACTIVATIONS = {
    "relu": activations.relu(),
    "erf": activations.erf(),
}
KERNELS = {
    "nngp": deep.deep_nngp_kernel,
    "tangent": deep.neural_tangent_kernel,
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


@functools.cache
def both(name, depth):
    """The two kernels, stacked, as one compiled function of (x, z, bias)."""
    return jax.jit(
        lambda x, z, bias=0.0: jnp.stack(
            [kernel(x, z, ACTIVATIONS[name], depth=depth, bias=bias) for kernel in KERNELS.values()]
        )
    )


def jitted(kind, name, depth=1, bias=0.0):
    return lambda x, z: both(name, depth)(x, z, bias)[list(KERNELS).index(kind)]


@functools.cache
def pulled_back(name):
    """Gradients in x and z of the sum of both kernels of two hidden layers, compiled."""
    return jax.jit(jax.grad(lambda x, z, bias: jnp.sum(both(name, 2)(x, z, bias)), argnums=(0, 1)))


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# Cosine coefficients a_0 ... a_5 on the unit circle, from a 4096-point transform [measured].
MERCER = {
    ("relu", 1, 0.0): (0.6079271, 1, 0.3152215, 0, 0.0342241, 0),
    ("relu", 2, 0.0): (1.0825052, 1.175579, 0.4417211, 0.0974965, 0.0601144, 0.0242018),
    ("relu", 3, 0.0): (1.5441266, 1.3142685, 0.560945, 0.1896272, 0.1040399, 0.0542226),
    ("relu", 1, 1.0): (2.0682639, 1.6030807, 0.1993527, 0.0416195, 0.0214222, 0.0127533),
    ("erf", 1, 0.0): (0, 0.9779075, 0, 0.0502975, 0, 0.0050816),
}


def cosine_series(kernel):
    phase = 2 * jnp.pi * jnp.arange(4096) / 4096
    circle = jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=1)
    series = np.fft.rfft(np.asarray(kernel(circle[:1], circle)[0])).real / 4096
    return np.concatenate([series[:1], 2 * series[1:]])


@pytest.mark.parametrize("case", MERCER)
def test_mercer_coefficients(case):
    name, depth, bias = case
    series = cosine_series(jitted("tangent", name, depth, bias))
    np.testing.assert_allclose(series[:6], MERCER[case], atol=6e-8)


def test_mercer_coefficients_in_closed_form():
    """Bias-free ReLU: a_k = (4 / pi^2) (k^2 + 3) / (k^2 - 1)^2 for even k, 0 for odd k >= 3."""
    k = np.arange(2, 40)
    expected = np.where(k % 2 == 0, 4 / np.pi**2 * (k**2 + 3) / (k**2 - 1.0) ** 2, 0)
    series = cosine_series(jitted("tangent", "relu"))
    np.testing.assert_allclose(series[:2], [6 / np.pi**2, 1], atol=1e-6)
    # Aliasing of the kink's k^-2 tail, 4 / (pi 4096)^2 a coefficient.
    np.testing.assert_allclose(series[2:40], expected, atol=1e-6)


def test_odd_part_of_the_bias_free_relu_kernel_is_linear():
    x, z = normal(0, 30, 3), normal(1, 20, 3)
    x, z = (v / jnp.linalg.norm(v, axis=1, keepdims=True) for v in (x, z))
    linear = deep.linear_kernel(x, z)
    odd = deep.odd_part(jitted("tangent", "relu"))(x, z)
    np.testing.assert_allclose(odd, linear, atol=1e-15)
    # Controls: a bias, a second hidden layer and another activation each leave a nonlinear part.
    for name, depth, bias in [("relu", 1, 1.0), ("relu", 2, 0.0), ("erf", 1, 0.0)]:
        odd = deep.odd_part(jitted("tangent", name, depth, bias))(x, z)
        factor = jnp.vdot(odd, linear) / jnp.vdot(linear, linear)
        assert np.max(np.abs(odd - factor * linear)) > 0.01


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_closed_forms_of_one_hidden_layer(bias):
    x, z = normal(2, 6, 3), normal(3, 5, 3)
    a, b = (np.concatenate([v, np.full((len(v), 1), bias)], axis=1) for v in (x, z))
    inner, square_a, square_b = a @ b.T, np.sum(a**2, axis=1), np.sum(b**2, axis=1)
    norms = np.sqrt(square_a[:, None] * square_b[None, :])
    angle = np.arccos(inner / norms)
    relu = norms / np.pi * (np.sin(angle) + 2 * (np.pi - angle) * np.cos(angle))
    np.testing.assert_allclose(jitted("tangent", "relu", 1, bias)(x, z), relu, atol=1e-13)
    product = (1 + 2 * square_a[:, None]) * (1 + 2 * square_b[None, :])
    erf = 2 / np.pi * np.arcsin(2 * inner / np.sqrt(product))
    np.testing.assert_allclose(jitted("nngp", "erf", 1, bias)(x, z), erf, atol=1e-14)
    erf = erf + 4 / np.pi * inner / np.sqrt(product - 4 * inner**2)
    np.testing.assert_allclose(jitted("tangent", "erf", 1, bias)(x, z), erf, atol=1e-14)


def test_relu_norms_by_depth():
    """N_l^2 = (|x|^2 + (l + 1) bias^2) (|z|^2 + ...): S(x, x) at depth L adds L bias^2 in all."""
    x = normal(4, 3, 4)
    for depth, bias in [(1, 0.5), (3, 0.0), (3, 0.5)]:
        diagonal = np.diag(jitted("nngp", "relu", depth, bias)(x, x))
        np.testing.assert_allclose(diagonal, jnp.sum(x**2, axis=1) + depth * bias**2, rtol=1e-14)


def empirical_kernels(key, x, activation, width, bias):
    """Both kernels of one random network of two hidden layers, by automatic differentiation."""
    keys = jax.random.split(key, 5)
    shapes = [(width, x.shape[1]), (width,), (width, width), (width,), (width,)]
    parameters = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]

    def output(parameters, point):
        w1, b1, w2, b2, a = parameters
        h = activation.gain * activation.value(w1 @ point + bias * b1) / width**0.5
        h = activation.gain * activation.value(w2 @ h + bias * b2) / width**0.5
        return a @ h, h

    gradients = jax.vmap(jax.grad(lambda p, x: output(p, x)[0]), in_axes=(None, 0))(parameters, x)
    hidden = jax.vmap(lambda point: output(parameters, point)[1])(x)
    flat = [g.reshape(x.shape[0], -1) for g in gradients]
    return hidden @ hidden.T, sum(g @ g.T for g in flat)


@every_activation
def test_recursion_matches_random_networks(name):
    """Two hidden layers: the mean over 40 networks, to 5 standard errors and the bias 1/width."""
    x, num_networks, width, bias = normal(5, 3, 4) / 2, 40, 128, 0.5
    sample = jax.jit(
        lambda keys: jax.lax.map(
            lambda key: empirical_kernels(key, x, ACTIVATIONS[name], width, bias), keys
        )
    )
    for kind, samples in zip(
        KERNELS, sample(jax.random.split(jax.random.key(6), num_networks)), strict=True
    ):
        exact = jitted(kind, name, 2, bias)(x, x)
        radius = 5 * jnp.std(samples, axis=0) / num_networks**0.5 + 5 / width * jnp.max(exact)
        assert np.all(np.abs(jnp.mean(samples, axis=0) - exact) <= radius)
        # Control: one hidden layer fewer is another kernel.
        assert np.any(np.abs(jitted(kind, name, 1, bias)(x, x) - exact) > radius)


@every_activation
def test_gram_is_symmetric_positive_and_invariant_under_reflection(name):
    x = normal(7, 30, 3)
    for gram, reflected in zip(both(name, 2)(x, x, 0.5), both(name, 2)(-x, -x, 0.5), strict=True):
        scale = np.max(gram)
        np.testing.assert_allclose(gram, gram.T, atol=1e-14 * scale)
        np.testing.assert_allclose(reflected, gram, atol=1e-14 * scale)
        assert np.linalg.eigvalsh(gram)[0] > -1e-12 * len(x) * scale


@every_activation
def test_gradients(name):
    """Finite at zero, equal and opposite rows; equal to finite differences elsewhere."""
    x, z, direction, step = normal(9, 5, 3), normal(10, 5, 3), normal(11, 5, 3), 1e-5
    edges = x.at[0].set(0.0).at[1].set(x[2]).at[3].set(-x[4])
    for bias in (0.0, 0.5):
        assert np.all(np.isfinite(pulled_back(name)(edges, edges, bias)))
        exact = jnp.vdot(pulled_back(name)(x, z, bias)[0], direction)
        ahead, behind = (both(name, 2)(x + s * direction, z, bias) for s in (step, -step))
        np.testing.assert_allclose(exact, jnp.sum(ahead - behind) / (2 * step), rtol=1e-7)


def test_dtype_slope_and_batch():
    x = normal(12, 2, 4, 3)
    kernel = jitted("tangent", "relu", 2, 0.5)
    np.testing.assert_allclose(jax.vmap(kernel)(x, x), [kernel(v, v) for v in x], rtol=1e-13)
    short = kernel(x[0].astype(jnp.float32), x[0].astype(jnp.float32))
    assert short.dtype == jnp.float32
    np.testing.assert_allclose(short, kernel(x[0], x[0]), rtol=1e-5)
    by_number = jax.jit(lambda x: deep.neural_tangent_kernel(x, x, 0.0, depth=2, bias=0.5))(x[0])
    np.testing.assert_allclose(by_number, kernel(x[0], x[0]), rtol=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3])
@every_activation
def test_second_derivatives_at_equal_and_opposite_rows(name, depth):
    """As beside these rows; the tangent kernel of ReLU has no second ones there."""
    x, kinds = normal(13, 3), 1 if name == "relu" else 2

    def pair(x, z, bias):
        return both(name, depth)(x[None], z[None], bias)[:kinds, 0, 0]

    mixed = jax.jit(jax.jacfwd(jax.jacrev(pair, 0), 1))
    pure = jax.jit(jax.jacrev(jax.jacfwd(pair, 0), 0))
    for z, bias in [(x, 0.0), (x, 0.5), (-x, 0.0)]:
        for derivative in (mixed, pure):
            at, beside = derivative(x, z, bias), derivative(x, z + 1e-5, bias)
            np.testing.assert_allclose(at, beside, atol=1e-3 * np.max(np.abs(beside)) + 1e-4)


@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_at_zero_rows_of_a_smooth_activation(depth):
    """Without bias too, where norm and cosine have no derivative."""
    x, zero, step = normal(14, 1, 3), jnp.zeros((1, 3)), 1e-5
    for kind in KERNELS:
        kernel = jitted(kind, "erf", depth)
        found = jax.grad(lambda z, kernel=kernel: kernel(x, z)[0, 0])(zero)[0]
        steps = step * jnp.eye(3)
        numeric = (kernel(x, steps) - kernel(x, -steps))[0] / (2 * step)
        np.testing.assert_allclose(found, numeric, rtol=1e-8)


@every_activation
def test_rows_of_any_size(name):
    """Rows whose squares float32 has not, beside the same ones in float64."""
    x, others = normal(15, 3, 4), normal(16, 2, 4)
    for depth, first, second, bias in [
        (3 if name == "relu" else 1, 1e30, 1e-30, 0.0),
        (3, 1e15, 1e20, 1.0),
        (2, 1e-15, 1e-20, 1.0),
    ]:
        x32, z32 = (first * x).astype(jnp.float32), (second * others).astype(jnp.float32)
        found = both(name, depth)(x32, z32, bias)
        exact = both(name, depth)(x32.astype(float), z32.astype(float), bias)
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6 * np.max(np.abs(exact)))


def test_linear_kernel_overflows_only_where_it_is_beyond_the_dtype():
    x = jnp.array([[2.0**99, 2.0**99]], jnp.float32)
    z = jnp.array([[2.0**99, -(2.0**99)], [2.0**-99, 2.0**-98]], jnp.float32)
    np.testing.assert_array_equal(deep.linear_kernel(x, z), [[0.0, 3.0]])


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_short_floats_give_the_float32_kernels_of_the_same_numbers(dtype):
    x, z = jnp.array([[1.0, 0.0]], dtype), jnp.array([[1.0, 1.0], [1.0, 1.75]], dtype)
    found = both("relu", 3)(x, z)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, both("relu", 3)(*(v.astype(jnp.float32) for v in (x, z))))
    np.testing.assert_allclose(found[1], [[3.158397, 3.487545]], rtol=1e-6)


def test_linear_kernel():
    x, z = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, -1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(deep.linear_kernel(x, z), [[1.0, 0.0]])
    np.testing.assert_array_equal(deep.linear_kernel(x, z, bias=2.0), [[5.0, 4.0]])


def test_bad_input(rejects):
    x, z = jnp.ones((3, 2)), jnp.ones((4, 2))
    for kernel in KERNELS.values():
        with rejects("same number of columns"):
            kernel(x, jnp.ones((4, 3)), activations.relu())
        with rejects("depth must be at least 1; got 0"):
            kernel(x, z, activations.relu(), depth=0)
        with rejects("depth must be an integer; got 1.5"):
            kernel(x, z, activations.relu(), depth=1.5)
        with rejects("bias must be in [0, inf)"):
            kernel(x, z, activations.relu(), bias=-1.0)
        with rejects("activation must be a number; got 'relu'"):
            kernel(x, z, "relu")
    with rejects("x must be a non-empty matrix"):
        deep.linear_kernel(x[0], z)
