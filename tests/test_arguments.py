import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory import arguments, networks


def network(p, **sizes):
    return networks.checked("p", p, **sizes)


# (check, words of its message); one row for every way in which a value can be wrong.
WRONG = {
    "no array": (lambda: arguments.array("x", object()), "x must be an array of numbers; got <obj"),
    "ragged array": (lambda: arguments.array("x", [[1.0], [1.0, 2.0]]), "x must be an array of"),
    "complex array": (lambda: arguments.array("x", 1j), "x must be real; got dtype complex"),
    "NaN": (lambda: arguments.array("x", [1.0, jnp.nan]), "x must be finite; got NaN"),
    "infinity": (lambda: arguments.array("x", [-jnp.inf]), "x must be finite"),
    "vector for matrix": (
        lambda: arguments.matrix("x", jnp.ones(3)),
        "x must be a non-empty matrix (N, d); got shape (3,).",
    ),
    "empty matrix": (lambda: arguments.matrix("x", jnp.ones((0, 2))), "got shape (0, 2)."),
    "no columns": (lambda: arguments.matrix("x", jnp.ones((2, 0))), "got shape (2, 0)."),
    "kernel of other points": (
        lambda: arguments.kernel_matrix("k", jnp.ones((2, 3))),
        "k must be square (N, N); got shape (2, 3).",
    ),
    "kernel of another size": (
        lambda: arguments.kernel_matrix("k", jnp.eye(3), size=2),
        "k must have 2 rows; got shape (3, 3).",
    ),
    "kernel the wrong way round": (
        lambda: arguments.kernel_matrix("k", [[1.0, 2.0], [0.0, 1.0]]),
        "k must be symmetric to 1e-10 of its largest entry.",
    ),
    "kernel with a negative eigenvalue": (
        lambda: arguments.kernel_matrix("k", [[1e-200, 2e-200], [2e-200, 1e-200]]),
        "k must be positive semi-definite; it has a negative eigenvalue.",
    ),
    "kernel of pairs that are each allowed": (
        lambda: arguments.kernel_matrix("k", 1.9 * np.eye(3) - 0.9 * np.outer(*[[1, 1, -1]] * 2)),
        "k must be positive semi-definite",
    ),
    "large negative kernel": (
        lambda: arguments.kernel_matrix("k", -np.eye(4097, dtype=np.float32)),
        "k must be positive semi-definite",
    ),
    "negative kernel of short floats": (
        lambda: arguments.kernel_matrix("k", -jnp.eye(2, dtype=jnp.float32)),
        "k must be positive semi-definite; it has a negative eigenvalue.",
    ),
    "rows": (
        lambda: arguments.matrix("x", jnp.ones((2, 3)), rows=4),
        "x must have 4 rows; got shape (2, 3).",
    ),
    "columns": (
        lambda: arguments.matrix("x", jnp.ones((2, 3)), columns=4),
        "x must have 4 columns; got shape (2, 3).",
    ),
    "pair": (
        lambda: arguments.pair(jnp.ones((2, 3)), jnp.ones((5, 4))),
        "x and z must have the same number of columns; got shapes (2, 3) and (5, 4).",
    ),
    "pair by name": (
        lambda: arguments.pair(jnp.ones((2, 3)), jnp.ones(4), ("at", "r")),
        "r must be a non-empty matrix",
    ),
    "matrix for vector": (
        lambda: arguments.vector("v", jnp.ones((2, 3))),
        "v must be a non-empty vector; got shape (2, 3).",
    ),
    "empty vector": (lambda: arguments.vector("v", []), "v must be a non-empty vector"),
    "length": (
        lambda: arguments.vector("v", jnp.ones(3), length=4),
        "v must have length 4; got 3.",
    ),
    "fractions for integers": (
        lambda: arguments.integers("j", [1.5], shape=(None,)),
        "j must be integers of shape (any); got dtype float64, shape (1,).",
    ),
    "other number of integers": (
        lambda: arguments.integers("j", [1, 2], shape=(3,)),
        "j must be integers of shape (3); got dtype int64, shape (2,).",
    ),
    "words for integers": (
        lambda: arguments.integers("j", "words", shape=(None,)),
        "j must be an array of numbers; got 'words'.",
    ),
    "integers for flags": (
        lambda: arguments.flags("rare", [1, 0], (2,)),
        "rare must be bools of shape (2); got dtype int64, shape (2,).",
    ),
    "shape": (
        lambda: arguments.shaped("a", jnp.ones((2, 3)), (2, None, 4)),
        "a must be of shape (2, any, 4); got shape (2, 3).",
    ),
    "empty shape": (
        lambda: arguments.shaped("a", jnp.ones((2, 0)), (2, None)),
        "a must be of shape (2, any); got shape (2, 0).",
    ),
    "many slopes": (
        lambda: arguments.slope(jnp.ones(2) / 2),
        "gamma must be a scalar (batch by jax.vmap); got shape (2,).",
    ),
    "labels": (
        lambda: arguments.labels("y", [1, 0, -1, 2]),
        "y must hold only -1 and +1; got [0.0, 2.0].",
    ),
    "number in words": (lambda: arguments.number("eps", "1"), "eps must be a number; got '1'."),
    "no number": (lambda: arguments.number("eps", None), "eps must be a number; got None."),
    "object for number": (
        lambda: arguments.number("eps", object()),
        "eps must be a number; got <object",
    ),
    "too low": (
        lambda: arguments.number("eps", -0.5, low=0.0),
        "eps must be in [0, inf); got -0.5.",
    ),
    "too high": (lambda: arguments.number("eps", 3, high=2), "eps must be in (-inf, 2]; got 3."),
    "at open ends": (
        lambda: arguments.number("eps", 1.0, low=0, high=1, open_low=True, open_high=True),
        "eps must be in (0, 1); got 1.0.",
    ),
    "at the open low end": (
        lambda: arguments.number("eps", 0.0, low=0, high=1, open_low=True),
        "eps must be in (0, 1]; got 0.0.",
    ),
    "NaN number": (lambda: arguments.number("eps", np.nan), "eps must be in (-inf, inf)"),
    "one of many": (
        lambda: arguments.number("eps", np.array([1.0, -1.0]), low=0.0),
        "eps must be in [0, inf); got [ 1. -1.].",
    ),
    "many for one": (
        lambda: arguments.scalar("eps", np.array([1.0, 2.0]), low=0.0),
        "eps must be a scalar (batch by jax.vmap); got shape (2,).",
    ),
    "scalar out of range": (
        lambda: arguments.scalar("eps", -1, low=0.0),
        "eps must be in [0, inf); got -1.",
    ),
    "slope one": (lambda: arguments.slope(1.0), "gamma must be in [0, 1); got 1.0."),
    "slope below": (lambda: arguments.slope(-0.1), "gamma must be in [0, 1); got -0.1."),
    "fraction": (lambda: arguments.integer("m", 2.0), "m must be an integer; got 2.0."),
    "integer": (lambda: arguments.integer("m", 0), "m must be at least 1; got 0."),
    "no key": (lambda: arguments.key("key", 7), "key must be a random key; got 7."),
    "floats for a key": (
        lambda: arguments.key("key", jnp.zeros(2)),
        "key must be a random key; got Array([0., 0.]",
    ),
    "words of another generator": (
        lambda: arguments.key("key", jnp.zeros(3, jnp.uint32)),
        "key must be a random key; got Array([0, 0, 0], dtype=uint32).",
    ),
    "several keys": (
        lambda: arguments.key("key", jax.random.split(jax.random.key(0))),
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
        lambda: arguments.choice("kind", ["gate"], {"gate": 0, "lazy": 1}),
        "kind must be one of gate, lazy; got ['gate'].",
    ),
    "choice": (
        lambda: arguments.choice("loss", "hinge", ("identity", "logistic")),
        "loss must be one of identity, logistic; got 'hinge'.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_message_names_the_argument_and_what_came(case, rejects):
    check, words = WRONG[case]
    with rejects(words):
        check()


def test_arrays_keep_floating_dtypes_and_make_floats_of_the_rest():
    assert arguments.array("x", jnp.ones(2, jnp.float32)).dtype == jnp.float32
    assert arguments.array("x", [1, 2]).dtype == jnp.float64
    assert arguments.array("x", [True]).dtype == jnp.float64


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float8_e4m3fn])
def test_short_floats_are_read_in_float32(dtype):
    third = jnp.full(3, 1 / 3, dtype)
    p = networks.TwoLayer(w=third[:2][None], b=third[:1], a=third[:1])
    read = [
        arguments.real("x", third),
        arguments.matrix("x", third[None]),
        arguments.shaped("x", third, (3,)),
        arguments.number("eps", third, low=0.0),
        jax.jit(lambda eps: arguments.scalar("eps", eps))(third[0]),
        *jax.tree.leaves(network(p)),
    ]
    for found in read:
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, third[0].astype(jnp.float32))
    # Numbers that are known become Python's, of the same value.
    assert arguments.scalar("eps", third[0]) == arguments.slope(third[0]) == float(third[0])
    assert arguments.labels("y", jnp.ones(2, dtype)).dtype == jnp.float32
    assert arguments.number("eps", 0.5) == 0.5 and isinstance(arguments.number("eps", 0.5), float)


def test_two_sets_of_points_come_back_in_the_wider_dtype():
    x, z = jnp.ones((1, 2), jnp.float32), jnp.ones((3, 2))
    with jax.numpy_dtype_promotion("strict"):
        assert [v.dtype for v in arguments.pair(x, z)] == [jnp.float64, jnp.float64]
        assert [v.dtype for v in arguments.pair(x, x.astype(jnp.bfloat16))] == [jnp.float32] * 2


def test_a_models_result_is_rounded_to_the_short_dtype_of_all_that_came():
    result, short = jnp.full(2, 1 / 3, jnp.float32), jnp.ones(2, jnp.bfloat16)
    assert arguments.rounded(result, {"w": short}, short).dtype == jnp.bfloat16
    for other in (short.astype(jnp.float16), result, [1.0], jnp.ones(2, int)):
        assert arguments.rounded(result, short, other) is result
    assert arguments.rounded(result, jnp.ones(2)) is result


def test_good_values_come_back():
    matrix = jnp.arange(6.0).reshape(2, 3)
    assert arguments.matrix("x", matrix, rows=2, columns=3) is matrix
    first, second = arguments.pair(matrix, matrix[:1])
    assert first.shape == (2, 3) and second.shape == (1, 3)
    np.testing.assert_array_equal(arguments.labels("y", [1, -1], length=2), [1.0, -1.0])
    assert arguments.shaped("x", matrix, (2, None)) is matrix
    assert jnp.isnan(arguments.real("x", [jnp.nan, 1]))[0]
    np.testing.assert_array_equal(arguments.integers("j", [3, 1], shape=(2,)), [3, 1])
    np.testing.assert_array_equal(arguments.flags("rare", [True], (None,)), [True])
    assert arguments.number("eps", 0.0, low=0.0, high=0.0) == 0.0
    assert arguments.scalar("eps", np.float32(0.5), high=1.0) == 0.5
    assert arguments.slope(0) == 0
    for size in (0.0, 1e-300, 1.0, 1e300):
        singular = size * jnp.ones((3, 3))
        assert arguments.kernel_matrix("k", singular, size=3) is singular
    rounded = jnp.ones((2, 2), jnp.float32).at[0, 1].add(1e-6)
    assert arguments.kernel_matrix("k", rounded) is rounded
    assert arguments.integer("m", np.int64(3)) == 3
    assert arguments.integer("m", 0, low=0) == 0
    assert arguments.choice("loss", "identity", ("identity",)) == "identity"
    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        assert arguments.key("key", key) is key


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_integers_of_any_length_meet_numbers_that_they_cannot_hold(dtype):
    found = arguments.integers("y", np.array([0, 100], dtype), shape=(2,))
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_array_equal(found + 3 * jnp.arange(2) * 100 < 300, [True, False])


def test_a_record_comes_back_with_floats_and_the_fields_that_are_not_named(unannotated):
    p = networks.TwoLayer(w=jnp.ones((2, 3), int), b=jnp.full(2, jnp.nan), a=[1, 2])
    found = arguments.record("p", p, networks.TwoLayer, w="m d", b="m")
    assert found.w.dtype == float and jnp.all(jnp.isnan(found.b)) and found.a == [1, 2]


def test_traced_values_pass_and_shapes_are_still_checked():
    @jax.jit
    def unchecked(x, y, eps):
        arguments.matrix("x", x)
        arguments.labels("y", y)
        return arguments.number("eps", eps, low=0.0) + jnp.sum(x) + jnp.sum(y)

    assert jnp.isnan(unchecked(jnp.full((1, 1), jnp.nan), jnp.array([3.0]), -1.0))
    with pytest.raises(ValueError, match="x must be a non-empty matrix"):
        unchecked(jnp.ones(2), jnp.ones(2), 1.0)


def test_constants_that_a_traced_function_closes_over_are_checked():
    wrong = jnp.array([0.0])
    with pytest.raises(ValueError, match="y must hold only"):
        jax.jit(lambda x: x + arguments.labels("y", wrong))(jnp.ones(1))


def test_holds_reads_values_that_are_known():
    assert arguments.holds(operator.gt, jnp.array([2, 3]), 1)
    assert not arguments.holds(operator.gt, jnp.array([1, 2]), 1)


def test_numbers_take_the_dtype_of_the_arrays_that_they_meet():
    row = jnp.ones(2, jnp.float32)
    for value in (np.float64(0.1), np.array(0.1), jnp.asarray(0.1), 0.1):
        with jax.numpy_dtype_promotion("strict"):
            found = arguments.scalar("eps", value) * row
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, np.float32(0.1))
    assert arguments.number("lr", np.array([0.1, 0.2])).shape == (2,)
    assert isinstance(arguments.number("steps", np.int64(3)), int)
