import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import dtypes
from twolayer.theory import networks, precision, semidefinite, validation


def network(p, **sizes):
    return networks.checked("p", p, **sizes)


# (check, words of its message); one row for every way in which a value can be wrong.
WRONG = {
    "no array": (
        lambda: validation.array("x", object()),
        "x must be an array of numbers; got <obj",
    ),
    "ragged array": (lambda: validation.array("x", [[1.0], [1.0, 2.0]]), "x must be an array of"),
    "complex array": (lambda: validation.array("x", 1j), "x must be real; got dtype complex"),
    "NaN": (lambda: validation.array("x", [1.0, jnp.nan]), "x must be finite; got NaN"),
    "infinity": (lambda: validation.array("x", [-jnp.inf]), "x must be finite"),
    "vector for matrix": (
        lambda: validation.matrix("x", jnp.ones(3)),
        "x must be a non-empty matrix (N, d); got shape (3,).",
    ),
    "empty matrix": (lambda: validation.matrix("x", jnp.ones((0, 2))), "got shape (0, 2)."),
    "no columns": (lambda: validation.matrix("x", jnp.ones((2, 0))), "got shape (2, 0)."),
    "kernel of other points": (
        lambda: semidefinite.kernel_matrix("k", jnp.ones((2, 3))),
        "k must be square (N, N); got shape (2, 3).",
    ),
    "kernel of another size": (
        lambda: semidefinite.kernel_matrix("k", jnp.eye(3), size=2),
        "k must have 2 rows; got shape (3, 3).",
    ),
    "kernel the wrong way round": (
        lambda: semidefinite.kernel_matrix("k", [[1.0, 2.0], [0.0, 1.0]]),
        "k must be symmetric to 1e-10 of its largest entry.",
    ),
    "kernel with a negative eigenvalue": (
        lambda: semidefinite.kernel_matrix("k", [[1e-200, 2e-200], [2e-200, 1e-200]]),
        "k must be positive semi-definite; it has a negative eigenvalue.",
    ),
    "kernel of pairs that are each allowed": (
        lambda: semidefinite.kernel_matrix(
            "k", 1.9 * np.eye(3) - 0.9 * np.outer(*[[1, 1, -1]] * 2)
        ),
        "k must be positive semi-definite",
    ),
    "large negative kernel": (
        lambda: semidefinite.kernel_matrix("k", -np.eye(4097, dtype=np.float32)),
        "k must be positive semi-definite",
    ),
    "negative kernel of short floats": (
        lambda: semidefinite.kernel_matrix("k", -jnp.eye(2, dtype=jnp.float32)),
        "k must be positive semi-definite; it has a negative eigenvalue.",
    ),
    "rows": (
        lambda: validation.matrix("x", jnp.ones((2, 3)), rows=4),
        "x must have 4 rows; got shape (2, 3).",
    ),
    "columns": (
        lambda: validation.matrix("x", jnp.ones((2, 3)), columns=4),
        "x must have 4 columns; got shape (2, 3).",
    ),
    "pair": (
        lambda: validation.pair(jnp.ones((2, 3)), jnp.ones((5, 4))),
        "x and z must have the same number of columns; got shapes (2, 3) and (5, 4).",
    ),
    "pair by name": (
        lambda: validation.pair(jnp.ones((2, 3)), jnp.ones(4), ("at", "r")),
        "r must be a non-empty matrix",
    ),
    "matrix for vector": (
        lambda: validation.vector("v", jnp.ones((2, 3))),
        "v must be a non-empty vector; got shape (2, 3).",
    ),
    "empty vector": (lambda: validation.vector("v", []), "v must be a non-empty vector"),
    "length": (
        lambda: validation.vector("v", jnp.ones(3), length=4),
        "v must have length 4; got 3.",
    ),
    "fractions for integers": (
        lambda: validation.integers("j", [1.5], shape=(None,)),
        "j must be integers of shape (any); got dtype float64, shape (1,).",
    ),
    "other number of integers": (
        lambda: validation.integers("j", [1, 2], shape=(3,)),
        "j must be integers of shape (3); got dtype int64, shape (2,).",
    ),
    "words for integers": (
        lambda: validation.integers("j", "words", shape=(None,)),
        "j must be an array of numbers; got 'words'.",
    ),
    "integers for flags": (
        lambda: validation.flags("rare", [1, 0], (2,)),
        "rare must be bools of shape (2); got dtype int64, shape (2,).",
    ),
    "shape": (
        lambda: validation.shaped("a", jnp.ones((2, 3)), (2, None, 4)),
        "a must be of shape (2, any, 4); got shape (2, 3).",
    ),
    "empty shape": (
        lambda: validation.shaped("a", jnp.ones((2, 0)), (2, None)),
        "a must be of shape (2, any); got shape (2, 0).",
    ),
    "many slopes": (
        lambda: validation.slope(jnp.ones(2) / 2),
        "gamma must be a scalar (batch by jax.vmap); got shape (2,).",
    ),
    "labels": (
        lambda: validation.labels("y", [1, 0, -1, 2]),
        "y must hold only -1 and +1; got [0.0, 2.0].",
    ),
    "number in words": (lambda: validation.number("eps", "1"), "eps must be a number; got '1'."),
    "no number": (lambda: validation.number("eps", None), "eps must be a number; got None."),
    "object for number": (
        lambda: validation.number("eps", object()),
        "eps must be a number; got <object",
    ),
    "too low": (
        lambda: validation.number("eps", -0.5, low=0.0),
        "eps must be in [0, inf); got -0.5.",
    ),
    "too high": (lambda: validation.number("eps", 3, high=2), "eps must be in (-inf, 2]; got 3."),
    "at open ends": (
        lambda: validation.number("eps", 1.0, low=0, high=1, open_low=True, open_high=True),
        "eps must be in (0, 1); got 1.0.",
    ),
    "at the open low end": (
        lambda: validation.number("eps", 0.0, low=0, high=1, open_low=True),
        "eps must be in (0, 1]; got 0.0.",
    ),
    "NaN number": (lambda: validation.number("eps", np.nan), "eps must be in (-inf, inf)"),
    "one of many": (
        lambda: validation.number("eps", np.array([1.0, -1.0]), low=0.0),
        "eps must be in [0, inf); got [ 1. -1.].",
    ),
    "many for one": (
        lambda: validation.scalar("eps", np.array([1.0, 2.0]), low=0.0),
        "eps must be a scalar (batch by jax.vmap); got shape (2,).",
    ),
    "scalar out of range": (
        lambda: validation.scalar("eps", -1, low=0.0),
        "eps must be in [0, inf); got -1.",
    ),
    "slope one": (lambda: validation.slope(1.0), "gamma must be in [0, 1); got 1.0."),
    "slope below": (lambda: validation.slope(-0.1), "gamma must be in [0, 1); got -0.1."),
    "fraction": (lambda: validation.integer("m", 2.0), "m must be an integer; got 2.0."),
    "integer": (lambda: validation.integer("m", 0), "m must be at least 1; got 0."),
    "no key": (lambda: validation.key("key", 7), "key must be a random key; got 7."),
    "floats for a key": (
        lambda: validation.key("key", jnp.zeros(2)),
        "key must be a random key; got Array([0., 0.]",
    ),
    "words of another generator": (
        lambda: validation.key("key", jnp.zeros(3, jnp.uint32)),
        "key must be a random key; got Array([0, 0, 0], dtype=uint32).",
    ),
    "several keys": (
        lambda: validation.key("key", jax.random.split(jax.random.key(0))),
        "key must be one key (batch by jax.vmap); got shape (2,).",
    ),
    "no record": (lambda: network(None), "p must be a TwoLayer; got None."),
    "field of another rank": (
        lambda: network(networks.TwoLayer(jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.ones(2))),
        "p.b must be of shape (2); got shape (2, 1).",
    ),
    "field of another length": (
        lambda: network(networks.TwoLayer(jnp.ones((2, 3)), jnp.ones(2), jnp.ones(3))),
        "p.a must be of shape (2); got shape (3,).",
    ),
    "field of a given length": (
        lambda: network(networks.TwoLayer(jnp.ones((2, 4)), jnp.ones(2), jnp.ones(2)), d=3),
        "p.w must be of shape (any, 3); got shape (2, 4).",
    ),
    "list for a word": (
        lambda: validation.choice("kind", ["gate"], {"gate": 0, "lazy": 1}),
        "kind must be one of gate, lazy; got ['gate'].",
    ),
    "choice": (
        lambda: validation.choice("loss", "hinge", ("identity", "logistic")),
        "loss must be one of identity, logistic; got 'hinge'.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_message_names_the_argument_and_what_came(case, rejects):
    check, words = WRONG[case]
    with rejects(words):
        check()


def test_arrays_keep_floating_dtypes_and_make_floats_of_the_rest():
    assert validation.array("x", jnp.ones(2, jnp.float32)).dtype == jnp.float32
    assert validation.array("x", [1, 2]).dtype == jnp.float64
    assert validation.array("x", [True]).dtype == jnp.float64


@pytest.mark.parametrize("dtype", [*dtypes.SHORT, jnp.float8_e4m3fn])
def test_short_floats_are_read_in_float32(dtype):
    third = jnp.full(3, 1 / 3, dtype)
    p = networks.TwoLayer(w=third[:2][None], b=third[:1], a=third[:1])
    read = [
        validation.real("x", third),
        validation.matrix("x", third[None]),
        validation.shaped("x", third, (3,)),
        validation.number("eps", third, low=0.0),
        jax.jit(lambda eps: validation.scalar("eps", eps))(third[0]),
        *jax.tree.leaves(network(p)),
    ]
    for found in read:
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, third[0].astype(jnp.float32))
    # Numbers that are known become Python's, of the same value.
    assert validation.scalar("eps", third[0]) == validation.slope(third[0]) == float(third[0])
    assert validation.labels("y", jnp.ones(2, dtype)).dtype == jnp.float32
    assert validation.number("eps", 0.5) == 0.5 and isinstance(validation.number("eps", 0.5), float)


def test_two_sets_of_points_come_back_in_the_wider_dtype():
    x, z = jnp.ones((1, 2), jnp.float32), jnp.ones((3, 2))
    with jax.numpy_dtype_promotion("strict"):
        assert [v.dtype for v in validation.pair(x, z)] == [jnp.float64, jnp.float64]
        assert [v.dtype for v in validation.pair(x, x.astype(jnp.bfloat16))] == [jnp.float32] * 2


def test_a_models_result_is_rounded_to_the_short_dtype_of_all_that_came():
    result, short = jnp.full(2, 1 / 3, jnp.float32), jnp.ones(2, jnp.bfloat16)
    assert precision.rounded(result, {"w": short}, short).dtype == jnp.bfloat16
    others = [short.astype(each) for each in dtypes.FLOAT16]
    for other in (*others, result, [1.0], jnp.ones(2, int)):
        assert precision.rounded(result, short, other) is result
    assert precision.rounded(result, jnp.ones(2)) is result


def test_good_values_come_back():
    matrix = jnp.arange(6.0).reshape(2, 3)
    assert validation.matrix("x", matrix, rows=2, columns=3) is matrix
    first, second = validation.pair(matrix, matrix[:1])
    assert first.shape == (2, 3) and second.shape == (1, 3)
    np.testing.assert_array_equal(validation.labels("y", [1, -1], length=2), [1.0, -1.0])
    assert validation.shaped("x", matrix, (2, None)) is matrix
    assert jnp.isnan(validation.real("x", [jnp.nan, 1]))[0]
    np.testing.assert_array_equal(validation.integers("j", [3, 1], shape=(2,)), [3, 1])
    np.testing.assert_array_equal(validation.flags("rare", [True], (None,)), [True])
    assert validation.number("eps", 0.0, low=0.0, high=0.0) == 0.0
    assert validation.scalar("eps", np.float32(0.5), high=1.0) == 0.5
    assert validation.slope(0) == 0
    for size in (0.0, 1e-300, 1.0, 1e300):
        singular = size * jnp.ones((3, 3))
        assert semidefinite.kernel_matrix("k", singular, size=3) is singular
    rounded = jnp.ones((2, 2), jnp.float32).at[0, 1].add(1e-6)
    assert semidefinite.kernel_matrix("k", rounded) is rounded
    assert validation.integer("m", np.int64(3)) == 3
    assert validation.integer("m", 0, low=0) == 0
    assert validation.choice("loss", "identity", ("identity",)) == "identity"
    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        assert validation.key("key", key) is key


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_integers_of_any_length_meet_numbers_that_they_cannot_hold(dtype):
    found = validation.integers("y", np.array([0, 100], dtype), shape=(2,))
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_array_equal(found + 3 * jnp.arange(2) * 100 < 300, [True, False])


def test_a_record_comes_back_with_floats_and_the_fields_that_are_not_named(unannotated):
    p = networks.TwoLayer(w=jnp.ones((2, 3), int), b=jnp.full(2, jnp.nan), a=[1, 2])
    found = validation.record("p", p, networks.TwoLayer, w="m d", b="m")
    assert found.w.dtype == float and jnp.all(jnp.isnan(found.b)) and found.a == [1, 2]


def test_traced_values_pass_and_shapes_are_still_checked():
    @jax.jit
    def unchecked(x, y, eps):
        validation.matrix("x", x)
        validation.labels("y", y)
        return validation.number("eps", eps, low=0.0) + jnp.sum(x) + jnp.sum(y)

    assert jnp.isnan(unchecked(jnp.full((1, 1), jnp.nan), jnp.array([3.0]), -1.0))
    with pytest.raises(ValueError, match="x must be a non-empty matrix"):
        unchecked(jnp.ones(2), jnp.ones(2), 1.0)


def test_constants_that_a_traced_function_closes_over_are_checked():
    wrong = jnp.array([0.0])
    with pytest.raises(ValueError, match="y must hold only"):
        jax.jit(lambda x: x + validation.labels("y", wrong))(jnp.ones(1))


def test_holds_reads_values_that_are_known():
    assert validation.holds(operator.gt, jnp.array([2, 3]), 1)
    assert not validation.holds(operator.gt, jnp.array([1, 2]), 1)


def test_numbers_take_the_dtype_of_the_arrays_that_they_meet():
    row = jnp.ones(2, jnp.float32)
    for value in (np.float64(0.1), np.array(0.1), jnp.asarray(0.1), 0.1):
        with jax.numpy_dtype_promotion("strict"):
            found = validation.scalar("eps", value) * row
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, np.float32(0.1))
    assert validation.number("lr", np.array([0.1, 0.2])).shape == (2,)
    assert isinstance(validation.number("steps", np.int64(3)), int)
