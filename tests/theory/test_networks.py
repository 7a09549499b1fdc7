import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import dtypes
from twolayer.theory import networks
from twolayer.theory.kernels import activations, shallow

ACTIVATIONS = {
    "relu": 0.0,
    "leaky": 0.3,
    "erf": activations.erf(),
    "tanh": activations.tanh(),
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def network(dtype=None):
    return networks.init_two_layer(jax.random.key(0), 3, 8, dtype)


@functools.cache
def evaluated(name):
    """Output, input gradient and both kernels, compiled together."""
    gamma = ACTIVATIONS[name]
    return jax.jit(
        lambda p, x, z: (
            networks.forward(p, x, gamma),
            networks.input_gradient(p, x, gamma),
            networks.empirical_gate_kernel(p, x, z, gamma),
            networks.empirical_lazy_kernel(p, x, z, gamma),
            networks.empirical_lazy_kernel(p, x, z, gamma, bias=False),
        )
    )


def one_output(p, point, gamma):
    """The definition for one point, without the module under test."""
    value = activations.resolve(gamma).value
    return jnp.sum(p.a * value(jnp.sum(p.w * point[None, :], axis=1) + p.b))


def test_hand_values():
    p = networks.TwoLayer(
        w=jnp.array([[1.0, 2.0], [-1.0, 0.0]]), b=jnp.array([0.5, 1.0]), a=jnp.array([2.0, -3.0])
    )
    x = jnp.array([[1.0, 1.0], [2.0, -2.0]])
    # Pre-activations: 3.5 and 0 at the first point (an open gate), -1.5 and -1 at the second.
    np.testing.assert_array_equal(networks.preactivations(p, x), [[3.5, -1.5], [0.0, -1.0]])
    np.testing.assert_array_equal(networks.gates(p, x, 0.5), [[1, 0.5], [1, 0.5]])
    np.testing.assert_allclose(networks.forward(p, x, 0.5), [7, -1.5 + 1.5], atol=1e-15)
    np.testing.assert_allclose(networks.input_gradient(p, x, 0.5), [[5, 4], [2.5, 2]])
    np.testing.assert_allclose(
        networks.empirical_gate_kernel(p, x, x, 0.5), [[13, 6.5], [6.5, 3.25]]
    )
    np.testing.assert_allclose(
        networks.empirical_lazy_kernel(p, x, x[1:], 0.0), [[0.0], [0.0]], atol=1e-15
    )


@every_activation
def test_against_numpy_loop(name):
    p, x = network(), normal(1, 5, 3)
    activation = activations.resolve(ACTIVATIONS[name])
    output, gradient = evaluated(name)(p, x, x)[:2]
    for n in range(5):
        total, slope = 0.0, np.zeros(3)
        for i in range(8):
            pre = float(np.dot(p.w[i], x[n]) + p.b[i])
            total += float(p.a[i]) * float(activation.value(jnp.asarray(pre)))
            slope += float(p.a[i]) * float(activation.derivative(jnp.asarray(pre))) * p.w[i]
        np.testing.assert_allclose(output[n], total, atol=1e-14)
        np.testing.assert_allclose(gradient[n], slope, atol=1e-14)


@every_activation
def test_input_gradient_is_the_derivative_of_the_output(name):
    p, x = network(), normal(2, 5, 3)
    slope = jax.vmap(jax.grad(one_output, argnums=1), in_axes=(None, 0, None))
    np.testing.assert_allclose(
        evaluated(name)(p, x, x)[1], slope(p, x, ACTIVATIONS[name]), atol=1e-14
    )


@every_activation
def test_empirical_lazy_kernel_is_the_gram_matrix_of_jacobians(name):
    """K_m = J J^T over the trained parameters (w, b); without b the +1 is missing."""
    p, x, z = network(), normal(3, 5, 3), normal(4, 4, 3)
    gamma = ACTIVATIONS[name]

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, None, 0))
    @functools.partial(jax.grad, argnums=(0, 1))
    def jacobian(w, b, point):
        return one_output(networks.TwoLayer(w=w, b=b, a=p.a), point, gamma)

    (of_w, of_b), (at_w, at_b) = jacobian(p.w, p.b, x), jacobian(p.w, p.b, z)
    without = of_w.reshape(5, -1) @ at_w.reshape(4, -1).T
    _, _, gate, lazy, no_bias = evaluated(name)(p, x, z)
    np.testing.assert_allclose(lazy, without + of_b @ at_b.T, atol=1e-13)
    np.testing.assert_allclose(no_bias, without, atol=1e-13)
    np.testing.assert_allclose(gate * (x @ z.T + 1), lazy, atol=1e-13)


def test_initial_variances():
    d, m = 20, 30
    draw = jax.jit(jax.vmap(lambda key: networks.init_two_layer(key, d, m)))
    p = draw(jax.random.split(jax.random.key(5), 400))
    for entries, variance in ((p.w, 1 / d), (p.b, 1.0), (p.a, 1 / m)):
        standard = np.asarray(entries).ravel() / variance**0.5
        count = standard.size
        assert abs(np.mean(standard)) < 5 / count**0.5
        assert abs(np.mean(standard**2) - 1) < 5 * (2 / count) ** 0.5
    # Independent of each other: first neuron of each array.
    first = np.corrcoef(np.stack([p.w[:, 0, 0], p.w[:, 0, 1], p.b[:, 0], p.a[:, 0]]))
    assert np.max(np.abs(first - np.eye(4))) < 5 / 400**0.5


def test_output_covariance_over_initialisations_is_the_nngp_kernel():
    """4000 networks of width 300, d = 10: within 5 standard errors of the kernel."""
    x = normal(6, 5, 10)
    keys = jax.random.split(jax.random.key(7), 4000)

    def outputs(key):
        p = networks.init_two_layer(key, 10, 300)
        return jnp.stack([networks.forward(p, x, gamma) for gamma in ACTIVATIONS.values()])

    drawn = np.asarray(jax.jit(lambda keys: jax.lax.map(outputs, keys, batch_size=100))(keys))
    products = drawn[:, :, :, None] * drawn[:, :, None, :]
    exact = jnp.stack([shallow.nngp_kernel(x, x, gamma) for gamma in ACTIVATIONS.values()])
    error = np.abs(np.mean(products, axis=0) - exact)
    assert np.all(error < 5 * np.std(products, axis=0) / len(keys) ** 0.5)
    assert np.all(np.abs(np.mean(drawn, axis=0)) < 5 * np.std(drawn, axis=0) / len(keys) ** 0.5)


def test_dtypes_follow():
    assert network().w.dtype == jnp.float64
    p = network(jnp.float32)
    assert p.w.dtype == p.b.dtype == p.a.dtype == jnp.float32
    x = normal(8, 4, 3).astype(jnp.float32)
    for name in ACTIVATIONS:
        assert all(result.dtype == jnp.float32 for result in evaluated(name)(p, x, x))


SHORT = pytest.mark.parametrize("dtype", dtypes.SHORT)


def long(tree):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)


@SHORT
def test_a_short_network_is_computed_in_float32_and_rounded_once(dtype):
    p, x = networks.init_two_layer(jax.random.key(3), 300, 500, dtype), normal(4, 5, 300)
    x = x.astype(dtype)
    for function in (networks.forward, networks.input_gradient, networks.gates):
        found = function(p, x, activations.tanh())
        assert found.dtype == dtype
        np.testing.assert_array_equal(
            found, function(long(p), long(x), activations.tanh()).astype(dtype)
        )
    assert networks.preactivations(p, x).dtype == dtype
    # The network alone is short: nothing is rounded.
    assert networks.forward(p, long(x), 0.3).dtype == jnp.float32
    for kernel in (networks.empirical_gate_kernel, networks.empirical_lazy_kernel):
        found, exact = kernel(p, x, x, 0.3), kernel(long(p), long(x), long(x), 0.3)
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, exact)


@SHORT
def test_a_short_network_is_drawn_in_float32(dtype):
    p = networks.init_two_layer(jax.random.key(5), 4, 3000, dtype)
    exact = networks.init_two_layer(jax.random.key(5), 4, 3000, jnp.float32)
    for found, wanted in zip(jax.tree.leaves(p), jax.tree.leaves(exact), strict=True):
        np.testing.assert_array_equal(found, wanted.astype(dtype))


def test_messages(rejects):
    with rejects("d must be at least 1; got 0."):
        networks.init_two_layer(jax.random.key(0), 0, 3)
    with rejects("m must be an integer; got 2.5."):
        networks.init_two_layer(jax.random.key(0), 2, 2.5)
    with rejects("key must be a random key; got 0."):
        networks.init_two_layer(0, 3, 5)
    with rejects("p must be a TwoLayer; got None."):
        networks.forward(None, jnp.ones((4, 3)), 0.0)
    with rejects("p.a must be of shape (8); got shape (4,)."):
        networks.forward(network().replace(a=jnp.ones(4)), jnp.ones((4, 3)), 0.0)
    with rejects("x must have 3 columns; got shape (4, 2)."):
        networks.forward(network(), jnp.ones((4, 2)), 0.0)
    with rejects("gamma must be in (-inf, inf); got inf."):
        networks.forward(network(), jnp.ones((4, 3)), np.inf)
    with rejects("x and z must have the same number of columns"):
        networks.empirical_lazy_kernel(network(), jnp.ones((4, 3)), jnp.ones((4, 2)), 0.0)
