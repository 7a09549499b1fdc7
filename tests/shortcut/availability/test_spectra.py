"""Four points, angular coefficients and clusters: measured values and other solvers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, linalg, optimize

from twolayer.theory.shortcut.availability import flows, four_points, spectra

KERNELS = {
    "linear": dict(kind="linear"),
    "relu": dict(kind="relu"),
    "relu with bias": dict(kind="relu", beta=1.0),
    "two hidden layers": dict(kind="relu", depth=2),
    "three hidden layers": dict(kind="relu", depth=3),
    "erf": dict(kind="erf"),
    "erf with bias": dict(kind="erf", beta=1.0),
}


def kernel(name):
    return functools.partial(flows.ntk, **KERNELS[name])


# Four points -------------------------------------------------------------------------------------

RHO_S, RHO_C = 0.7, 0.9
# alpha_s, kernel: kappa, eigenvalues, lambda_1 t*, and f_- at tau = 1, 10, 100.
MEASURED = [
    (1.2, "linear", 0.180328, (1.662556, 0.777444), None, (0.151539, 0.580313, 0.588235)),
    (1.2, "relu", 0.180328, (1.662556, 0.777444), None, (0.151539, 0.580313, 0.588235)),
    (2, "linear", 0.6, (4.130828, 0.869172), 2.089507, (-0.066229, 0.467487, 0.588235)),
    (
        2,
        "relu with bias",
        0.554199,
        (5.134629, 1.224491),
        1.669093,
        (-0.043057, 0.497252, 0.588235),
    ),
    (
        2,
        "two hidden layers",
        0.461877,
        (5.169333, 1.534892),
        0.935047,
        (0.004520, 0.537992, 0.588235),
    ),
    (2, "erf with bias", 0.414324, (1.203490, 0.394298), 0.587396, (0.029378, 0.551587, 0.588235)),
    (4, "linear", 0.882353, (16.108443, 0.891557), 9.417665, (-0.201071, 0.018643, 0.584325)),
    (
        4,
        "relu with bias",
        0.843326,
        (17.779950, 1.331273),
        6.962458,
        (-0.183313, 0.119377, 0.587680),
    ),
    (
        4,
        "two hidden layers",
        0.761132,
        (20.388677, 2.405689),
        4.357232,
        (-0.144968, 0.283321, 0.588228),
    ),
    (4, "erf with bias", 0.575036, (2.160545, 0.487462), 1.854009, (-0.053638, 0.484642, 0.588235)),
]


@functools.partial(jax.jit, static_argnums=0)
def points(name, alpha, rho_s=RHO_S, rho_c=RHO_C):
    found = four_points.four_point(kernel(name), alpha, rho_s, rho_c)
    signs = jnp.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    return found, kernel(name)(signs * alpha[None], signs * alpha[None])


@pytest.mark.parametrize("alpha_s, name, kappa, lam, switch, conflict", MEASURED)
def test_four_points(alpha_s, name, kappa, lam, switch, conflict):
    found, gram = points(name, jnp.array([alpha_s, 1.0]))
    assert found.kappa == pytest.approx(kappa, abs=6e-7)
    assert found.threshold == pytest.approx(1 / 3, abs=1e-15)
    np.testing.assert_allclose(found.lam, lam, atol=6e-7)
    taus = np.array([1, 10, 100])
    values = np.asarray(found.f(jnp.asarray(taus / float(found.lam[0]))))
    np.testing.assert_allclose(values[:, 1], conflict, atol=6e-7)
    np.testing.assert_allclose(found.m, (0.6 / 0.66, 0.2 / 0.34), rtol=1e-14)
    if switch is None:
        assert np.isnan(found.t_switch) and found.kappa < found.threshold
    else:
        # The two-layer ReLU kernel's 0.9350465 is rounded either way.
        assert found.t_switch * found.lam[0] == pytest.approx(switch, abs=1.1e-6)
    # The full kernel on all four points, both labels, by matrix exponentials.
    chance = [np.array([rho, 1 - rho]) for rho in (RHO_S, RHO_C)]
    positive = np.array([chance[0][i] * chance[1][j] for j in (0, 1) for i in (0, 1)])
    weights, m = (positive + positive[::-1]) / 2, (positive - positive[::-1])
    m = m / (2 * weights)
    for tau, value in zip(taus, values, strict=True):
        operator = np.asarray(gram) * weights[None, :]
        f = m - linalg.expm(-tau / float(found.lam[0]) * operator) @ m
        np.testing.assert_allclose(value, f[:2], atol=1e-10)
        np.testing.assert_allclose(f[::-1], -f, atol=1e-10)


def test_the_output_in_conflict_changes_sign_once():
    found, _ = points("relu with bias", jnp.array([3.0, 1.0]))
    times = np.concatenate([np.geomspace(1e-6, 1e3, 4000)])
    signs = np.sign(np.asarray(found.f(jnp.asarray(times)))[:, 1])
    assert signs[0] == -1 and signs[-1] == 1 and np.sum(np.diff(signs) != 0) == 1
    root = optimize.brentq(lambda t: float(found.f(t)[1]), 1e-3, 1e3, xtol=1e-14)
    assert float(found.t_switch) == pytest.approx(root, rel=1e-10)
    # Its derivative, by differences.
    switch = jax.jit(lambda a: points("relu with bias", jnp.stack([a, 1.0]))[0].t_switch)
    slope = (switch(3.0 + 1e-5) - switch(3.0 - 1e-5)) / 2e-5
    first = jax.jit(jax.grad(switch))
    assert float(first(3.0)) == pytest.approx(float(slope), rel=1e-6)
    change = (first(3.0 + 1e-5) - first(3.0 - 1e-5)) / 2e-5
    assert float(jax.grad(first)(3.0)) == pytest.approx(float(change), rel=1e-6)


def test_the_linear_kernel_switches_from_the_square_root_of_two_on():
    """alpha_s^2 (2 rho_s - 1) > alpha_c^2 (2 rho_c - 1); non-linear kernels only further on."""
    for alpha_s, names in ((2**0.5 - 1e-6, ()), (2**0.5 + 1e-6, ("linear",))):
        for name in ("linear", "relu with bias", "two hidden layers"):
            found, _ = points(name, jnp.array([alpha_s, 1.0]))
            assert (not np.isnan(found.t_switch)) == (name in names)
    for name in KERNELS:
        found, _ = points(name, jnp.array([1.0, 1.0]))
        assert float(found.kappa) == pytest.approx(0, abs=1e-12) and np.isnan(found.t_switch)


def test_a_smaller_kappa_is_a_shorter_phase():
    """Measured at fixed predictivities; kappa itself is at most the linear kernel's [derived]."""
    order = ("linear", "relu with bias", "two hidden layers", "erf with bias")
    for alpha_s in (2.0, 4.0):
        alpha = jnp.array([alpha_s, 1.0])
        found = [points(name, alpha)[0] for name in order]
        assert np.all(np.diff([float(each.kappa) for each in found]) < 0)
        assert np.all(np.diff([float(each.t_switch * each.lam[0]) for each in found]) < 0)
        assert float(found[0].kappa) == pytest.approx(
            float(four_points.linear_kappa(alpha)), abs=1e-15
        )


# On the circle -----------------------------------------------------------------------------------

ANGULAR = {
    "relu": (0.6079271, 1, 0.3152215, 0, 0.0342241, 0),
    "two hidden layers": (1.0825052, 1.175579, 0.4417211, 0.0974965, 0.0601144, 0.0242018),
    "three hidden layers": (1.5441266, 1.3142685, 0.560945, 0.1896272, 0.1040399, 0.0542226),
    "relu with bias": (2.0682639, 1.6030807, 0.1993527, 0.0416195, 0.0214222, 0.0127533),
    "erf": (0, 0.9779075, 0, 0.0502975, 0, 0.0050816),
}


@pytest.mark.parametrize("name", ANGULAR)
def test_angular_coefficients(name):
    found = jax.jit(lambda: spectra.angular_coefficients(kernel(name), 5))()
    np.testing.assert_allclose(found, ANGULAR[name], atol=1e-6)
    if name == "relu":
        closed = spectra.relu_angular_coefficients(5)
        np.testing.assert_allclose(found, closed, atol=1e-6)
        assert np.abs(found[3::2]).max() < 1e-14

    # Fourier's integral.
    def integrand(phi):
        z = jnp.array([[jnp.cos(phi), jnp.sin(phi)]])
        return float(value(z)[0, 0]) * np.cos(2 * phi) / np.pi

    value = jax.jit(lambda z: kernel(name)(jnp.array([[1.0, 0.0]]), z))
    exact, _ = integrate.quad(lambda phi: 2 * integrand(phi), 0, np.pi, limit=60)
    assert float(found[2]) == pytest.approx(exact, abs=1e-6)


# On clusters -------------------------------------------------------------------------------------

CORNERS = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])
MASSES = jnp.array([0.45, 0.05, 0.45, 0.05])


def test_frequent_clusters_have_large_eigenvalues():
    """2b + s^2 along (1, 1) and 2(1 - b) + s^2 along (1, -1), b the mass in agreement."""
    for s2 in (0.0, 0.01, 1.0):
        values, vectors = spectra.mixture_linear_spectrum(MASSES, CORNERS, s2)
        np.testing.assert_allclose(values, [1.8 + s2, 0.2 + s2], rtol=1e-13)
        np.testing.assert_allclose(np.abs(vectors), 0.5**0.5, rtol=1e-13)
        assert vectors[0, 0] * vectors[1, 0] > 0 > vectors[0, 1] * vectors[1, 1]
    uneven, _ = spectra.mixture_linear_spectrum(MASSES, CORNERS, jnp.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(uneven, [2.25, 0.65], rtol=1e-13)


@pytest.mark.parametrize("width", [0.03, 0.1])
def test_clusters_of_a_sample(width):
    """2000 items: within three standard errors of the masses and three widths."""
    rng = np.random.default_rng(0)
    which = rng.choice(4, 2000, p=np.asarray(MASSES))
    x = np.asarray(CORNERS)[which] + width * rng.normal(size=(2000, 2))
    found = np.linalg.eigvalsh(x.T @ x / 2000)[::-1]
    values, _ = spectra.mixture_linear_spectrum(MASSES, CORNERS, width**2)
    error = 2 * np.sqrt(0.9 * 0.1 / 2000)
    np.testing.assert_allclose(found, values, atol=3 * error + 3 * width**2)
    gram = jax.jit(lambda x: kernel("relu with bias")(x, x))(jnp.asarray(x[:600])) / 600
    found = linalg.eigh(np.asarray(gram), eigvals_only=True, subset_by_index=(596, 599))[::-1]
    share = jnp.asarray(np.bincount(which[:600], minlength=4) / 600)
    centres = spectra.centre_spectrum(kernel("relu with bias"), share, CORNERS)
    np.testing.assert_allclose(found, centres, atol=3 * width)


def test_eigenvalues_settle_at_the_rate_of_the_width():
    """The kink of the kernel at equal inputs; without it the rate would be its square."""
    line, weight = np.polynomial.hermite_e.hermegauss(5)
    around = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    weight = np.outer(weight, weight).ravel() / (2 * np.pi)
    shares = jnp.asarray(np.outer(MASSES, weight).ravel())
    changes = {}
    for name in ("relu with bias", "erf with bias"):
        limit = np.asarray(spectra.centre_spectrum(kernel(name), MASSES, CORNERS))
        spectrum = jax.jit(
            lambda points, name=name: spectra.centre_spectrum(kernel(name), shares, points)
        )
        changes[name] = [
            np.abs(
                np.asarray(
                    spectrum((CORNERS[:, None] + width * jnp.asarray(around)[None]).reshape(-1, 2))
                )[:4]
                - limit
            ).max()
            for width in (0.1, 0.03, 0.01)
        ]
    slopes = {
        name: np.polyfit(np.log([0.1, 0.03, 0.01]), np.log(change), 1)[0]
        for name, change in changes.items()
    }
    assert slopes["relu with bias"] == pytest.approx(1, abs=0.15)
    assert slopes["erf with bias"] == pytest.approx(2, abs=0.15)


# Errors ------------------------------------------------------------------------------------------


def four_point(kernel, alpha_s=1.0, rho_s=0.7, rho_c=0.9):
    return four_points.four_point(kernel, (alpha_s, 1.0), rho_s, rho_c)


def skewed(x, z):
    return x @ jnp.array([[2.0, 1.0], [1.0, 2.0]]) @ z.T


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: four_point(kernel("linear"), rho_s=0.9), "rho_s must be below rho_c"),
        (lambda: four_point(kernel("linear"), rho_s=0.5), "rho_s must be in (0.5, 1)"),
        (lambda: four_point(kernel("linear"), rho_c=1.0), "rho_c must be in (0.5, 1)"),
        (lambda: four_point(kernel("linear"), 0.0), "alpha must be in (0, inf)"),
        (lambda: four_point(lambda x, z: x[:, :1] @ z[:, :1].T), "kernel must have k_0 > |k_1|"),
        (lambda: four_point(lambda x, z: (x @ z.T) ** 2), "kernel must have k_0 > |k_1|"),
        (lambda: four_point(skewed), "kernel must not change under coordinate flips"),
        (
            lambda: spectra.angular_coefficients(kernel("relu"), 8, 16),
            "k_max must be below n / 2",
        ),
        (lambda: spectra.relu_angular_coefficients(-1), "k_max must be at least 0"),
        (
            lambda: spectra.mixture_linear_spectrum(MASSES / 2, CORNERS, 0.1),
            "pi must sum to 1; got 0.5",
        ),
        (
            lambda: spectra.mixture_linear_spectrum(
                MASSES - jnp.array([1.0, -1.0, 0.0, 0.0]), CORNERS, 0.1
            ),
            "pi must be in [0, inf)",
        ),
        (
            lambda: spectra.mixture_linear_spectrum(MASSES, CORNERS, -0.1),
            "s2 must be in [0, inf)",
        ),
        (
            lambda: spectra.mixture_linear_spectrum(MASSES, CORNERS, jnp.ones(3)),
            "s2 must be a number or of shape (4,)",
        ),
        (
            lambda: spectra.centre_spectrum(kernel("relu"), MASSES[:3], CORNERS),
            "pi must have length 4; got 3",
        ),
        (
            lambda: spectra.centre_spectrum(lambda x, z: -x @ z.T, MASSES, jnp.asarray(CORNERS)),
            "kernel (at the centres) must be positive semi-definite",
        ),
    ],
)
def test_bad_input_is_named(call, words, rejects):
    with rejects(words):
        call()


def test_coefficients_under_strict_promotion():
    plain = spectra.relu_angular_coefficients(5)
    with jax.numpy_dtype_promotion("strict"):
        found = spectra.relu_angular_coefficients(5)
        linear = spectra.angular_coefficients(lambda x, z: x @ z.T, 3, 8)
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_allclose(linear, [0, 1, 0, 0], atol=1e-15)
