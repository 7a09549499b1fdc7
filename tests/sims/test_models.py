"""Networks: against XLA's convolution, counted by hand, and at their edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.components import models


@pytest.mark.parametrize(
    ("stride", "padding", "size"), [(1, 0, 6), (1, 1, 5), (2, 0, 8), (2, 0, 7)]
)
def test_convolution_is_that_of_xla(stride, padding, size):
    net = models.Convolution(4, stride=stride, padding=padding)
    x = np.random.default_rng(size).normal(size=(3, size, size + 1, 2)).astype(np.float32)
    params = jax.tree.map(
        lambda leaf: np.random.default_rng(1).normal(size=leaf.shape).astype(np.float32),
        jax.eval_shape(net.init, jax.random.key(0), x)["params"],
    )
    found = net.apply({"params": params}, x)
    # Rows of the kernel: the nine shifts row by row, and the channels of each.
    plain = jax.lax.conv_general_dilated(
        x,
        params["kernel"].reshape(3, 3, 3, 4),
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("CHWN", "HWIO", "CHWN"),
    )
    plain = np.maximum(plain + params["bias"][:, None, None, None], 0)
    assert found.shape == plain.shape
    np.testing.assert_allclose(found, plain, atol=1e-5)


def test_published_network_by_its_parameters():
    net = models.ConvNet()
    tree = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    kernels = [layer["kernel"].shape for layer in tree.values()]
    channels = [(1, 16), (16, 128), (128, 128), (128, 256), (256, 256)]
    assert sorted(kernels) == sorted([(9 * c, features) for c, features in channels] + [(256, 10)])
    assert all(layer["bias"].shape == layer["kernel"].shape[1:] for layer in tree.values())


def test_sizes_inside_the_network():
    shapes = []

    def note(next_fun, args, kwargs, context):
        result = next_fun(*args, **kwargs)
        if isinstance(context.module, models.Convolution):
            shapes.append(result.shape)
        return result

    def trace(size):
        shapes.clear()
        with models.nn.intercept_methods(note):
            jax.eval_shape(
                models.ConvNet(width=0.125).init, jax.random.key(0), jnp.zeros((5, size, size, 1))
            )
        return [shape[:3] for shape in shapes]

    assert trace(28) == [(2, 13, 13), (16, 11, 11), (16, 11, 11), (32, 9, 9), (32, 9, 9)]
    assert trace(8) == [(2, 6, 6), (16, 4, 4), (16, 4, 4), (32, 2, 2), (32, 2, 2)]


@pytest.fixture(scope="module")
def digits_net():
    return models.flatten(models.ConvNet(width=0.125), (8, 8, 1))


def test_initial_parameters_fill_their_bounds(digits_net):
    vector = jax.jit(digits_net.initialise)(jax.random.key(0))
    fan_ins = [9, 18, 144, 144, 288, 32]
    features = [2, 16, 16, 32, 32, 10]
    assert vector.dtype == jnp.float32
    assert vector.shape == (sum((n + 1) * m for n, m in zip(fan_ins, features, strict=True)),)
    # Scaled back, all are uniform on (-1, 1): their share below each bound is right.
    largest = np.abs(np.asarray(vector))
    for n in sorted(set(fan_ins)):
        inside = sum((k + 1) * m for k, m in zip(fan_ins, features, strict=True) if k >= n)
        assert np.sum(largest <= n**-0.5) >= inside
    assert largest.max() <= 1 / 3
    assert abs(vector.mean()) < 5 * largest.std() / len(largest) ** 0.5


def test_samples_do_not_mix(digits_net):
    vector = digits_net.initialise(jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1), jnp.float32)
    apply = jax.jit(digits_net.apply)
    logits = apply(vector, x)
    assert logits.shape == (3, 10) and logits.dtype == jnp.float32
    other = apply(vector, x.at[1].set(0))
    np.testing.assert_allclose(other[jnp.array([0, 2])], logits[jnp.array([0, 2])], atol=1e-6)
    assert np.abs(other[1] - logits[1]).max() > 1e-3


def test_wrong_inputs_are_named(rejects):
    net = models.ConvNet()
    with rejects("x must be images (n, height, width, channels) of at least 7 x 7"):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((2, 6, 6, 1)))
    with rejects("got shape (2, 64)"):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((2, 64)))
    with rejects("width must be in (0"):
        jax.eval_shape(models.ConvNet(width=0.0).init, jax.random.key(0), jnp.zeros((2, 8, 8, 1)))


def test_perceptron_is_its_layers():
    net = models.MLP(hidden=(5, 4), outputs=3, activation=jnp.tanh)
    x = np.random.default_rng(0).normal(size=(6, 2, 2)).astype(np.float32)
    tree = net.init(jax.random.key(0), x)
    layers = [jax.tree.map(np.asarray, tree["params"][f"Dense_{i}"]) for i in range(3)]
    assert [layer["kernel"].shape for layer in layers] == [(4, 5), (5, 4), (4, 3)]
    found = x.reshape(6, 4)
    for layer in layers[:-1]:
        found = np.tanh(found @ layer["kernel"] + layer["bias"])
    found = found @ layers[-1]["kernel"] + layers[-1]["bias"]
    np.testing.assert_allclose(net.apply(tree, x), found, atol=1e-5)


def test_perceptron_without_hidden_layers_is_linear():
    net = models.MLP(hidden=(), outputs=2)
    x = jnp.ones((3, 4), jnp.float32)
    params = net.init(jax.random.key(0), x)
    doubled = net.apply(params, 2 * x) - net.apply(params, 0 * x)
    np.testing.assert_allclose(
        doubled, 2 * (net.apply(params, x) - net.apply(params, 0 * x)), rtol=1e-5
    )


def test_short_inputs_and_integers_are_read_in_float32(digits_net):
    params = digits_net.initialise(jax.random.key(0))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 2, (2, 8, 8, 1)), jnp.uint8)
    expected = digits_net.apply(params, images.astype(jnp.float32))
    with jax.numpy_dtype_promotion("strict"):
        for dtype in (jnp.uint8, jnp.bfloat16):
            found = digits_net.apply(params, images.astype(dtype))
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_inputs_have_entries(rejects):
    with rejects("shape must be at least 1; got 0."):
        models.flatten(models.MLP((2,), 2), (0,))
