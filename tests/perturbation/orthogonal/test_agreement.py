import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory import geometry
from twolayer.theory.perturbation.orthogonal import (
    agreement,
    conditions,
    limit,
    multipliers,
    perturbed,
)

N, D, K = 5, 6, 4
rng = np.random.default_rng(0)
BASE, Z, W = rng.standard_normal((N, D)), rng.standard_normal((K, D)), rng.standard_normal(D)
TARGETS = np.array([1.0, -1, -1, 1, -1])
LAM = rng.uniform(0.5, 2, N)

direction = jax.jit(geometry.direction, static_argnums=(1, 2))
gain = jax.jit(geometry.direction_gain)
angles = jax.jit(geometry.row_angles)
perturb = jax.jit(perturbed.perturb)
perturbed_gram = jax.jit(perturbed.perturbed_gram)
perturbed_multipliers = jax.jit(perturbed.perturbed_multipliers)
solve_multipliers = jax.jit(multipliers.solve_multipliers)
decompose = jax.jit(agreement.decompose)
certificate = jax.jit(agreement.agreement_certificate)
noise_bounds = jax.jit(agreement.noise_bounds, static_argnums=1)
isotropic = jax.jit(agreement.isotropic_agreement)
accuracy = jax.jit(jax.vmap(agreement.predicted_accuracy))
norms = pytest.mark.parametrize("norm, k", [("l2", None), ("linf", None), ("l0", 2)])


# Directions --------------------------------------------------------------------------------------


def test_directions_by_hand():
    w = jnp.array([3.0, 0.0, -4.0, 4.0])
    cases = {
        ("l2", None): ([3 / 41**0.5, 0, -4 / 41**0.5, 4 / 41**0.5], 41**0.5),
        ("linf", None): ([1, 0, -1, 1], 11),
        ("l0", 1): ([0, 0, -1, 0], 4),  # the lower index of two that tie
        ("l0", 2): ([0, 0, -(0.5**0.5), 0.5**0.5], 32**0.5),
        ("l0", 3): ([3 / 41**0.5, 0, -4 / 41**0.5, 4 / 41**0.5], 41**0.5),
        ("l0", 4): ([3 / 41**0.5, 0, -4 / 41**0.5, 4 / 41**0.5], 41**0.5),
    }
    for (norm, k), (expected, size) in cases.items():
        found = direction(w, norm, k)
        np.testing.assert_allclose(found, expected, atol=1e-15)
        np.testing.assert_allclose(gain(w, found), size, rtol=1e-15)
        assert found.dtype == w.dtype
        for scale in (1e-300, 1e300):
            np.testing.assert_allclose(direction(scale * w, norm, k), expected, atol=1e-15)


@norms
def test_no_step_of_size_one_gains_more(norm, k):
    """Against 20000 random steps of that size, and against corners by brute force."""
    drawn = np.random.default_rng(1).standard_normal((20000, D))
    if norm == "linf":
        rivals = np.sign(drawn)  # all 64 corners are among them
    elif norm == "l2":
        rivals = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    else:
        kept = np.argsort(np.random.default_rng(2).random((20000, D)), axis=1) < k
        rivals = kept * drawn
        rivals /= np.linalg.norm(rivals, axis=1, keepdims=True)
    best = gain(W, direction(W, norm, k))
    assert 0.95 * best < np.max(rivals @ W) <= best * (1 + 1e-15)


def test_directions_of_float32():
    assert direction(jnp.ones(3, jnp.float32), "l2", None).dtype == jnp.float32


def test_a_zero_normal_has_no_direction(rejects):
    with rejects("normal must not be zero, which has no direction."):
        geometry.direction(jnp.zeros(3), "l2")
    assert jnp.isnan(direction(jnp.zeros(3), "l2", None)).all()
    assert jnp.isnan(direction(jnp.zeros(3), "l0", 2)).any()
    assert not direction(jnp.zeros(3), "linf", None).any()


@pytest.mark.parametrize(
    "norm, k, words",
    [
        ("l1", None, "norm must be one of l2, linf, l0; got 'l1'."),
        ("l0", None, "k must be given for norm l0 and only there; got None with l0."),
        ("l2", 1, "k must be given for norm l0 and only there; got 1 with l2."),
        ("l0", 0, "k must be at least 1; got 0."),
        ("l0", 4, "k must be at most 3, the dimension; got 4."),
    ],
)
def test_directions_that_are_none(norm, k, words, rejects):
    with rejects(words):
        geometry.direction(jnp.ones(3), norm, k)


def test_angles_by_hand():
    u = jnp.array([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]])
    v = jnp.array([[0.0, 5.0], [1.0, 3**0.5], [-7.0, 0.0], [0.0, -1.0], [1, 1e-9], [1, 1e-9]])
    expected = [np.pi / 2, np.pi / 3, np.pi, 0, 1e-9, np.pi - 1e-9]
    np.testing.assert_allclose(angles(u, v), expected, rtol=1e-15, atol=1e-24)


# The second boundary -----------------------------------------------------------------------------


@norms
def test_perturbed_points_and_their_gram_matrix(norm, k):
    step = np.asarray(direction(W, norm, k))
    expected = np.stack([BASE[i] + 0.7 * TARGETS[i] * step for i in range(N)])
    np.testing.assert_allclose(perturb(BASE, TARGETS, step, 0.7), expected, atol=1e-15)
    found = perturbed_gram(BASE @ BASE.T, BASE @ step, step @ step, TARGETS, 0.7)
    np.testing.assert_allclose(found, expected @ expected.T, atol=1e-13)
    np.testing.assert_array_equal(perturb(BASE, TARGETS, step, 0.0), BASE)


@norms
def test_multipliers_of_many_lengths_are_those_of_their_gram_matrices(norm, k):
    step = direction(W, norm, k)
    gram, along, square = BASE @ BASE.T, BASE @ step, step @ step
    lengths = jnp.array([0.0, 0.3, 1.0, 7.0])
    found = perturbed_multipliers(gram, along, square, TARGETS, 0.3, lengths)
    for eps, row in zip(lengths, found, strict=True):
        moved = perturbed_gram(gram, along, square, TARGETS, eps)
        np.testing.assert_allclose(row, solve_multipliers(moved, TARGETS, 0.3), rtol=1e-9)


@norms
def test_terms_are_the_plain_sums(norm, k):
    step = np.asarray(direction(W, norm, k))
    noise, feature = decompose(Z, BASE, TARGETS, LAM, step, 0.7)
    for j in range(K):
        mean = sum(LAM[n] * TARGETS[n] * (BASE[n] @ Z[j]) for n in range(N)) / LAM.sum()
        np.testing.assert_allclose(noise[j], mean, atol=1e-14)
        np.testing.assert_allclose(feature[j], 0.7 * step @ Z[j], rtol=1e-13)
        inputs = np.asarray(perturb(BASE, TARGETS, step, 0.7))
        whole = sum(LAM[n] * TARGETS[n] * (inputs[n] @ Z[j]) for n in range(N)) / LAM.sum()
        np.testing.assert_allclose(noise[j] + feature[j], whole, atol=1e-13)


def test_certificate_is_the_plain_inequality():
    unit, found = W / np.linalg.norm(W), []
    for eps in np.linspace(0, 40, 30):
        fires = certificate(Z, BASE, TARGETS, unit, eps, 0.8, 1.1)
        for j in range(K):
            products = BASE @ Z[j]
            noise = 0.95 * abs(TARGETS @ products) + 0.15 * np.abs(products).sum()
            assert fires[j] == (eps * N * 0.8 * abs(unit @ Z[j]) > noise)
        found.append(np.asarray(fires))
    assert not found[0].any() and found[-1].all()
    # Once it fires it fires for every longer perturbation.
    assert np.all(np.diff(np.array(found, int), axis=0) >= 0)


def test_certificate_takes_lists(unannotated):
    unit = W / np.linalg.norm(W)
    arrays = (Z, BASE, TARGETS, unit)
    lists = [array.tolist() for array in arrays]
    np.testing.assert_array_equal(
        agreement.agreement_certificate(*lists, 20.0, 0.8, 1.1),
        certificate(*arrays, 20.0, 0.8, 1.1),
    )


def test_certificate_without_bounds_never_fires():
    unit = W / np.linalg.norm(W)
    for lo, hi in ((-np.inf, np.inf), (-np.inf, 1.0), (1.0, np.inf)):
        assert not certificate(Z, BASE, TARGETS, unit, 1e9, lo, hi).any()
    assert certificate(Z, BASE, TARGETS, unit, 1e9, 1.0, 1.0).all()
    assert not certificate(0 * Z, BASE, TARGETS, unit, 1e9, 1.0, 1.0).any()


@functools.partial(jax.jit, static_argnames="points")
def many_dimensions(rows, labels, factor, points):
    """Six samples and eight noise points in 20000 dimensions, slope 0.9, and points to ask at."""
    gamma = 0.9
    x, base, z = jnp.split(rows, (6, 14))
    lam = multipliers.solve_multipliers(x @ x.T, labels[:6], gamma)
    unit = geometry.direction(limit.boundary_normal(x, labels[:6], lam), "l2")
    z = z + jnp.linspace(-30.0, 30.0, points)[:, None] * unit[None, :]
    r_base = jnp.min(jnp.linalg.norm(base, axis=1))
    eps = factor * r_base * jnp.sqrt(gamma**3 / 24)
    targets = labels[6:]
    inputs = perturbed.perturb(base, targets, unit, eps)
    gram = perturbed.perturbed_gram(base @ base.T, base @ unit, 1.0, targets, eps)
    known = conditions.orthogonality(gram, gamma)
    lam_adv = multipliers.solve_multipliers(inputs @ inputs.T, targets, gamma)
    noise, feature = agreement.decompose(z, base, targets, lam_adv, unit, eps)
    coarse = 1 / (2 * known.r_max**2), 3 / (2 * gamma**2 * known.r_min**2)
    sharp = agreement.agreement_certificate(z, base, targets, unit, eps, known.lam_lo, known.lam_hi)
    paper = agreement.agreement_certificate(z, base, targets, unit, eps, *coarse)
    return known.paper, known.sharp, (noise + feature) * feature > 0, sharp, paper


@pytest.mark.parametrize("factor, share", [(0.4, 1.0), (0.9, 0.0)])
def test_certificate_is_never_wrong_in_many_dimensions(factor, share):
    """20 data sets of 10 points; the paper's hypothesis holds on all sets, or on none."""
    draw = np.random.default_rng(3)
    parts = []
    for _ in range(20):
        rows = draw.standard_normal((24, 20000))
        labels = np.where(draw.random(14) < 0.5, -1.0, 1.0)
        parts.append(many_dimensions(rows, labels, factor, points=10))
    in_paper, in_tier, agree, sharp, paper = (np.array(part) for part in zip(*parts, strict=True))
    assert np.mean(in_paper) == share and in_tier.all()
    assert np.all(agree[sharp]) and np.all(agree[paper]) and not agree.all()
    assert sharp.sum() > 60 and sharp.sum() > paper.sum() > 20
    assert np.all(sharp[paper])


# Noise -------------------------------------------------------------------------------------------


def test_noise_bounds_by_hand():
    z = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    signed, absolute = noise_bounds(z, 3, 2.0, 4 * np.exp(-2))
    np.testing.assert_allclose(signed, [10 * 12**0.5, 0], rtol=1e-14)
    np.testing.assert_allclose(absolute, [30 * (2 * (2 + np.log(3))) ** 0.5, 0], rtol=1e-14)
    large, _ = noise_bounds(1e200 * z, 3, 2.0, 4 * np.exp(-2))
    np.testing.assert_allclose(large, 1e200 * signed, rtol=1e-14)


@pytest.mark.parametrize("n_adv, ratio", [(50, 1.10), (200, 2.20)])
def test_noise_bounds_need_independent_labels(n_adv, ratio):
    """Failures of independent labels stay below delta; labels that follow the noise always fail."""
    draw = np.random.default_rng(4)
    z = draw.standard_normal((1, 30))
    signed, absolute = (float(bound[0]) for bound in noise_bounds(z, n_adv, 1.0, 0.05))
    products = draw.uniform(-1, 1, (500, n_adv, 30)) @ z[0]
    labels = np.where(draw.random((500, n_adv)) < 0.5, -1, 1)
    failed = np.abs(np.sum(labels * products, axis=1)) > signed
    failed |= np.sum(np.abs(products), axis=1) > absolute
    assert np.mean(failed) < 0.05
    following = np.sum(np.abs(products), axis=1) / signed
    np.testing.assert_allclose(np.mean(following), ratio, rtol=0.03)
    assert np.mean(following > 1) > 0.8


# Averages ----------------------------------------------------------------------------------------


def test_isotropic_agreement_by_hand():
    w = jnp.array([1.0, 0.0, 0.0])
    for other, expected in (
        ([5.0, 0, 0], 1),
        ([-1.0, 0, 0], 0),
        ([0.0, 2, 0], 0.5),
        ([1.0, 0, 3**0.5], 2 / 3),
    ):
        np.testing.assert_allclose(isotropic(w, jnp.array(other)), expected, atol=1e-15)
    close = 1 - isotropic(w, jnp.array([1.0, 1e-12, 0]))
    np.testing.assert_allclose(close, 1e-12 / np.pi, rtol=1e-3)
    assert jnp.isnan(isotropic(w, 0 * w))


D_SWEEP = (100, 500, 1000, 2500, 5000, 7500, 10000)
D_EPS = (0.078, 0.17, 0.24, 0.39, 0.55, 0.67, 0.78)
N_ADV = (1, 10, 100, 500, 1000, 1500, 2500, 5000, 7500, 10000)
N_SWEEP = (1000, 2000, 3000, 5000, 7000, 10000)
EPS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.78)
CELL = {"d": 1e4, "n": 1e3, "n_adv": 1e4, "eps": 0.78}
SWEEPS = {
    "d": (
        {"d": D_SWEEP, "eps": D_EPS},
        ".600 .713 .787 .898 .964 .986 .994",
        ".577 .666 .727 .835 .915 .953 .974",
    ),
    "n_adv": (
        {"n_adv": N_ADV},
        ".517 .554 .664 .820 .893 .929 .962 .986 .992 .994",
        ".510 .531 .597 .707 .776 .820 .875 .937 .962 .974",
    ),
    "n": ({"n": N_SWEEP}, ".994 .964 .929 .872 .832 .789", ".974 .915 .869 .808 .769 .731"),
    "eps": (
        {"eps": EPS},
        ".522 .608 .705 .850 .928 .964 .981 .989 .994",
        ".513 .563 .623 .732 .818 .880 .921 .948 .974",
    ),
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_predicted_accuracy_in_the_published_sweeps(sweep):
    change, *expected = SWEEPS[sweep]
    length = len(next(iter(change.values())))
    columns = {name: np.broadcast_to(change.get(name, CELL[name]), length) for name in CELL}
    for var, row in zip((1 / 3, 1.0), expected, strict=True):
        arguments = [np.resize(np.asarray(column, float), 10) for column in columns.values()]
        found = np.asarray(accuracy(*arguments, np.full(10, var)))[:length]
        np.testing.assert_allclose(found, [float(value) for value in row.split()], atol=6e-4)


def test_predicted_accuracy_at_its_ends():
    end = agreement.predicted_accuracy
    assert end(100.0, 10, 20, 0.0, 1.0) == 0.5
    # For long perturbations only the number of samples counts: Phi(1) at d = n.
    np.testing.assert_allclose(end(100.0, 100, 20, 1e9, 1.0), 0.8413447460685429, rtol=1e-12)
    slope = jax.grad(end, argnums=3)(100.0, 10, 20, 0.0, 1.0)
    np.testing.assert_allclose(slope, (100 / 10 * 20 / 100 / (2 * np.pi)) ** 0.5, rtol=1e-12)


def test_predicted_accuracy_of_equal_multipliers():
    """The classifier itself, all multipliers 1, on 40 data sets: within 0.03 of the formula."""
    draw, right = np.random.default_rng(5), []
    for _ in range(40):
        x, base = draw.uniform(-1, 1, (200, 400)), draw.uniform(-1, 1, (300, 400))
        y, targets = (np.where(draw.random(size) < 0.5, -1, 1) for size in (200, 300))
        normal = y @ x
        second = targets @ base / 300 + 0.5 * normal / np.linalg.norm(normal)
        right.append(np.mean(np.sign(x @ second) == y))
    formula = agreement.predicted_accuracy(400, 200, 300, 0.5, 1 / 3)
    assert abs(np.mean(right) - formula) < 0.03
    assert 0.7 < formula < 0.85


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("perturb", (BASE, TARGETS, W, -1.0), "eps must be in [0, inf); got -1.0."),
        ("perturb", (BASE, TARGETS[:2], W, 1.0), "targets must have length 5; got 2."),
        (
            "perturb",
            (BASE, 2 * TARGETS, W, 1.0),
            "targets must hold only -1 and +1; got [-2.0, 2.0].",
        ),
        ("perturb", (BASE, TARGETS, W[:3], 1.0), "direction must have length 6; got 3."),
        ("perturb", (np.nan * BASE, TARGETS, W, 1.0), "base must be finite; got NaN or infinity."),
        (
            "perturbed_gram",
            (BASE, BASE @ W, 1.0, TARGETS, 1.0),
            "gram_base must be square (N, N); got shape (5, 6).",
        ),
        (
            "perturbed_gram",
            (BASE @ BASE.T, BASE @ W, -1.0, TARGETS, 1.0),
            "dir_sqnorm must be in [0, inf); got -1.0.",
        ),
        (
            "perturbed_multipliers",
            (BASE @ BASE.T, BASE @ W, 1.0, TARGETS, 0.3, np.array([0.1, -1.0])),
            "eps must be in [0, inf); got",
        ),
        (
            "perturbed_multipliers",
            (0 * BASE @ BASE.T, BASE @ W, 1.0, TARGETS, 0.3, np.ones(2)),
            "gram must give a positive definite margin matrix; it is numerically singular "
            "(a zero sample, a repeated one, or linearly dependent ones).",
        ),
        (
            "decompose",
            (Z[:, :3], BASE, TARGETS, LAM, W, 1.0),
            "base and z must have the same number of columns; got shapes (5, 6) and (4, 3).",
        ),
        ("decompose", (Z, BASE, TARGETS, 0 * LAM, W, 1.0), "lam_adv must not sum to 0."),
        (
            "agreement_certificate",
            (Z, BASE, TARGETS, W, -1.0, 1.0, 1.0),
            "eps must be in [0, inf); got -1.0.",
        ),
        (
            "agreement_certificate",
            (Z, BASE, TARGETS, W[:2], 1.0, 1.0, 1.0),
            "unit_normal must have length 6; got 2.",
        ),
        ("noise_bounds", (Z, 0, 1.0, 0.1), "n_adv must be at least 1; got 0."),
        ("noise_bounds", (Z, 3, 0.0, 0.1), "scale must be in (0, inf); got 0.0."),
        ("noise_bounds", (Z, 3, 1.0, 1.0), "delta must be in (0, 1); got 1.0."),
        ("isotropic_agreement", (W, 0 * W), "w2 must not be zero, which has no direction."),
        ("isotropic_agreement", (W, W[:2]), "w2 must have length 6; got 2."),
        ("predicted_accuracy", (100, 0, 10, 1.0, 1.0), "n must be in (0, inf); got 0."),
        ("predicted_accuracy", (100, 5, 10, -1.0, 1.0), "eps must be in [0, inf); got -1.0."),
    ],
)
def test_what_does_not_fit(name, arguments, words, rejects):
    arguments = [
        jnp.asarray(value) if isinstance(value, np.ndarray) else value for value in arguments
    ]
    with rejects(words):
        module = perturbed if name.startswith("perturb") else agreement
        getattr(module, name)(*arguments)
