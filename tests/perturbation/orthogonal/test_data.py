import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.theory.perturbation.orthogonal import conditions, data, limit, multipliers

KEY = jax.random.key(0)
frame = jax.jit(data.orthonormal_rows)
orthogonal_samples = jax.jit(data.orthogonal, static_argnums=(1, 2))
near_orthogonal = jax.jit(data.near_orthogonal, static_argnums=(1, 2))


def test_orthonormal_rows_are_gram_schmidt():
    raw = jax.random.normal(KEY, (3, 5))
    rows = []
    for row in np.asarray(raw):
        for other in rows:
            row = row - (row @ other) * other
        rows.append(row / np.linalg.norm(row))
    np.testing.assert_allclose(frame(raw), rows, rtol=0, atol=1e-14)


def test_orthonormal_rows_are_differentiable():
    raw = jax.random.normal(KEY, (3, 5))
    weight = jnp.cos(jnp.arange(15.0)).reshape(3, 5)
    value = jax.jit(lambda raw: jnp.sum(weight * data.orthonormal_rows(raw)))
    step = 1e-6 * weight[::-1]
    slope = (value(raw + step) - value(raw - step)) / 2
    np.testing.assert_allclose(jnp.sum(jax.jit(jax.grad(value))(raw) * step), slope, rtol=1e-7)


def test_rows_of_a_gaussian_matrix_are_a_uniform_frame():
    """No sign is preferred, as that of a bare QR is."""
    raw = jax.random.normal(KEY, (4000, 2, 2))
    rows = np.asarray(jax.jit(jax.vmap(data.orthonormal_rows))(raw))
    assert np.max(np.abs(np.mean(rows, axis=0))) < 5 * (0.5 / 4000) ** 0.5
    reflections = np.mean(np.linalg.det(rows) < 0)
    assert abs(reflections - 0.5) < 5 * 0.5 / 4000**0.5


def test_orthogonal_samples_have_their_norms():
    radii = jnp.array([0.5, 1.0, 2.0])
    x = orthogonal_samples(KEY, 3, 7, radii)
    np.testing.assert_allclose(x @ x.T, np.diag(radii**2), rtol=0, atol=1e-14)
    same = orthogonal_samples(KEY, 3, 3, 2.0)
    np.testing.assert_allclose(same @ same.T, 4 * np.eye(3), rtol=0, atol=1e-14)


@pytest.mark.parametrize("share, held", [(0.8, True), (10.0, False)])
def test_near_orthogonal_samples_around_the_papers_hypothesis(share, held):
    radii, gamma, n = np.array([0.9, 1.0, 1.1, 1.2]), 0.6, 4
    rho = share * gamma**3 * 0.9**4 / (3 * n * 1.2**2) / (1.1 * 1.2)
    x = near_orthogonal(KEY, n, 9, rho, jnp.asarray(radii))
    gram = np.asarray(x @ x.T)
    off = ~np.eye(n, dtype=bool)
    np.testing.assert_allclose(np.sqrt(np.diag(gram)), radii, rtol=1e-13)
    cosines = gram / np.outer(radii, radii)
    np.testing.assert_allclose(np.abs(cosines[off]), rho, rtol=1e-10)
    np.testing.assert_allclose(gram, gram.T, rtol=0, atol=1e-15)
    assert conditions.orthogonality(x @ x.T, gamma).paper == held


def test_signed_gram_reads_the_upper_triangle():
    signs = jnp.array([[5.0, 1.0], [7.0, 5.0]])
    gram = data.signed_gram(signs, 0.25, jnp.array([1.0, 2.0]))
    np.testing.assert_array_equal(gram, [[1.0, 0.5], [0.5, 4.0]])


def test_reflection():
    x, normal = jnp.array([[1.0, 1.0], [0.0, 2.0]]), jnp.array([3.0, 0.0])
    np.testing.assert_allclose(data.reflect(x, normal), [[-1, 1], [0, 2]], atol=1e-15)


def test_householder_samples_learn_the_same_boundary_from_flipped_labels():
    """[measured] reflections are perturbations by 2 R / sqrt N, and keep the Gram matrix."""
    n, radius, gamma = 6, 3.0, 0.5

    @jax.jit
    def learn(key):
        x, y, reflected = data.householder(key, n, 10, radius)
        normals = [
            limit.boundary_normal(
                points, labels, multipliers.solve_multipliers(points @ points.T, labels, gamma)
            )
            for points, labels in ((x, y), (reflected, -y))
        ]
        return x, y, reflected, *normals

    x, y, reflected, clean, learnt = (np.asarray(value) for value in learn(KEY))
    np.testing.assert_array_equal(y, [1, 1, 1, -1, -1, -1])
    unit = clean / np.linalg.norm(clean)
    perturbed = x - 2 * radius / n**0.5 * np.outer(y, unit)
    np.testing.assert_allclose(reflected, perturbed, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reflected @ reflected.T, x @ x.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(learnt, clean, rtol=0, atol=1e-12)


def test_noise_is_orthogonal_to_samples_and_to_itself():
    draw = jax.jit(data.orthogonal_noise, static_argnums=(1, 2, 3))
    both = np.concatenate(draw(KEY, 3, 4, 9, radii=2.0, noise_radii=0.5))
    np.testing.assert_allclose(both @ both.T, np.diag([4.0] * 3 + [0.25] * 4), rtol=0, atol=1e-14)


def test_generators_are_deterministic_and_their_keys_matter():
    first, again, other = (
        np.asarray(near_orthogonal(key, 4, 9, 0.1, jnp.ones(4)))
        for key in (KEY, KEY, jax.random.key(1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first - other)) > 0.1


def test_bad_input_is_named(rejects):
    cases = {
        "d must be at least the number of rows, 4; got 3.": lambda: data.orthogonal(KEY, 4, 3),
        "rho must be in [0, 0.5); got 0.5.": lambda: data.near_orthogonal(KEY, 3, 5, 0.5),
        "radii must be in (0, inf)": lambda: data.orthogonal(KEY, 2, 3, 0.0),
        "radii must be a number or have shape (2,); got (3,).": lambda: data.orthogonal(
            KEY, 2, 3, jnp.ones(3)
        ),
        "noise_radii must be a number or have shape (2,)": lambda: data.orthogonal_noise(
            KEY, 1, 2, 3, noise_radii=jnp.ones(3)
        ),
        "n must be even for balanced labels; got 3.": lambda: data.householder(KEY, 3, 5),
        "radius must be in (0, inf)": lambda: data.householder(KEY, 4, 5, -1.0),
        "gram must be positive semi-definite": lambda: data.rows_with_gram(
            jnp.eye(2), jnp.ones((2, 2)) - 3 * jnp.eye(2)
        ),
        "gram must be positive definite": lambda: data.rows_with_gram(
            jnp.eye(2), jnp.array([[1.0, 1.0], [1.0, 1.0 - 1e-12]])
        ),
        "gram must be symmetric": lambda: data.rows_with_gram(
            jnp.eye(2), jnp.array([[2.0, 1.0], [0.5, 2.0]])
        ),
        "signs must have 2 columns": lambda: data.signed_gram(jnp.ones((2, 3)), 0.1, 1.0),
        "normal must have length 2; got 3.": lambda: data.reflect(jnp.eye(2), jnp.ones(3)),
    }
    for words, call in cases.items():
        with rejects(words):
            call()
