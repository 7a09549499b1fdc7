import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import conditions, data, multipliers
from twolayer.theory.perturbation.orthogonal import flow as orthogonal_flow
from twolayer.theory.perturbation.orthogonal import limit as orthogonal

N, D, M, GAMMA, ETA = 6, 30, 20, 0.5, 0.2
Y = jnp.array([1.0, 1.0, -1.0, 1.0, -1.0, -1.0])


@functools.cache
def instance(rho=0.002):
    """Samples with any two at cosine +-rho, and a start uniform in +-0.1/sqrt(d)."""
    draw = jax.jit(data.near_orthogonal, static_argnums=(1, 2))
    x = draw(jax.random.key(1), N, D, rho)
    w0 = jax.random.uniform(jax.random.key(2), (M, D), minval=-1.0) * 0.1 / D**0.5
    return x, w0


@functools.partial(jax.jit, static_argnames="loss")
def to_the_limit(x, w0, y, gamma, loss="exponential"):
    """What the flow shows at s = 100, 200, 300 and 400, a row for each data set and start."""
    return jax.vmap(lambda x, w0: _to_the_limit(x, w0, y, gamma, loss))(x, w0)


def _to_the_limit(x, w0, y, gamma, loss):
    gram, a = x @ x.T, orthogonal.output_weights(M)
    lam = multipliers.solve_multipliers(gram, y, gamma)
    limit = jnp.repeat(jnp.stack(orthogonal.limit_coefficients(y, lam, gamma)), M // 2, axis=0)

    def leg(state, _):
        # Legs of s = 100 are chained: a flow goes on from the pre-activations of the one before.
        h, coef = state
        flow = orthogonal_flow.normalized_flow(h, gram, y, a, gamma, ETA, 500, loss=loss)
        coef = coef + flow.coef
        force = orthogonal_flow.descent_coefficients(flow.h, y, a, gamma, loss=loss)
        weights = w0 + coef @ x
        return (flow.h, coef), {
            "weight_angle": geometry.row_sines(weights.reshape(1, -1), (limit @ x).reshape(1, -1))[
                0
            ],
            "gradient_angle": orthogonal_flow.gram_angle(force, limit, gram),
            "weights_error": jnp.max(jnp.abs(flow.weights - lam / jnp.sum(lam))),
            "margins": y * (a @ (flow.h * orthogonal.gates(flow.h, gamma))),
            "h_error": jnp.max(jnp.abs(weights @ x.T - flow.h)),
        }

    _, legs = jax.lax.scan(leg, (w0 @ x.T, jnp.zeros_like(limit)), length=4)
    return legs, jnp.sum(lam), conditions.certificate(gram, y, lam, gamma).holds


@pytest.mark.parametrize("loss", orthogonal_flow.LOSSES)
def test_weights_approach_the_limit_like_1_over_s_and_gradients_exponentially(loss):
    x, w0 = instance()
    starts = jnp.stack([w0, 10 * w0])
    legs, total, _ = to_the_limit(jnp.stack([x, x]), starts, Y, GAMMA, loss)
    # A rate, and not a small angle: the constant depends on the start (here it is tenfold).
    scaled = np.asarray(legs["weight_angle"]) * np.array([[100.0, 200.0, 300.0, 400.0]])
    np.testing.assert_allclose(scaled[:, 2], scaled[:, 0], rtol=5e-3)
    assert scaled[1, 2] / scaled[0, 2] == pytest.approx(10, rel=0.1)
    assert np.all(legs["gradient_angle"][:, 2] < 1e-10)
    assert np.all(legs["weights_error"][:, 2] < 1e-10)
    # Every margin grows at the rate 1 / sum(lambda): its slope, since the offset fades like 1/s.
    slope = (legs["margins"][:, 3] - legs["margins"][:, 2]) / 100
    np.testing.assert_allclose(slope, np.broadcast_to(1 / total[:, None], slope.shape), rtol=1e-9)
    np.testing.assert_allclose(legs["h_error"], 0, atol=1e-11)


def test_flows_on_perturbed_samples_converge_exactly_where_the_certificate_holds():
    """[measured] flipped labels, eps = tau R / sqrt N, slope 1/2: |tau - 1| > 0.577."""
    x, w0 = instance(0.0)
    y = data.balanced_labels(N)
    tau = jnp.array([0.3, 0.9, 1.2, 1.5, 1.58, 2.0, 3.0])
    towards = (y @ x) / N  # R / sqrt N times the unit normal
    perturbed = x[None] - tau[:, None, None] * y[None, :, None] * towards[None, None, :]
    starts = jnp.broadcast_to(w0, (7, *w0.shape))
    legs, _, certified = to_the_limit(perturbed, starts, -y, GAMMA, "exponential")
    converged = np.asarray(legs["gradient_angle"][:, 3] < 1e-10)
    np.testing.assert_array_equal(converged, [True, False, False, False, True, True, True])
    np.testing.assert_array_equal(converged, certified)
    assert np.all(legs["gradient_angle"][~converged, 3] > 0.05)


@functools.partial(jax.jit, static_argnames=("steps", "loss"))
def dual(h0, gram, y, a, gamma, eta, steps, loss="exponential"):
    return orthogonal_flow.normalized_flow(h0, gram, y, a, gamma, eta, steps, loss=loss)


@pytest.mark.parametrize("loss", orthogonal_flow.LOSSES)
def test_weights_and_gram_coordinates_agree(loss):
    """Against descent on log of the summed loss by automatic differentiation."""
    x, w0 = instance()
    a = orthogonal.output_weights(M)

    def log_loss(w):
        margins = Y * (a @ jax.nn.leaky_relu(w @ x.T, GAMMA))
        if loss == "exponential":
            return jax.scipy.special.logsumexp(-margins)
        return jnp.log(jnp.sum(jnp.log1p(jnp.exp(-margins))))

    def step(w, _):
        gradient = jax.grad(log_loss)(w)
        if loss == "logistic":  # divided by the sum of -l', not by L
            margins = Y * (a @ jax.nn.leaky_relu(w @ x.T, GAMMA))
            total = jnp.sum(jnp.log1p(jnp.exp(-margins)))
            gradient = gradient * total / jnp.sum(jax.nn.sigmoid(-margins))
        return w - ETA * gradient, None

    w = jax.jit(lambda w: jax.lax.scan(step, w, length=500)[0])(10 * w0)
    flow = dual(10 * w0 @ x.T, x @ x.T, Y, a, GAMMA, ETA, 500, loss)
    np.testing.assert_allclose(10 * w0 + flow.coef @ x, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(flow.h, w @ x.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(jnp.sum(flow.weights), 1, rtol=1e-14)


def test_equal_rows_are_a_network_of_width_two():
    x, w0 = instance()
    pair = (w0[:2] @ x.T).at[1].multiply(-1)
    many = dual(jnp.repeat(pair, M // 2, axis=0), x @ x.T, Y, orthogonal.output_weights(M),
                GAMMA, ETA, 300)  # fmt: skip
    scale = (M / 2) ** 0.5
    two = dual(scale * pair, x @ x.T, Y, orthogonal.output_weights(2), GAMMA, ETA, 300)
    np.testing.assert_allclose(many.h[:: M // 2], two.h / scale, rtol=0, atol=1e-13)
    np.testing.assert_allclose(many.h[: M // 2], jnp.broadcast_to(many.h[:1], (M // 2, N)))
    np.testing.assert_allclose(many.weights, two.weights, rtol=1e-12)


@pytest.mark.parametrize("loss", orthogonal_flow.LOSSES)
def test_locked_phase_is_the_flow_once_the_pattern_holds(loss):
    x, w0 = instance(0.05)
    gram, a = x @ x.T, orthogonal.output_weights(M)
    locked = dual(w0 @ x.T, gram, Y, a, GAMMA, ETA, 500, loss).h
    assert np.all(np.sign(locked) == np.sign(np.outer(a, Y)))
    rest = dual(locked, gram, Y, a, GAMMA, ETA, 500, loss)
    q0 = Y * (a @ (locked * orthogonal.gates(locked, GAMMA)))
    matrix = multipliers.margin_matrix(gram, Y, GAMMA)
    beta, weights = jax.jit(functools.partial(orthogonal_flow.locked_flow, steps=500, loss=loss))(
        q0, matrix, ETA
    )
    np.testing.assert_allclose(weights, rest.weights, rtol=1e-11)
    np.testing.assert_allclose(jnp.sum(beta), 500 * ETA, rtol=1e-13)
    rows = orthogonal.limit_coefficients(jnp.asarray(Y), beta, GAMMA)
    np.testing.assert_allclose(rest.coef[0], rows[0] / M**0.5, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rest.coef[-1], rows[1] / M**0.5, rtol=0, atol=1e-12)


def test_large_margins_do_not_underflow():
    x, w0 = instance()
    h = 1e5 * jnp.asarray(np.outer(np.sign(orthogonal.output_weights(M)), Y))
    for loss in orthogonal_flow.LOSSES:
        flow = dual(h, x @ x.T, Y, orthogonal.output_weights(M), GAMMA, ETA, 0, loss)
        assert abs(jnp.sum(flow.weights) - 1) < 1e-14
        np.testing.assert_array_equal(flow.h, h)
        np.testing.assert_array_equal(flow.coef, 0 * h)


def test_steps_are_stable_up_to_four():
    """[derived] orthogonal samples of one norm: in units of N / ((1 + gamma^2) R^2)."""
    x, w0 = instance(0.0)
    unit = N / (1 + GAMMA**2)
    runs = jax.jit(
        jax.vmap(
            lambda eta: (
                orthogonal_flow.normalized_flow(
                    w0 @ x.T, x @ x.T, Y, orthogonal.output_weights(M), GAMMA, eta, 1500
                ).weights
            )
        )
    )(unit * jnp.array([1.0, 3.9, 4.2]))
    error = np.max(np.abs(np.asarray(runs) - 1 / N), axis=1)
    assert error[0] < 1e-12 and error[1] < 1e-8 and error[2] > 1e-3


def test_start_and_samples_of_two_dtypes_meet_in_the_wider():
    x, w0 = instance()
    h0, gram, a = w0 @ x.T, x @ x.T, orthogonal.output_weights(M)
    run = jax.jit(
        lambda h0, gram: orthogonal_flow.normalized_flow(h0, gram, Y, a, GAMMA, np.float64(ETA), 9)
    )
    expected = run(h0, gram)
    for mixed in ((h0.astype(jnp.float32), gram), (h0, gram.astype(jnp.float32))):
        found = run(*mixed)
        assert found.h.dtype == jnp.float64
        np.testing.assert_allclose(found.h, expected.h, rtol=1e-4)


def test_gram_angle():
    gram = jnp.array([[1.0, 0.0], [0.0, 4.0]])
    first, second = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.5]])
    angle = jax.jit(orthogonal_flow.gram_angle)
    np.testing.assert_allclose(angle(first, second, gram), np.pi / 4, rtol=1e-14)
    np.testing.assert_allclose(angle(first, -3 * first, gram), np.pi, rtol=1e-14)
    np.testing.assert_allclose(angle(first, jnp.array([[1.0, 1e-9]]), gram), 2e-9, rtol=1e-12)
    assert jnp.isnan(angle(first, 0 * first, gram))
    for size in (1e200, 1e-200):
        found = angle(size * first, second / size, size * gram)
        np.testing.assert_allclose(found, np.pi / 4, rtol=1e-14)


def test_bad_input_is_named(rejects):
    x, w0 = instance()
    h, gram, a, y = w0 @ x.T, x @ x.T, orthogonal.output_weights(M), jnp.asarray(Y)
    flow = orthogonal_flow.normalized_flow
    cases = {
        "gram must have 6 rows": lambda: flow(h, gram[:5], y, a, GAMMA, ETA, 1),
        "y must have length 6; got 5.": lambda: flow(h, gram, y[:5], a, GAMMA, ETA, 1),
        "a must have length 20; got 19.": lambda: flow(h, gram, y, a[:19], GAMMA, ETA, 1),
        "gamma must be in (0, 1); got 0.0.": lambda: flow(h, gram, y, a, 0.0, ETA, 1),
        "eta must be in (0, inf)": lambda: flow(h, gram, y, a, GAMMA, 0.0, 1),
        "steps must be at least 0; got -1.": lambda: flow(h, gram, y, a, GAMMA, ETA, -1),
        "loss must be one of exponential, logistic; got 'exp'.": lambda: flow(
            h, gram, y, a, GAMMA, ETA, 1, loss="exp"
        ),
        "matrix must have 6 rows": lambda: orthogonal_flow.locked_flow(y, gram[:5], ETA, 1),
        "second must have 20 rows": lambda: orthogonal_flow.gram_angle(h, h[:3], gram),
    }
    for words, call in cases.items():
        with rejects(words):
            call()
