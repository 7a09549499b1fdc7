import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import dtypes
from twolayer.theory.kernels import activations, preactivations, shallow

KINDS = {
    "gate": shallow.gate_kernel,
    "nngp": shallow.nngp_kernel,
    "lazy": shallow.lazy_kernel,
}
# A new activation gets every check below by one row; erf is tanh's mixture of a single term.
ACTIVATIONS = {
    "leaky": 0.3,
    "tanh": activations.tanh(),
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def edge_points():
    """Six inputs of which one is zero, two are equal, two opposite."""
    x = normal(0, 6, 5)
    return x.at[1].set(0.0).at[2].set(x[3]).at[4].set(-x[5])


@functools.cache
def jitted(name, form="gram"):
    """The kernels of every kind, stacked, as one compiled function of (x, z, init_bias)."""
    return jax.jit(
        lambda x, z, init_bias=1.0: jnp.stack(
            [
                kernel(x, z, ACTIVATIONS[name], init_bias=init_bias, form=form, block=4)
                for kernel in KINDS.values()
            ]
        )
    )


@functools.cache
def pulled_back(name, form):
    """Gradients in x and z of the sum over all kinds and entries, compiled."""
    kernel = jitted(name, form)
    return jax.jit(
        jax.grad(lambda x, z, init_bias: jnp.sum(kernel(x, z, init_bias)), argnums=(0, 1))
    )


gate_kernel = jax.jit(shallow.gate_kernel, static_argnames=("form",))
nngp_kernel = jax.jit(shallow.nngp_kernel, static_argnames=("form",))
lazy_kernel = jax.jit(shallow.lazy_kernel, static_argnames=("bias", "form"))
aug_cosine = jax.jit(preactivations.aug_cosine)
matvec = jax.jit(
    lambda x, z, weights, kind, block, bias: shallow.kernel_matvec(
        x, z, weights, 0.3, kind, block, bias=bias
    ),
    static_argnames=("kind", "block", "bias"),
)


def test_hand_values():
    # d = 1, x = z' = 1: rho(1, -1) = 0, rho(1, 0) = 1/sqrt 2, rho(1, 1) = 1.
    x, z = jnp.array([[1.0]]), jnp.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(preactivations.aug_norm(x), [2**0.5], rtol=1e-15)
    np.testing.assert_allclose(aug_cosine(x, z), [[0, 0.5**0.5, 1]], rtol=1e-15)
    np.testing.assert_allclose(gate_kernel(x, z, 0.0), [[0.25, 0.375, 0.5]], rtol=1e-15)
    np.testing.assert_allclose(gate_kernel(x, z, 0.5), [[0.5625, 0.59375, 0.625]], rtol=1e-15)
    np.testing.assert_allclose(lazy_kernel(x, z, 0.0), [[0, 0.375, 1.0]], atol=1e-15)
    np.testing.assert_allclose(lazy_kernel(x, z, 0.0, False), [[-0.25, 0, 0.5]], atol=1e-15)
    second = 2**0.5 * (0.5**0.5 + 0.75 * np.pi * 0.5**0.5) / (2 * np.pi)
    np.testing.assert_allclose(nngp_kernel(x, z, 0.0), [[1 / np.pi, second, 1.0]], rtol=1e-15)


def test_zero_row_without_bias_has_cosine_zero():
    x, zero = jnp.array([[1.0, 2.0]]), jnp.zeros((1, 2))
    assert aug_cosine(x, zero, init_bias=0.0) == 0
    for form in ("gram", "pairwise"):
        assert gate_kernel(x, zero, 0.5, init_bias=0.0, form=form) == 0.5625
        assert nngp_kernel(zero, zero, 0.5, init_bias=0.0, form=form) == 0


@every_activation
def test_gram_matrix_is_symmetric_and_positive(name):
    x = normal(1, 60, 5)
    for gram in np.asarray(jitted(name)(x, x)):
        scale = np.max(np.abs(gram))
        np.testing.assert_allclose(gram, gram.T, atol=1e-14 * scale)
        assert np.linalg.eigvalsh(gram)[0] > -1e-12 * len(x) * scale


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.9])
def test_gate_gram_is_symmetric_positive_and_exact_on_its_diagonal(gamma):
    x = normal(2, 200, 20)
    gram = np.asarray(gate_kernel(x, x, gamma))
    np.testing.assert_allclose(gram, gram.T, atol=1e-15)
    np.testing.assert_allclose(np.diag(gram), (1 + gamma**2) / 2, atol=1e-15)
    assert np.all((gram >= gamma) & (gram <= (1 + gamma**2) / 2 + 1e-15))
    assert np.linalg.eigvalsh(gram)[0] > -1e-12 * len(x)
    nngp = np.asarray(nngp_kernel(x, x, gamma))
    variance = np.asarray(preactivations.aug_norm(x)) ** 2
    np.testing.assert_allclose(np.diag(nngp), variance * (1 + gamma**2) / 2, rtol=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("dim, shift", [(1, 5.0), (1000, 0.0), (10000, 5.0)])
def test_equal_rows_are_exact_in_any_dimension(dtype, dim, shift):
    x = normal(3, 7, dim).astype(dtype) + shift
    np.testing.assert_array_equal(np.diag(aug_cosine(x, x)), 1)
    np.testing.assert_array_equal(np.diag(aug_cosine(x, -x, init_bias=0.0)), -1)


@every_activation
def test_pairwise_form_agrees(name):
    x = edge_points()
    for init_bias in (0.0, 1.0):
        gram, pairwise = (jitted(name, form)(x, x, init_bias) for form in ("gram", "pairwise"))
        np.testing.assert_allclose(gram, pairwise, atol=1e-13)


def test_gate_matches_extended_precision():
    """Both forms against the definition in long double, from far apart to nearly equal."""
    x = np.asarray(normal(4, 8, 6))
    distance = 10.0 ** -np.arange(8)[:, None]
    z = x + distance * np.asarray(normal(5, 8, 6))
    a, b = (
        np.concatenate([v / np.sqrt(np.longdouble(6)), np.ones((8, 1))], axis=1)
        for v in (x.astype(np.longdouble), z.astype(np.longdouble))
    )
    unit_a = a / np.sqrt(np.sum(a**2, axis=1, keepdims=True))
    unit_b = b / np.sqrt(np.sum(b**2, axis=1, keepdims=True))
    angle = 2 * np.arcsin(np.sqrt(np.sum((unit_a - unit_b) ** 2, axis=1)) / 2)
    exact = 0.5 - angle / (2 * np.longdouble(np.pi))
    gram = np.diag(gate_kernel(jnp.asarray(x), jnp.asarray(z), 0.0))
    pairwise = np.diag(gate_kernel(jnp.asarray(x), jnp.asarray(z), 0.0, form="pairwise"))
    assert np.max(np.abs(pairwise - exact)) < 1e-15
    regular = 1 - np.cos(angle) > 1e-6
    assert np.sum(regular) >= 3
    assert np.max(np.abs(gram - exact)[regular]) < 1e-12
    assert np.max(np.abs(gram - exact)) < 3e-8


@every_activation
def test_gate_is_the_mean_over_gates(name):
    x, z, num_samples = normal(6, 4, 10), normal(7, 5, 10), 20_000
    phi = activations.resolve(ACTIVATIONS[name])
    draw = jax.jit(lambda key: shallow.gate_kernel_mc(key, x, z, phi, num_samples))
    estimate = draw(jax.random.key(8))
    # The standard deviation of a product of derivatives is at most half of its range.
    spread = 0.5 * phi.derivative(jnp.zeros(())) ** 2
    error = np.max(np.abs(estimate - jitted(name)(x, z)[0]))
    assert error <= 5 * spread / num_samples**0.5


def test_monte_carlo_tells_the_wrong_kernels_apart():
    x, z, num_samples = normal(6, 10, 10), normal(7, 10, 10), 20_000
    draw = jax.jit(lambda key: shallow.gate_kernel_mc(key, x, z, 0.0, num_samples))
    estimate = draw(jax.random.key(8))
    radius = 5 * 0.5 / num_samples**0.5
    dropped_bias = gate_kernel(x, z, 0.0, init_bias=0.0)
    dropped_dimension = gate_kernel(x * 10**0.5, z * 10**0.5, 0.0)
    for wrong in (dropped_bias, dropped_dimension):
        assert np.max(np.abs(estimate - wrong)) > 3 * radius


def test_nngp_is_the_output_covariance_of_sampled_units():
    x, gamma, num_units = normal(9, 4, 6), 0.2, 50_000
    key_weight, key_bias = jax.random.split(jax.random.key(10))
    weight = jax.random.normal(key_weight, (6, num_units)) / 6**0.5
    units = x @ weight + jax.random.normal(key_bias, (1, num_units))
    phi = np.asarray(activations.leaky_relu(gamma).value(units))
    products = phi[:, None] * phi[None, :]
    error = np.abs(products.mean(axis=2) - nngp_kernel(x, x, gamma))
    assert np.all(error <= 5 * products.std(axis=2) / num_units**0.5)


@every_activation
def test_gradients_at_the_edges(name):
    x = edge_points()
    for init_bias in (0.0, 1.0):
        gram, pairwise = (pulled_back(name, form)(x, x, init_bias) for form in ("gram", "pairwise"))
        assert np.all(np.isfinite(gram))
        np.testing.assert_allclose(gram, pairwise, atol=1e-12)


@every_activation
def test_gradients_match_finite_differences(name):
    x, z, direction = normal(11, 6, 5), normal(12, 6, 5), normal(13, 6, 5)
    kernel, step = jitted(name), 1e-5
    exact = jnp.vdot(pulled_back(name, "gram")(x, z, 1.0)[0], direction)
    numeric = jnp.sum(kernel(x + step * direction, z) - kernel(x - step * direction, z)) / 2 / step
    np.testing.assert_allclose(exact, numeric, rtol=1e-8)


def test_gradient_at_equal_rows_is_the_symmetric_one():
    """At x = z the gate has a cone: opposite one-sided slopes, of which autodiff is the mean."""
    x, direction = normal(14, 1, 4), normal(15, 1, 4)

    def gate(t):
        return gate_kernel(x + t * direction, x, 0.0)[0, 0]

    right, left = (gate(1e-5) - gate(0.0)) / 1e-5, (gate(0.0) - gate(-1e-5)) / 1e-5
    assert right < -0.01
    np.testing.assert_allclose(right, -left, rtol=1e-3)
    assert jax.grad(gate)(0.0) == 0


def test_float32_is_accurate_and_stays_float32():
    x, z = normal(16, 200, 1000), normal(17, 100, 1000)
    short_x, short_z = x.astype(jnp.float32), z.astype(jnp.float32)
    gate = gate_kernel(short_x, short_z, np.float64(0.25))
    assert gate.dtype == jnp.float32
    assert np.max(np.abs(gate - gate_kernel(x, z, 0.25))) <= 1e-6
    nngp = nngp_kernel(short_x, short_z, jnp.asarray(0.25), init_bias=np.float64(1.0))
    assert nngp.dtype == jnp.float32
    assert np.max(np.abs(nngp - nngp_kernel(x, z, 0.25))) <= 2e-6
    assert matvec(short_x, short_z, short_x[:, 0], "lazy", 32, True).dtype == jnp.float32
    assert gate_kernel(short_x[:2], short_z[:2], 0.25, form="pairwise").dtype == jnp.float32


@pytest.mark.parametrize("dtype", dtypes.SHORT)
def test_short_floats_give_the_float32_kernel_of_the_same_numbers(dtype):
    # 45 and 60.3 degrees, at which the kernel is 1/4 + asin(cos) / 2 pi.
    x, z = jnp.array([[1.0, 0.0]], dtype), jnp.array([[1.0, 1.0], [1.0, 1.75]], dtype)
    gate = gate_kernel(x, z, 0.0, init_bias=0.0)
    assert gate.dtype == jnp.float32
    np.testing.assert_allclose(gate, [[0.375, 0.332625]], atol=1e-6)
    for name in ACTIVATIONS:
        for form in ("gram", "pairwise"):
            found = jitted(name, form)(x, z)
            long = jitted(name, form)(x.astype(jnp.float32), z.astype(jnp.float32))
            assert found.dtype == jnp.float32
            np.testing.assert_array_equal(found, long)


def test_kernels_of_two_dtypes_are_those_of_the_wider_one():
    x = normal(16, 4, 1000).astype(jnp.float32)
    np.testing.assert_array_equal(
        gate_kernel(x, x.astype(float), 0.0), gate_kernel(x.astype(float), x.astype(float), 0.0)
    )


@functools.cache
def second_derivatives(name, form):
    """Mixed ones of the NNGP and gate kernel in both orders, and those in x alone; compiled."""

    def kernels_of(x, z, init_bias):
        return jitted(name, form)(x[None], z[None], init_bias)[:2, 0, 0]

    return jax.jit(
        lambda x, z, init_bias: (
            jax.jacfwd(jax.jacrev(kernels_of, 0), 1)(x, z, init_bias),
            jax.jacrev(jax.jacfwd(kernels_of, 1), 0)(x, z, init_bias).swapaxes(1, 2),
            jax.jacfwd(jax.jacrev(kernels_of, 0), 0)(x, z, init_bias),
        )
    )


@pytest.mark.parametrize("form", ["gram", "pairwise"])
@every_activation
def test_second_derivatives_at_equal_and_opposite_rows(name, form):
    """As beside these rows; the gate of a leaky ReLU has none, and 0 is returned."""
    x = normal(25, 3)
    finite = slice(1, 2) if name == "leaky" else slice(0, 2)  # of gate and NNGP
    for z, init_bias in [(x, 0.0), (-x, 0.0), (x, 1.0)]:
        forward, backward, pure = second_derivatives(name, form)(x, z, init_bias)
        beside = second_derivatives(name, form)(x, z + 1e-4, init_bias)
        np.testing.assert_allclose(forward, backward, atol=1e-13)
        np.testing.assert_allclose(forward[finite], beside[0][finite], atol=5e-4)
        np.testing.assert_allclose(pure[finite], beside[2][finite], atol=5e-4)
        if name == "leaky":
            assert np.all(forward[0] == 0) and np.all(pure[0] == 0)


@pytest.mark.parametrize("form", ["gram", "pairwise"])
def test_mixed_second_derivative_of_relu_in_closed_form(form):
    x = normal(26, 3)

    def nngp(x, z):
        return nngp_kernel(x[None], z[None], 0.25, init_bias=0.0, form=form)[0, 0]

    mixed = jax.jit(jax.jacfwd(jax.jacrev(nngp, 0), 1))
    np.testing.assert_allclose(mixed(x, x), (1 + 0.25**2) / 2 / 3 * np.eye(3), atol=1e-14)
    np.testing.assert_allclose(mixed(x, -x), 0.25 / 3 * np.eye(3), atol=1e-14)
    np.testing.assert_allclose(jax.jit(jax.hessian(nngp))(x, x), 0, atol=1e-14)
    points = jnp.stack([x, 2 * x, normal(27, 3)])
    np.testing.assert_allclose(
        jax.vmap(mixed, in_axes=(0, None))(points, x), [mixed(p, x) for p in points], atol=1e-14
    )


@pytest.mark.parametrize("form", ["gram", "pairwise"])
@pytest.mark.parametrize("name, zero", [("leaky", False), ("tanh", False), ("tanh", True)])
def test_mixed_second_derivatives_are_the_mean_over_units(name, zero, form):
    """E[phi'(u) phi'(v) w w^T] at z = x, and at a zero row without bias for a smooth activation."""
    x, num_samples = normal(28, 3), 40_000
    z = jnp.zeros(3) if zero else x
    weight = normal(29, num_samples, 3) / 3**0.5
    phi = activations.resolve(ACTIVATIONS[name])
    gates = phi.derivative(weight @ x) * phi.derivative(weight @ z)
    samples = gates[:, None, None] * weight[:, :, None] * weight[:, None, :]
    error = np.abs(second_derivatives(name, form)(x, z, 0.0)[0][1] - jnp.mean(samples, axis=0))
    assert np.all(error <= 5 * jnp.std(samples, axis=0) / num_samples**0.5)


@pytest.mark.parametrize("form", ["gram", "pairwise"])
@pytest.mark.parametrize("dtype, huge", [(jnp.float32, 1e30), (jnp.float64, 1e200)])
def test_rows_of_any_size(dtype, huge, form):
    """Beside a bias huge rows lose it and tiny rows are zero; without, the kernel has no scale."""
    x, eps = edge_points().astype(dtype), float(jnp.finfo(dtype).eps)
    alone = np.asarray(gate_kernel(x, x, 0.3, init_bias=0.0, form=form))
    beside = alone.copy()
    beside[1, 1] = (1 + 0.3**2) / 2  # the zero row is the bias alone, orthogonal to the others
    for init_bias, size, exact in [
        (0.0, huge, alone),
        (0.0, 1e10, alone),
        (0.0, 1e-10, alone),
        (0.0, 1 / huge, alone),
        (1.0, huge, beside),
        (1.0, 1 / huge, (1 + 0.3**2) / 2),
    ]:
        scaled = x * jnp.asarray(size, dtype)
        found = gate_kernel(scaled, scaled, 0.3, init_bias=init_bias, form=form)
        np.testing.assert_allclose(found, exact, atol=16 * eps)


@pytest.mark.parametrize("form", ["gram", "pairwise"])
def test_values_overflow_only_where_they_are_beyond_the_dtype(form):
    x = normal(30, 4, 5).astype(jnp.float32)
    huge, tiny = x * 1e30, x * 1e-30
    for kernel in (nngp_kernel, functools.partial(lazy_kernel, bias=False)):
        exact = kernel(x, x, 0.0, init_bias=0.0, form=form)
        found = kernel(huge, tiny, 0.0, init_bias=0.0, form=form)
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(kernel(tiny, tiny, 0.0, init_bias=0.0, form=form), 0)
    opposite = nngp_kernel(huge, -huge, 0.0, init_bias=0.0)
    np.testing.assert_array_equal(np.diag(opposite), 0)
    np.testing.assert_allclose(
        preactivations.aug_norm(huge), 1e30 * preactivations.aug_norm(x, init_bias=0.0)
    )


def test_slope_batches_under_jit_and_differentiates():
    x, z = normal(18, 4, 3), normal(19, 2, 3)
    slopes = jnp.array([0.0, 0.4, 0.9])
    kernel = jax.jit(lambda gamma: jnp.stack([kernel(x, z, gamma) for kernel in KINDS.values()]))
    loop = [kernel(gamma) for gamma in slopes]
    np.testing.assert_allclose(jax.vmap(kernel)(slopes), jnp.stack(loop), rtol=1e-13, atol=1e-14)
    slope = jax.jit(jax.jacfwd(kernel))(0.4)
    np.testing.assert_allclose(slope, (kernel(0.4 + 1e-6) - kernel(0.4 - 1e-6)) / 2e-6, atol=1e-7)


def test_data_sets_batch():
    x, z = normal(20, 3, 6, 5), normal(21, 3, 6, 5)
    for form in ("gram", "pairwise"):
        kernel = jitted("leaky", form)
        loop = [kernel(x[i], z[i]) for i in range(3)]
        np.testing.assert_allclose(jax.vmap(kernel)(x, z), loop, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "kind, block", [("gate", 3), ("nngp", 3), ("lazy", 1), ("lazy", 3), ("lazy", 7), ("lazy", 100)]
)
def test_matvec_is_the_kernel_times_the_weights(kind, block):
    x, z, weights = normal(22, 5, 4), normal(23, 7, 4), normal(24, 5)
    exact = weights @ jitted("leaky")(x, z)[list(KINDS).index(kind)]
    np.testing.assert_allclose(matvec(x, z, weights, kind, block, True), exact, atol=1e-13)


def test_matvec_without_trained_bias_and_its_gradient():
    x, z, weights = normal(22, 5, 4), normal(23, 7, 4), normal(24, 5)
    exact = weights @ lazy_kernel(x, z, 0.3, False)
    np.testing.assert_allclose(matvec(x, z, weights, "lazy", 3, False), exact, atol=1e-13)
    blocked = jax.jit(jax.grad(lambda z: jnp.sum(matvec(x, z, weights, "lazy", 3, True) ** 2)))(z)
    dense = jax.jit(jax.grad(lambda z: jnp.sum((weights @ lazy_kernel(x, z, 0.3)) ** 2)))(z)
    np.testing.assert_allclose(blocked, dense, atol=1e-11)


@jax.jit
def rebuilt(x, z):
    products = x @ z.T / x.shape[1]
    cosine = preactivations.cosine_from_products(
        products, preactivations.aug_norm(x), preactivations.aug_norm(z)
    )
    return cosine, shallow.gate_profile(cosine, 0.3)


@given(seed=st.integers(0, 2**31 - 1), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_kernels_rebuilt_from_inner_products(seed, scale):
    x, z = scale * normal(seed, 4, 5), scale * normal(seed + 1, 3, 5)
    cosine, gate = rebuilt(x, z)
    np.testing.assert_allclose(cosine, aug_cosine(x, z), atol=1e-15)
    np.testing.assert_allclose(gate, jitted("leaky")(x, z)[0], atol=1e-14)


def test_bad_input(rejects):
    x, z = jnp.ones((3, 2)), jnp.ones((4, 2))
    for kernel in KINDS.values():
        with rejects("same number of columns"):
            kernel(x, jnp.ones((4, 3)), 0.0)
        with rejects("x must be a non-empty matrix (N, d); got shape (2,)"):
            kernel(x[0], z, 0.0)
        with rejects("z must be a non-empty matrix (N, d); got shape (3, 0)"):
            kernel(x, jnp.ones((3, 0)), 0.0)
        with rejects("x must be finite"):
            kernel(x.at[0, 0].set(jnp.nan), z, 0.0)
        with rejects("gamma must be in (-inf, inf); got inf"):
            kernel(x, z, float("inf"))
        with rejects("form must be one of gram, pairwise; got 'dense'"):
            kernel(x, z, 0.0, form="dense")
        with rejects("init_bias must be in [0, inf)"):
            kernel(x, z, 0.0, init_bias=-1.0)
        with rejects("block must be at least 1; got 0"):
            kernel(x, z, 0.0, form="pairwise", block=0)
    with rejects("block must be at least 1; got 0"):
        shallow.kernel_matvec(x, z, jnp.ones(3), 0.0, "gate", 0)
    with rejects("kind must be one of gate, nngp, lazy; got 'ntk'"):
        shallow.kernel_matvec(x, z, jnp.ones(3), 0.0, "ntk")
    with rejects("weights must have length 3; got 4"):
        shallow.kernel_matvec(x, z, jnp.ones(4), 0.0)
    with rejects("n_samples must be at least 1; got 0"):
        shallow.gate_kernel_mc(jax.random.key(0), x, z, 0.0, 0)
    with rejects("products must have shape (N, M)"):
        preactivations.cosine_from_products(jnp.ones((3, 4)), jnp.ones(4), jnp.ones(3))
    with rejects("gamma must be a slope or an activation of degree 1; got erf"):
        shallow.gate_profile(jnp.ones(2), activations.erf())
