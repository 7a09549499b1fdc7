import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from twolayer.theory import networks
from twolayer.theory.kernels import activations
from twolayer.theory.networks import TwoLayer
from twolayer.theory.training import dual, function_space, gradient_descent

N, D, M, STEPS = 12, 8, 10, 200
# name: (activation, value and derivative for the loop below)
ACTIVATIONS = {
    "leaky": (
        0.3,
        lambda s: np.where(s >= 0, s, 0.3 * s),
        lambda s: np.where(s >= 0, 1.0, 0.3),
    ),
    "erf": (
        activations.erf(),
        special.erf,
        lambda s: 2 / np.sqrt(np.pi) * np.exp(-(s**2)),
    ),
    "tanh": (activations.tanh(), np.tanh, lambda s: 1 / np.cosh(s) ** 2),
}
# name: loss, rate, plateau rule (None, torch's, or the sane one), number of times the rate falls
CASES = {
    "identity": ("identity", 0.1, None, 0),
    "logistic": ("logistic", 0.5, None, 0),
    "identity, torch's plateau": ("identity", 1e-6, "torch", 0),
    "identity, sane plateau": ("identity", 1e-6, "sane", 2),
    "logistic, torch's plateau": ("logistic", 3e-6, "torch", 3),
    "logistic, sane plateau": ("logistic", 3e-6, "sane", 3),
    "logistic, overshooting": ("logistic", 600.0, "torch", 11),
}
every_case = pytest.mark.parametrize("case", CASES)


@functools.cache
def problem(n=N, d=D, dtype=jnp.float64):
    """A start whose mean loss is negative, so that torch's plateau rule shows its quirk."""
    key_p, key_x, key_y = jax.random.split(jax.random.key(3), 3)
    p = networks.init_two_layer(key_p, d, M, dtype)
    x = jax.random.normal(key_x, (n, d), dtype)
    y = jax.random.rademacher(key_y, (n,), dtype)
    y = y * jnp.sign(jnp.sum(y * networks.forward(p, x, 0.3)))
    return p, x, y


@functools.cache
def trainer(**static):
    """Training as a compiled function of (p, x, y, lr, beta)."""
    options = dict(loss="identity", steps=STEPS, gamma=0.3) | static
    return jax.jit(
        lambda p, x, y, lr, beta: gradient_descent.train(p, x, y, lr=lr, beta=beta, **options)
    )


def train(case, coordinates, activation="leaky"):
    loss, lr, plateau, _ = CASES[case]
    run = trainer(
        loss=loss,
        gamma=ACTIVATIONS[activation][0],
        coordinates=coordinates,
        scheduler=None if plateau is None else "plateau",
        torch_plateau=plateau != "sane",
    )
    return run(*problem(), lr, 0.9)


@functools.cache
def by_hand(case, activation="leaky"):
    """The same run as a plain loop: gradients of the mean loss, momentum, reduce on plateau."""
    loss, lr, plateau, _ = CASES[case]
    _, value, derivative = ACTIVATIONS[activation]
    p, x, y = problem()
    w, b, a, x, y = map(np.asarray, (p.w, p.b, p.a, x, y))
    velocity_w, velocity_b = np.zeros_like(w), np.zeros_like(b)
    best, bad = np.inf, 0
    rates, losses, factors, gates = [], [], [], []
    for _ in range(STEPS):
        pre = x @ w.T + b
        output = value(pre) @ a
        if loss == "identity":
            losses.append(np.mean(-y * output))
            factor = np.ones(N)
        else:
            losses.append(np.mean(np.logaddexp(0, -y * output)))
            factor = special.expit(-y * output)
        slope = -(y * factor / N)[:, None] * derivative(pre) * a
        velocity_w = 0.9 * velocity_w + slope.T @ x
        velocity_b = 0.9 * velocity_b + slope.sum(axis=0)
        w, b = w - lr * velocity_w, b - lr * velocity_b
        rates.append(lr)
        factors.append(factor)
        gates.append(derivative(pre).T)
        if plateau is not None:
            margin = best if plateau == "torch" else abs(best)
            if np.isinf(best) or losses[-1] < best - 1e-4 * margin:
                best, bad = losses[-1], 0
            else:
                bad += 1
            if bad > 10:
                lower = max(0.1 * lr, 0.0)
                lr = lower if lr - lower > 1e-8 else lr
                bad = 0
    rates, factors, gates = np.array(rates), np.array(factors), np.array(gates)
    weights = np.array(
        [sum(rates[step] * 0.9 ** (step - j) for step in range(j, STEPS)) for j in range(STEPS)]
    )
    return SimpleNamespace(
        p=TwoLayer(*map(jnp.asarray, (w, b, a))),
        rates=rates,
        losses=np.array(losses),
        weights=weights,
        loss_factors=weights @ factors,
        gate_average=np.einsum("s,sk,sik->ik", weights, factors, gates),
    )


def assert_same(first, second, rtol=1e-12):
    """Equal trees, to a share of each leaf's largest entry."""
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        scale = np.max(np.abs(other), initial=1e-300)
        np.testing.assert_allclose(one, other, rtol=0, atol=rtol * scale)


def assert_same_run(run, expected):
    p, trace = run
    assert_same(p, expected.p)
    for name in ("rates", "losses", "weights", "loss_factors", "gate_average"):
        assert_same(getattr(trace, name), getattr(expected, name))


@every_case
def test_both_coordinates_are_the_plain_loop(case):
    expected = by_hand(case)
    assert np.sum(np.diff(expected.rates) < 0) == CASES[case][3]
    for coordinates in ("weights", "gram"):
        assert_same_run(train(case, coordinates), expected)


@pytest.mark.parametrize("case", ["identity", "logistic"])
@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_smooth_activations_are_the_plain_loop(case, activation):
    for coordinates in ("weights", "gram"):
        assert_same_run(train(case, coordinates, activation), by_hand(case, activation))


@pytest.mark.parametrize("loss", ["identity", "logistic"])
def test_one_step_descends_along_the_gradient_of_the_mean_loss(loss):
    p, x, y = problem()

    def mean_loss(w, b):
        margin = y * networks.forward(TwoLayer(w=w, b=b, a=p.a), x, 0.3)
        return jnp.mean(-margin if loss == "identity" else jnp.log1p(jnp.exp(-margin)))

    slope_w, slope_b = jax.grad(mean_loss, argnums=(0, 1))(p.w, p.b)
    moved, trace = trainer(loss=loss, steps=1, coordinates="weights")(p, x, y, 0.7, 0.0)
    assert_same(moved, TwoLayer(w=p.w - 0.7 * slope_w, b=p.b - 0.7 * slope_b, a=p.a), 1e-14)
    np.testing.assert_allclose(trace.losses, [mean_loss(p.w, p.b)], rtol=1e-14)


def test_no_steps_and_no_rate_leave_the_network():
    p, x, y = problem()
    unmoved, trace = trainer(steps=0)(p, x, y, 0.1, 0.9)
    assert_same(unmoved, p, 0)
    assert trace.rates.shape == trace.losses.shape == trace.weights.shape == (0,)
    assert not trace.loss_factors.any() and not trace.gate_average.any()
    assert_same(trainer(coordinates="weights")(p, x, y, 0.0, 0.9)[0], p, 0)


def test_dual_form_needs_products_alone():
    p0, x, y = problem()
    p, trace = train("logistic, torch's plateau", "gram")
    coef, dual_trace = dual.train_dual(
        networks.preactivations(p0, x).T,
        gradient_descent.gram_matrix(x),
        y,
        p0.a,
        loss="logistic",
        lr=3e-6,
        steps=STEPS,
        gamma=0.3,
        scheduler="plateau",
    )
    assert coef.shape == (N, M)
    assert_same(dual_trace, trace)
    assert_same(dual.dual_weights(p0, coef, x), p)
    z = jax.random.normal(jax.random.key(9), (5, D))
    assert_same(dual.apply_dual(p0, coef, x, z), networks.preactivations(p, z).T)
    # Step by step, coefficients are signed gate averages: the trace gives the weights back.
    signed = trace.gate_average.T * y[:, None] / N
    assert_same(coef, signed)
    np.testing.assert_allclose(
        gradient_descent.gram_matrix(x),
        np.hstack([x, np.ones((N, 1))]) @ np.vstack([x.T, np.ones(N)]),
    )


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_snapshots_are_prefixes_of_one_run_and_one_compile(coordinates):
    p, x, y = problem()
    traces = []

    @jax.jit
    def along(at):
        traces.append(at)
        return gradient_descent.snapshots(
            p, x, y, loss="logistic", lr=0.5, at=at, gamma=0.3, scheduler="plateau",
            coordinates=coordinates,
        )  # fmt: skip

    for at in ([0, 1, 1, 30], [2, 50, 199, 200]):
        found = along(jnp.array(at))
        for index, steps in enumerate(at):
            run = trainer(
                loss="logistic", scheduler="plateau", coordinates=coordinates, steps=steps
            )
            expected, _ = run(p, x, y, 0.5, 0.9)
            assert_same(jax.tree.map(lambda leaf, index=index: leaf[index], found), expected)
    assert len(traces) == 1


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_blocks_of_neurons_are_the_whole(coordinates):
    whole = train("identity", coordinates)
    blocks = trainer(coordinates=coordinates, neuron_block=5)(*problem(), 0.1, 0.9)
    assert_same(blocks, whole)


def test_auto_takes_the_gram_form_below_two_samples_a_dimension():
    """A zero Gram matrix freezes the outputs of the Gram form, and is not read by the other."""
    for n, expected in ((2 * D - 1, "gram"), (2 * D, "weights")):
        assert gradient_descent.cheaper_coordinates(n, D) == expected
        run = functools.partial(
            gradient_descent.train, *problem(n), loss="identity", gamma=0.3, lr=0.5
        )
        _, trace = run(steps=20, gram=jnp.zeros((n, n)))
        assert np.all(trace.losses == trace.losses[0]) == (expected == "gram")


def test_given_gram_matrix_is_the_own_one():
    p, x, y = problem()
    run = functools.partial(
        gradient_descent.train, p, x, y, loss="identity", lr=0.1, steps=20, gamma=0.3
    )
    assert_same(run(gram=gradient_descent.gram_matrix(x)), run(), 0)


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_float32_stays_and_is_close(coordinates):
    p, x, y = problem(dtype=jnp.float32)
    run = trainer(loss="logistic", scheduler="plateau", coordinates=coordinates)
    single = run(p, x, y, 0.5, 0.9)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(single))
    exact = run(*jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (p, x, y)), 0.5, 0.9)
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(exact))
    assert_same(single[0], exact[0], 1e-4)


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_a_short_network_is_trained_in_float32_and_rounded_at_the_end(coordinates):
    given = problem(dtype=jnp.bfloat16)
    run = trainer(loss="logistic", scheduler="plateau", coordinates=coordinates)
    p, trace = run(*given, 0.5, 0.9)
    exact, wanted = run(*jax.tree.map(lambda leaf: leaf.astype(jnp.float32), given), 0.5, 0.9)
    assert_same(trace, wanted, 0)
    for found, long in zip(jax.tree.leaves(p), jax.tree.leaves(exact), strict=True):
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found, long.astype(jnp.bfloat16))


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_short_products_stay_close(coordinates):
    """bfloat16 factors, float32 sums: outputs within 2e-3 of their scale, and their signs."""
    key_p, key_x = jax.random.split(jax.random.key(4))
    y = jnp.where(jnp.arange(64) < 32, 1.0, -1.0).astype(jnp.float32)
    x = jax.random.normal(key_x, (64, 64), jnp.float32) + 0.3 * y[:, None]
    p = networks.init_two_layer(key_p, 64, 64, jnp.float32)
    exact, short = (
        trainer(loss="logistic", steps=100, coordinates=coordinates, products=products)(
            p, x, y, 1.0, 0.9
        )[0]
        for products in (None, jnp.bfloat16)
    )
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(short))
    outputs = networks.forward(exact, x, 0.3)
    error = np.abs(networks.forward(short, x, 0.3) - outputs)
    assert 0 < np.max(error) < 2e-3 * np.max(np.abs(outputs))
    np.testing.assert_array_equal(np.sign(networks.forward(short, x, 0.3)), np.sign(outputs))


def test_effective_time_is_the_sum_of_the_weights():
    _, trace = train("identity", "gram")
    np.testing.assert_allclose(trace.loss_factors, function_space.effective_time(0.1, 0.9, STEPS))


GOOD = dict(loss="identity", lr=0.1, steps=3, gamma=0.3)
WRONG = {
    "loss": (dict(loss="hinge"), "loss must be one of identity, logistic; got 'hinge'."),
    "lr": (dict(lr=-0.1), "lr must be in [0, inf); got -0.1."),
    "lr shape": (dict(lr=np.ones(3)), "lr must be a scalar (batch by jax.vmap); got shape (3,)."),
    "beta": (dict(beta=1.0), "beta must be in [0, 1); got 1.0."),
    "beta shape": (
        dict(beta=np.zeros(1)),
        "beta must be a scalar (batch by jax.vmap); got shape (1,).",
    ),
    "steps": (dict(steps=-1), "steps must be at least 0; got -1."),
    "fraction": (dict(steps=1.5), "steps must be an integer; got 1.5."),
    "gamma": (dict(gamma=np.nan), "gamma must be in (-inf, inf); got nan."),
    "scheduler": (dict(scheduler="cosine"), "scheduler must be None or 'plateau'; got 'cosine'."),
    "coordinates": (dict(coordinates="dual"), "coordinates must be one of auto, weights, gram"),
    "gram": (dict(gram=np.eye(3)), "gram must have 12 rows; got shape (3, 3)."),
    "block": (dict(neuron_block=4), "neuron_block must divide the width 10; got 4."),
    "block of none": (dict(neuron_block=0), "neuron_block must be at least 1; got 0."),
    "block and logistic loss": (
        dict(neuron_block=5, loss="logistic"),
        "neuron_block needs loss='identity' and scheduler=None.",
    ),
    "block and plateau": (dict(neuron_block=5, scheduler="plateau"), "neuron_block needs loss"),
}


@pytest.mark.parametrize("case", WRONG)
def test_messages(case, rejects):
    change, words = WRONG[case]
    with rejects(words):
        gradient_descent.train(*problem(), **(GOOD | change))


def test_messages_about_data(rejects):
    p, x, y = problem()
    with rejects("x must have 8 columns; got shape (12, 7)."):
        gradient_descent.train(p, x[:, :7], y, **GOOD)
    with rejects("y must have length 12; got 11."):
        gradient_descent.train(p, x, y[:11], **GOOD)
    with rejects("y must hold only -1 and +1; got [0.0, 2.0]."):
        gradient_descent.train(p, x, y.at[0].set(0.0).at[1].set(2.0), **GOOD)
    with rejects("x must be finite"):
        gradient_descent.train(p, x.at[0, 0].set(jnp.nan), y, **GOOD)


def test_messages_about_snapshots_and_dual_form(rejects):
    p, x, y = problem()
    along = functools.partial(
        gradient_descent.snapshots, p, x, y, loss="identity", lr=0.1, gamma=0.3
    )
    with rejects("at must be ascending and non-negative; got [3, 2]."):
        along(at=[3, 2])
    with rejects("at must be ascending and non-negative; got [-1, 2]."):
        along(at=[-1, 2])
    with rejects("at must be integers of shape (any); got dtype float64, shape (1,)."):
        along(at=[1.5])
    with rejects("at must be integers of shape (any); got dtype int"):
        along(at=5)
    pre, gram = networks.preactivations(p, x).T, gradient_descent.gram_matrix(x)
    with rejects("gram must have 12 rows; got shape (11, 12)."):
        dual.train_dual(pre, gram[1:], y, p.a, **GOOD)
    with rejects("a must have length 10; got 9."):
        dual.train_dual(pre, gram, y, p.a[1:], **GOOD)
    with rejects("coef must have 10 columns; got shape (12, 9)."):
        dual.apply_dual(p, jnp.zeros((N, 9)), x, x)
    with rejects("coef must have 12 rows; got shape (10, 12)."):
        dual.dual_weights(p, jnp.zeros((M, N)), x)


@pytest.mark.parametrize("coordinates", ["weights", "gram"])
def test_network_and_samples_of_two_dtypes_are_trained_in_the_wider(coordinates):
    given = {"loss": "logistic", "lr": 0.1, "steps": 2, "gamma": 0.1, "coordinates": coordinates}
    p = networks.init_two_layer(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (4, 3), jnp.float32)
    y = jnp.array([1.0, -1.0, 1.0, -1.0])
    short = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), p)
    for network, samples in ((p, x), (short, x.astype(jnp.float64))):
        found = gradient_descent.train(network, samples, y, **given)
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (network, samples))
        exact = gradient_descent.train(*wide, y, **given)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("scheduler", [None, "plateau"])
def test_nothing_in_a_run_is_infinite(scheduler):
    """As whoever looks for faults by ``jax_debug_infs`` must find none."""
    p = networks.init_two_layer(jax.random.key(0), 3, 4)
    x, y = jax.random.normal(jax.random.key(1), (5, 3)), jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])
    given = dict(loss="logistic", lr=0.1, gamma=0.0, scheduler=scheduler)
    with jax.debug_infs(True):
        _, trace = gradient_descent.train(p, x, y, steps=3, coordinates="weights", **given)
        gradient_descent.snapshots(p, x, y, at=jnp.array([1, 3]), **given)
        pre = networks.preactivations(p, x).T
        dual.train_dual(pre, gradient_descent.gram_matrix(x), y, p.a, steps=3, **given)
    assert jnp.all(jnp.isfinite(trace.losses))
