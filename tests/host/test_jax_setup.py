"""Settings that decide numbers; work in processes: order, errors, and where it is done."""

import math
import multiprocessing
import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.host import jax_setup, process_pool

# What a user's process may have set; the generators have keys of 2, 4, 4 and 1 words.
SETTINGS = {
    "float32": (jax.enable_x64, False),
    "rbg": (jax.default_prng_impl, "rbg"),
    "philox2x32": (jax.default_prng_impl, "philox2x32"),
    "not partitionable": (jax.threefry_partitionable, False),
    "strict": (jax.numpy_dtype_promotion, "strict"),
}
settings = pytest.mark.parametrize("setting", SETTINGS)


def _drawn():
    """Numbers to the last bit, from a key with and one without a named generator."""
    keys = [jax.random.key(7), *jax.random.split(jax_setup.key(2**40 + 7))]
    return np.concatenate([jax.jit(jax.random.normal, static_argnums=1)(key, (5,)) for key in keys])


@settings
def test_numerics_decides_numbers_whatever_is_set(setting):
    expected = _drawn()
    assert expected.dtype == np.float64
    set_, value = SETTINGS[setting]
    with set_(value):
        with jax_setup.numerics():
            found = _drawn()
        as_decorated = jax_setup.numerics()(_drawn)()
        assert set_.value == value  # it is as it was
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(as_decorated, expected)


def test_dtypes_may_meet_within_numerics():
    with jax.numpy_dtype_promotion("strict"), jax_setup.numerics():
        assert (jnp.ones(2, jnp.float32) + jnp.arange(2.0)).dtype == jnp.float64


def test_numerics_ends_with_an_error():
    with jax.enable_x64(False):
        with pytest.raises(RuntimeError), jax_setup.numerics():
            raise RuntimeError
        assert jnp.zeros(()).dtype == jnp.float32


@settings
@pytest.mark.parametrize("seed", [0, 7, 2**32 + 3, 2**63 - 1])
def test_root_key_is_that_of_jax_with_default_settings(setting, seed):
    expected = jax.random.key_data(jax.random.key(seed))
    set_, value = SETTINGS[setting]
    with set_(value):
        key = jax_setup.key(seed)
        assert str(jax.random.key_impl(key)) == "threefry2x32"
        np.testing.assert_array_equal(jax.random.key_data(key), expected)


@settings
def test_keys_of_any_kind_become_keys_of_one_generator(setting):
    expected = jax.random.key_data(jax.random.fold_in(jax.random.split(jax.random.key(7))[1], 3))
    set_, value = SETTINGS[setting]
    with set_(value):
        for make in (jax.random.key, jax.random.PRNGKey):
            given = jax.random.fold_in(jax.random.split(make(7))[1], 3)
            own = jax_setup.own_key(given)
            assert own.shape == () and str(jax.random.key_impl(own)) == "threefry2x32"
            if setting in ("float32", "rbg"):  # others split otherwise
                np.testing.assert_array_equal(jax.random.key_data(own), expected)
            assert jax_setup.own_key(jax.random.split(make(7), 3)).shape == (3,)


@pytest.mark.parametrize(
    "variables",
    [
        {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
        {"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_ENABLE_X64": "0"},
        {"JAX_RANDOM_SEED_OFFSET": "5"},
    ],
)
def test_variables_of_the_environment_change_no_number_of_a_command(variables):
    code = (
        "import jax; from twolayer.host import jax_setup; jax_setup.configure();"
        "key = jax.random.fold_in(jax_setup.key(7), 1);"
        "print(jax.random.normal(key, (3,)).tolist())"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **variables}
    folder = Path(__file__).parents[2]
    found = subprocess.check_output(command, env=environment, cwd=folder, text=True)
    with jax_setup.numerics():
        expected = jax.random.normal(jax.random.fold_in(jax_setup.key(7), 1), (3,)).tolist()
    assert found.strip() == str(expected)


def _process(_):
    return os.getpid()


def _backend(_):
    return os.environ.get("MPLBACKEND")


def _root(number):
    return math.sqrt(number)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(process_pool, "cores", lambda: 2)


def test_results_come_in_order_with_their_seconds(two_cores):
    found = list(process_pool.in_processes(math.factorial, [5, 3, 4]))
    assert [result for result, _ in found] == [120, 6, 24]
    assert all(seconds >= 0 for _, seconds in found)


def test_only_a_single_item_is_worked_on_here(two_cores):
    ((here, _),) = process_pool.in_processes(_process, [0])
    assert here == os.getpid()
    assert os.getpid() not in {
        process for process, _ in process_pool.in_processes(_process, [0, 1])
    }


def test_errors_arrive(two_cores):
    with pytest.raises(ValueError, match="math domain"):
        list(process_pool.in_processes(_root, [1.0, -1.0]))


def test_no_process_outlives_the_results_or_an_error(two_cores):
    # Python's own end would stumble over processes that are just ending.
    list(process_pool.in_processes(_process, [0, 1]))
    assert not multiprocessing.active_children()
    with pytest.raises(ValueError, match="math domain"):
        list(process_pool.in_processes(_root, [-1.0, 1.0]))
    assert not multiprocessing.active_children()


def test_processes_forget_the_backend_of_a_notebook(two_cores, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://no_such_module.backend_inline")
    assert [backend for backend, _ in process_pool.in_processes(_backend, [0, 1])] == [None, None]


def test_one_core_is_enough(monkeypatch):
    monkeypatch.setattr(process_pool, "cores", lambda: 1)
    found = [result for result, _ in process_pool.in_processes(_process, [0, 1])]
    assert found == [os.getpid()] * 2


def test_warnings_are_lines_and_name_the_folder_of_a_damaged_cache(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", None)
    jax_setup.warn_in_lines()
    assert warnings.formatwarning("two\nlines", UserWarning, "f", 1) == "warning: two lines\n"
    told = "Error reading persistent compilation cache entry for 'x': zlib error"
    line = warnings.formatwarning(UserWarning(told), UserWarning, "f", 1)
    folder = jax.config.jax_compilation_cache_dir
    assert line == f"warning: {told}; to be rid of it remove the folder {folder}\n"
