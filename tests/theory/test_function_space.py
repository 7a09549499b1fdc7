import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, linalg, special

from twolayer.theory.kernels import shallow
from twolayer.theory.training import function_space

N, K = 20, 3
LOSSES = {"logistic": lambda s: special.expit(-s), "exponential": lambda s: np.exp(-s)}
every_loss = pytest.mark.parametrize("loss", LOSSES)

effective_weights = jax.jit(function_space.effective_weights, static_argnums=2)
decompose = jax.jit(function_space.decompose)
squared_flow = jax.jit(function_space.squared_flow)


@jax.jit
def squared(kernel, kernel_test, y, f0, f0_test, times):
    return squared_flow(decompose(kernel), kernel_test, y, f0, f0_test, times)


@functools.cache
def margin(loss):
    return jax.jit(functools.partial(function_space.margin_flow, loss=loss, rtol=1e-11, atol=1e-12))


@functools.cache
def problem(duplicate=False):
    """Lazy kernels of 20 points in 10 dimensions (two of them equal), labels, initial outputs."""
    key_x, key_z, key_y, key_f, key_t = jax.random.split(jax.random.key(0), 5)
    x, z = jax.random.normal(key_x, (N, 10)), jax.random.normal(key_z, (K, 10))
    y = jax.random.rademacher(key_y, (N,), float)
    if duplicate:
        x, y = x.at[1].set(x[0]), y.at[0].set(1.0).at[1].set(-1.0)
    f0 = jax.random.normal(key_f, (N,))
    f0 = f0.at[1].set(f0[0]) if duplicate else f0
    lazy_kernel = jax.jit(shallow.lazy_kernel)
    return (
        lazy_kernel(x, x, 0.2),
        lazy_kernel(z, x, 0.2),
        y,
        f0,
        jax.random.normal(key_t, (K,)),
    )


def test_effective_time_in_closed_form():
    np.testing.assert_allclose(function_space.effective_time(1.0, 0.9, 1000), 9910, rtol=1e-13)
    assert round(float(function_space.effective_time(0.1, 0.9, 20)), 2) == 12.09
    for lr, beta, steps in ((1.0, 0.0, 7), (0.3, 0.5, 1), (0.02, 0.99, 150)):
        tau = lr / (1 - beta) * (steps - beta * (1 - beta**steps) / (1 - beta))
        np.testing.assert_allclose(function_space.effective_time(lr, beta, steps), tau, rtol=1e-13)
    assert function_space.effective_time(1.0, 0.9, 0) == 0
    assert function_space.effective_weights(1.0, 0.9, 0).shape == (0,)


@given(seed=st.integers(0, 2**31 - 1), beta=st.floats(0, 0.99))
def test_weights_at_changing_rates_are_what_momentum_does(seed, beta):
    """Each unit gradient alone, followed through the recursion."""
    rates = np.random.default_rng(seed).uniform(0, 2, 9)
    weights = effective_weights(jnp.asarray(rates), beta, 9)
    for j in range(9):
        moved = velocity = 0.0
        for step in range(9):
            velocity = beta * velocity + (step == j)
            moved += rates[step] * velocity
        np.testing.assert_allclose(weights[j], moved, rtol=1e-12)


@pytest.mark.parametrize(
    "lr, beta, steps, words",
    [
        (-0.1, 0.9, 3, "lr must be in [0, inf); got -0.1."),
        (0.1, 1.0, 3, "beta must be in [0, 1); got 1.0."),
        (0.1, np.array([0.5]), 3, "beta must be a scalar"),
        (0.1, 0.9, -1, "steps must be at least 0; got -1."),
        (np.ones(2), 0.9, 3, "lr must be a number or have length steps=3; got (2,)."),
        (np.ones((3, 1)), 0.9, 3, "lr must be a number or have length steps=3; got (3, 1)."),
    ],
)
def test_effective_weights_messages(lr, beta, steps, words, rejects):
    with rejects(words):
        function_space.effective_weights(lr, beta, steps)


def test_identity_flow_is_linear_in_time():
    _, kernel_test, y, _, f0_test = problem()
    times = jnp.array([0.0, 0.5, 4.0])
    found = function_space.identity_flow(kernel_test, y, f0_test, times)
    np.testing.assert_array_equal(found[0], f0_test)
    kernel_test, y, f0_test = map(np.asarray, (kernel_test, y, f0_test))
    for row, time in zip(found, np.asarray(times), strict=True):
        by_hand = [
            f0_test[j] + time * sum(y[k] * kernel_test[j, k] for k in range(N)) / N
            for j in range(K)
        ]
        np.testing.assert_allclose(row, by_hand, rtol=1e-13)


def test_squared_flow_by_hand():
    """One point, K = 3, y = 2: f_t = 2 - 2 exp(-3 t)."""
    times = jnp.array([0.0, 0.1, 2.0, np.inf])
    one = jnp.ones(1)
    found = squared(3 * jnp.eye(1), 3 * jnp.eye(1), 2 * one, 0 * one, 0 * one, times)
    np.testing.assert_allclose(found[:, 0], 2 - 2 * np.exp(-3 * np.asarray(times)), rtol=1e-15)


def test_squared_flow_where_the_kernel_is_zero():
    """The residual stays, and what K(z, X) sees of it grows linearly: f_t(z) = 6 t / 1."""
    zero, one = jnp.zeros((1, 1)), jnp.ones(1)
    found = squared(
        zero, 3 * zero + 3, 2 * one, 0 * one, 0 * one, jnp.array([0.0, 0.5, 1e9, np.inf])
    )
    np.testing.assert_allclose(found[:, 0], [0, 3, 6e9, 0], rtol=1e-15)


@pytest.mark.parametrize("duplicate", [False, True])
def test_squared_flow_is_the_matrix_exponential(duplicate):
    """The outputs at X and z obey one linear equation, whose generator is exponentiated."""
    kernel, kernel_test, y, f0, f0_test = problem(duplicate)
    times = jnp.array([0.0, 1e-6, 0.3, 2.0, 40.0])
    train = squared(kernel, kernel, y, f0, f0, times)
    test = squared(kernel, kernel_test, y, f0, f0_test, times)
    generator = np.zeros((N + K, N + K))
    generator[:N, :N], generator[N:, :N] = -kernel / N, -kernel_test / N
    start = np.concatenate([f0 - y, f0_test])
    for index, time in enumerate(times):
        end = linalg.expm(generator * float(time)) @ start
        np.testing.assert_allclose(train[index], end[:N] + y, atol=1e-11)
        np.testing.assert_allclose(test[index], end[N:], atol=1e-11)
    np.testing.assert_array_equal(train[0], f0)
    np.testing.assert_array_equal(test[0], f0_test)


def test_squared_flow_interpolates_at_infinite_time():
    kernel, kernel_test, y, f0, f0_test = problem()
    forever = jnp.array([np.inf])
    np.testing.assert_allclose(squared(kernel, kernel, y, f0, f0, forever)[0], y, atol=1e-10)
    regression = f0_test + kernel_test @ np.linalg.solve(kernel, y - f0)
    test = squared(kernel, kernel_test, y, f0, f0_test, forever)
    np.testing.assert_allclose(test[0], regression, atol=1e-9)


def test_squared_flow_on_equal_points_with_opposite_labels_ends_between_them():
    """The kernel is singular: the pair's mean is learned, their difference stays."""
    kernel, kernel_test, y, f0, f0_test = problem(duplicate=True)
    assert jnp.sum(decompose(kernel).values == 0) == 1
    forever = jnp.array([1e12, np.inf])
    train = squared(kernel, kernel, y, f0, f0, forever)
    wanted = np.asarray(y).copy()
    wanted[:2] = 0.0
    np.testing.assert_allclose(train[1], wanted, atol=1e-9)
    test = squared(kernel, kernel_test, y, f0, f0_test, forever)
    pseudo = f0_test + kernel_test @ np.linalg.pinv(kernel, rcond=1e-12) @ (y - f0)
    np.testing.assert_allclose(test[1], pseudo, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squared_flow_of_a_singular_kernel_stays_at_its_limit(dtype):
    """All points twice: late times show the pseudo-inverse, not rounding times the time."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(20, 5)), rng.normal(size=(3, 5))
    y = rng.choice([-1.0, 1.0], 40)
    kernel, kernel_test = (
        np.asarray(jax.jit(shallow.lazy_kernel)(rows, np.tile(x, (2, 1)), 0.2))
        for rows in (np.tile(x, (2, 1)), z)
    )
    limit = kernel_test @ np.linalg.pinv(kernel, rcond=1e-12) @ y
    times, zero = np.append(10.0 ** np.arange(5, 38), np.inf), np.zeros(40)
    given = (np.asarray(part, dtype) for part in (kernel, kernel_test, y, zero, zero[:3], times))
    room = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(squared(*given), np.tile(limit, (34, 1)), atol=room)


def test_a_decomposition_without_its_kernel_has_the_same_derivatives():
    """With all eigenvalues different, by the kernel and by the spectrum alone."""
    kernel, kernel_test, y, f0, f0_test = problem()
    times, move = jnp.array([3.0]), problem()[1].T @ problem()[1]

    def flow(at, forget):
        spectrum = function_space.decompose(kernel + at * move)
        spectrum = spectrum.replace(kernel=None) if forget else spectrum
        return jnp.sum(function_space.squared_flow(spectrum, kernel_test, y, f0, f0_test, times))

    slope = jax.jit(jax.grad(flow), static_argnums=1)
    np.testing.assert_allclose(slope(0.0, True), slope(0.0, False), rtol=1e-10)
    assert abs(slope(0.0, False)) > 1e-3


def test_decomposition_gives_the_kernel_back():
    kernel = problem()[0]
    spectrum = decompose(kernel)
    np.testing.assert_allclose(
        spectrum.vectors @ jnp.diag(spectrum.values) @ spectrum.vectors.T, kernel, atol=1e-12
    )
    assert jnp.all(decompose(jnp.ones((4, 4))).values[:3] == 0)


def euler(loss, lr, time):
    """Plain gradient descent on the outputs, and the accumulated factors."""
    kernel, _, y, f0, _ = map(np.asarray, problem())
    outputs, factors = f0.copy(), np.zeros(N)
    for _ in range(round(time / lr)):
        slope = lr * LOSSES[loss](y * outputs)
        factors += slope
        outputs = outputs + kernel @ (y * slope) / N
    return outputs, factors


@every_loss
def test_margin_flow_is_the_limit_of_descent(loss):
    """First order: halving the rate halves the error within 5 %."""
    time = 5.0
    flow = margin(loss)(*problem(), jnp.array([0.0, 0.5, time]))
    errors = [
        np.max(np.abs(euler(loss, lr, time)[1] - flow.factors[2])) for lr in (0.02, 0.01, 0.005)
    ]
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.05)
    assert errors[-1] < 0.02


@every_loss
def test_margin_flow_is_the_solution_of_the_equation(loss):
    kernel, kernel_test, y, f0, f0_test = map(np.asarray, problem())
    times = np.array([0.0, 0.5, 5.0])

    def slope(_, factors):
        return LOSSES[loss](y * (f0 + kernel @ (y * factors) / N))

    exact = integrate.solve_ivp(
        slope, (0, 5), np.zeros(N), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13
    ).y.T
    flow = margin(loss)(*problem(), jnp.asarray(times))
    np.testing.assert_allclose(flow.factors, exact, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(flow.train, f0 + exact * y @ kernel.T / N, atol=1e-8)
    np.testing.assert_allclose(flow.test, f0_test + exact * y @ kernel_test.T / N, atol=1e-8)
    np.testing.assert_array_equal(flow.train[0], f0)
    np.testing.assert_array_equal(flow.test[0], f0_test)


def test_exponential_loss_on_one_point_by_hand():
    """f' = exp(-f) from 0: f = log(1 + t)."""
    one = jnp.ones((1, 1))
    times = jnp.array([0.0, 1.0, 10.0, 1000.0])
    flow = margin("exponential")(one, one, one[0], 0 * one[0], 0 * one[0], times)
    np.testing.assert_allclose(flow.test[:, 0], np.log1p(times), atol=1e-9)


def test_only_time_zero_may_be_asked_for():
    kernel, kernel_test, y, f0, f0_test = problem()
    flow = function_space.margin_flow(kernel, kernel_test, y, f0, f0_test, jnp.array([0.0]))
    np.testing.assert_array_equal(flow.train[0], f0)
    np.testing.assert_array_equal(flow.factors, 0)


def test_too_many_steps_is_an_error():
    with pytest.raises(Exception, match="max_steps|maximum number of solver steps"):
        function_space.margin_flow(*problem(), jnp.array([5.0]), max_steps=2)


def test_messages(rejects):
    kernel, kernel_test, y, f0, f0_test = problem()
    times = jnp.array([1.0])
    with rejects("y must hold only -1 and +1"):
        function_space.identity_flow(kernel_test, 2 * y, f0_test, times)
    with rejects("f0_test must have length 3; got 20."):
        function_space.identity_flow(kernel_test, y, f0, times)
    with rejects("times must be in [0, inf)"):
        function_space.identity_flow(kernel_test, y, f0_test, -times)
    with rejects("times must be finite"):
        function_space.identity_flow(kernel_test, y, f0_test, jnp.array([np.inf]))
    with rejects("kernel must be square (N, N); got shape (3, 20)."):
        function_space.decompose(kernel_test)
    for wrong, words in (
        (kernel - 2 * jnp.tril(kernel, -1), "kernel must be symmetric"),
        (kernel - jnp.eye(N), "kernel must be positive semi-definite"),
    ):
        with rejects(words):
            function_space.decompose(wrong)
        with rejects(words.replace("kernel", "kernel_train")):
            function_space.margin_flow(wrong, kernel_test, y, f0, f0_test, times)
    spectrum = decompose(kernel)
    with rejects("kernel_test must have 20 columns; got shape (20, 3)."):
        function_space.squared_flow(spectrum, kernel_test.T, y, f0, f0_test, times)
    with rejects("y must have length 20; got 19."):
        function_space.squared_flow(spectrum, kernel_test, y[1:], f0, f0_test, times)
    for wrong in (-times, jnp.array(1.0), jnp.array([jnp.nan])):
        with rejects("times must be a vector of non-negative times"):
            function_space.squared_flow(spectrum, kernel_test, y, f0, f0_test, wrong)
    with rejects("kernel_train must be square (N, N); got shape (3, 20)."):
        function_space.margin_flow(kernel_test, kernel_test, y, f0, f0_test, times)
    with rejects("times must be ascending."):
        function_space.margin_flow(kernel, kernel_test, y, f0, f0_test, jnp.array([2.0, 1.0]))
    with rejects("loss must be one of logistic, exponential; got 'identity'."):
        function_space.margin_flow(kernel, kernel_test, y, f0, f0_test, times, loss="identity")
    for name, wrong in (("rtol", [1e-3, 1e-4]), ("atol", [1e-3, 1e-4]), ("max_steps", 2.5)):
        with rejects(f"{name} must be a"):
            function_space.margin_flow(kernel, kernel_test, y, f0, f0_test, times, **{name: wrong})


def test_margins_of_two_dtypes_meet_in_the_wider(unannotated):
    """An array of another dtype, and tolerances as NumPy's numbers."""
    kernel = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    given = [kernel, kernel[:1], jnp.array([1.0, -1.0]), jnp.zeros(2), jnp.zeros(1), jnp.ones(1)]
    options = {"rtol": np.float64(1e-6), "atol": np.float64(1e-8)}
    expected = function_space.margin_flow(*given, **options).test
    for longest in (0, 3):
        mixed = [
            array if place == longest else array.astype(jnp.float32)
            for place, array in enumerate(given)
        ]
        found = function_space.margin_flow(*mixed, **options).test
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    # Labels and times, which lists make long, do not decide.
    short = [array.astype(jnp.float32) for array in given]
    short[2], short[5] = np.array([1, -1]), [1.0]
    assert function_space.margin_flow(*short, **options).test.dtype == jnp.float32
