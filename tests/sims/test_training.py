"""Mini-batch training: against a loop in numpy with the rules written out, and its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from twolayer.sims.components import training

N, D, BATCH, EPOCHS, RATE = 11, 3, 4, 30, 0.02


def loss(params, x, y):
    return jnp.mean((x @ params - y) ** 2) / 2


def task():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)), rng.normal(size=N)


def fit(key, x, y, rate=RATE, epochs=EPOCHS, loss=loss):
    return jax.jit(
        lambda key, rate: training.train(
            key,
            jnp.zeros(D),
            loss,
            jnp.asarray(x),
            jnp.asarray(y),
            optimizer=training.momentum(rate),
            batch=BATCH,
            epochs=epochs,
            on_plateau=True,
            score=lambda params: params,
        )
    )(key, rate)


def in_numpy(key, x, y, gradient, value, rate=RATE):
    """Nesterov's momentum with weight decay and the plateau rule, as loops."""
    params, velocity = np.zeros(D), np.zeros(D)
    best, bad, losses, rates, seen = np.inf, 0, [], [], []
    for epoch_key in jax.random.split(key, EPOCHS):
        order = np.asarray(jax.random.permutation(epoch_key, N))
        values = []
        for start in range(0, N - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            values.append(value(params, x[rows], y[rows]))
            g = gradient(params, x[rows], y[rows]) + 5e-4 * params
            velocity = 0.9 * velocity + g
            params = params - rate * (g + 0.9 * velocity)
        losses.append(np.mean(values))
        rates.append(rate)
        seen.append(params)
        better = losses[-1] < best * (1 - 1e-4)
        best, bad = (losses[-1], 0) if better else (best, bad + 1)
        if bad > 10:
            rate, bad = rate * 0.1, 0
    return params, losses, rates, seen


def test_is_the_loop_over_epochs_and_batches():
    x, y = task()
    key = jax.random.key(3)
    found = fit(key, x, y)
    params, losses, rates, seen = in_numpy(
        key,
        x,
        y,
        gradient=lambda p, x, y: x.T @ (x @ p - y) / len(y),
        value=lambda p, x, y: np.mean((x @ p - y) ** 2) / 2,
    )
    np.testing.assert_allclose(found.params, params, rtol=1e-10)
    np.testing.assert_allclose(found.loss, losses, rtol=1e-10)
    np.testing.assert_allclose(RATE * found.scale, rates, rtol=1e-6)
    np.testing.assert_allclose(found.scores, seen, rtol=1e-10)


def test_the_rate_falls_after_eleven_epochs_without_progress():
    x, y = task()
    found = fit(jax.random.key(0), x, y, loss=lambda params, x, y: 1.0 + 0 * jnp.sum(params))
    # The first epoch sets the best value, and the eleventh after it is one too many.
    expected = [RATE] * 12 + [RATE / 10] * 11 + [RATE / 100] * 7
    np.testing.assert_allclose(RATE * found.scale, expected, rtol=1e-6)


def test_every_epoch_is_another_shuffle_of_all_but_the_rest():
    x = np.arange(N * D, dtype=float).reshape(N, D)
    found = fit(
        jax.random.key(1), x, np.arange(N), rate=0.0, epochs=6, loss=lambda p, x, y: jnp.mean(y)
    )
    # The mean label of eight of eleven samples: not always the same, and never far off.
    assert len(np.unique(np.round(found.loss, 9))) > 1
    assert np.all((found.loss >= 3.5) & (found.loss <= 6.5))


def test_batches_are_prepared_by_their_step():
    x, y = task()

    def prepare(step, x, y):
        return x, jnp.full_like(y, step)

    found = jax.jit(
        lambda key: training.train(
            key,
            jnp.zeros(D),
            lambda params, x, y: jnp.mean(y) + 0 * jnp.sum(params),
            jnp.asarray(x),
            jnp.asarray(y),
            optimizer=optax.adam(0.1),
            batch=BATCH,
            epochs=3,
            score=jnp.sum,
            prepare=prepare,
        )
    )(jax.random.key(0))
    # Two batches an epoch: steps 0 and 1, 2 and 3, 4 and 5.
    np.testing.assert_allclose(found.loss, [0.5, 2.5, 4.5])
    np.testing.assert_array_equal(found.scale, 1.0)


def test_in_batches_is_the_function_of_all():
    x, y = (jnp.asarray(array) for array in task())
    for size in (1, 4, N, 100):
        doubled, sums = training.in_batches(lambda x, y: (2 * x, x[:, 0] + y), size, x, y)
        np.testing.assert_array_equal(doubled, 2 * x)
        np.testing.assert_array_equal(sums, x[:, 0] + y)


def test_arguments_are_checked(rejects):
    x, y = task()
    with rejects("at least a batch of 4; got shapes (3, 3) and (3,)"):
        fit(jax.random.key(0), x[:3], y[:3])
    with rejects("the same number of samples"):
        fit(jax.random.key(0), x, y[:-1])
    with rejects("epochs must be at least 1; got 0"):
        fit(jax.random.key(0), x, y, epochs=0)
    with rejects("size must be at least 1; got 0"):
        training.in_batches(lambda x: x, 0, x)


def test_batches_are_of_rows_that_there_are(rejects):
    for arrays in ((), (jnp.ones((0, 2)),), (jnp.ones((4, 2)), jnp.ones(3)), (jnp.ones(()),)):
        with rejects("arrays must hold the same number of rows, at least one; got shapes ["):
            training.in_batches(lambda *parts: parts, 2, *arrays)


def test_rates_are_not_negative(rejects):
    with rejects("rate must be in [0, inf); got -0.1."):
        training.momentum(-0.1)


def test_trains_arrays_of_numpy_and_dtypes_that_differ():
    """A rate as NumPy's float64, parameters in float32 or bfloat16, under strict promotion."""
    x, y = task()
    key = jax.random.key(3)
    expected = fit(key, x, y).loss
    for dtype, off in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.05)):
        with jax.numpy_dtype_promotion("strict"):
            found = training.train(
                key,
                jnp.zeros(D, dtype),
                loss,
                x.astype(dtype),
                y.astype(dtype),
                optimizer=training.momentum(np.float64(RATE)),
                batch=BATCH,
                epochs=EPOCHS,
                on_plateau=True,
                score=lambda params: params,
            )
        assert found.params.dtype == dtype and found.loss.dtype == jnp.float32
        np.testing.assert_allclose(found.loss, expected, rtol=off)
