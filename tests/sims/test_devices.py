"""One computation on several virtual devices against the same on one, and against theory's own."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sims import on_devices
from twolayer.sims.components import devices, sharded
from twolayer.sims.engine import execution
from twolayer.theory.kernels import activations, shallow
from twolayer.theory.training import dual, gradient_descent

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What a process with eight virtual devices has computed on meshes of all sizes."""
    file = tmp_path_factory.mktemp("devices") / "results.npz"
    # Compiling is most of its time, and takes half of it at this level.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.sims.on_devices", str(file)]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    with np.load(file) as archive:
        arrays = dict(archive)

    def of(n, k):
        start = f"{n} {k} "
        return {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}

    return of


@functools.cache
def expected(n):
    """By the functions of theory and numpy, on one device and without a mesh."""
    given = {name: jnp.asarray(array) for name, array in on_devices.samples(n).items()}
    x, z = given["x"], given["z"]
    results = {}
    for kind, kernel in sharded.KINDS.items():
        results[f"gram {kind}"] = kernel(x, z, 0.1)
    results["matvec"] = np.asarray(given["weights"]) @ np.asarray(results["gram lazy"])
    system = np.asarray(shallow.lazy_kernel(x, x, 0.1)) + on_devices.RIDGE * np.eye(n)
    results["ridge"] = np.linalg.solve(system, given["y"])
    coef, trace = dual.train_dual(
        given["pre"], gradient_descent.gram_matrix(x), given["y"], given["a"], **on_devices.OPTIONS
    )
    results["train coef"] = coef
    results |= {f"train {name}": leaf for name, leaf in vars(trace).items()}
    gammas = np.linspace(0, 1, len(on_devices.SEEDS))
    cells = [
        on_devices.cell({"seed": seed, "gamma": gamma})
        for seed, gamma in zip(on_devices.SEEDS, gammas, strict=True)
    ]
    return results | {f"cells {name}": np.stack([c[name] for c in cells]) for name in cells[0]}


def assert_same(result, reference):
    assert result.shape == reference.shape
    assert np.max(np.abs(result - reference)) <= 1e-12 * np.max(np.abs(reference))


@pytest.mark.parametrize(("n", "k"), on_devices.SIZES)
def test_results_are_those_of_one_device(computed, n, k):
    results = computed(n, k)
    for name, reference in expected(n).items():
        result = results[name]
        if name.startswith("gram"):
            assert result.shape[0] == -(-n // k) * k and not np.any(result[n:])
            result = result[:n]
        assert_same(result, np.asarray(reference))


@pytest.mark.parametrize(("n", "k"), on_devices.SIZES)
def test_a_device_holds_its_share_of_a_kernel_matrix(computed, n, k):
    for kind in sharded.KINDS:
        assert computed(n, k)[f"rows of a device {kind}"] == -(-n // k)


@pytest.fixture(scope="module")
def alone():
    """The cells of the seeds one by one, on one device."""
    cells = {}
    for seed in range(max(on_devices.SEED_COUNTS)):
        config = on_devices.Config(gamma=0.25)
        (arrays,) = execution.results(on_devices.STUDY, config, [seed], "checksum")
        cells |= {f"{seed} {name}": array for name, array in arrays.items()}
    return cells


@pytest.mark.parametrize("count", on_devices.SEED_COUNTS)
def test_cells_of_one_call_are_those_of_one_device(computed, alone, count):
    cells = computed("seeds", count)
    assert cells.pop("devices") == min(count, 8)
    assert len(cells) == 3 * count
    for name, array in cells.items():
        np.testing.assert_array_equal(array, alone[name], strict=True)


@pytest.fixture
def mesh():
    return devices.mesh()


def test_an_activation_may_stand_for_the_slope(mesh):
    x = jnp.asarray(on_devices.samples(6)["x"])
    erf = activations.erf()
    assert_same(sharded.gram(mesh, x, x, erf, kind="nngp"), shallow.nngp_kernel(x, x, erf))


def test_float32_stays_and_is_solved_to_its_own_precision(mesh):
    given = {name: jnp.asarray(a, jnp.float32) for name, a in on_devices.samples(64).items()}
    weights = sharded.kernel_ridge(mesh, given["x"], given["y"], 0.1, ridge=0.5)
    assert weights.dtype == jnp.float32
    matrix = np.asarray(shallow.gate_kernel(given["x"], given["x"], 0.1), float)
    reference = np.linalg.solve(matrix + 0.5 * np.eye(64), given["y"])
    assert np.max(np.abs(weights - reference)) <= 1e-4 * np.max(np.abs(reference))


def test_too_few_steps_of_conjugate_gradients_are_an_error_and_no_result(mesh, rejects):
    given = on_devices.samples(64)
    with rejects("max_steps=2 of conjugate gradients must reach a residual of 1000 rounding"):
        sharded.kernel_ridge(mesh, given["x"], given["y"], 0.1, ridge=1e-3, max_steps=2)


def test_targets_of_zero_have_weights_of_zero(mesh):
    x = on_devices.samples(5)["x"]
    assert not np.any(sharded.kernel_ridge(mesh, x, np.zeros(5), 0.1, ridge=1e-3))


def test_a_sweep_over_devices_compiles_once_for_a_function(mesh):
    traced = []

    def count(given):
        traced.append(given)
        return 2 * given

    for start in (0.0, 1.0):
        doubled = devices.map_cells(mesh, count, start + np.arange(3.0))
        np.testing.assert_array_equal(doubled, 2 * (start + np.arange(3.0)))
    assert len(traced) == 1


def train(mesh, given, **changes):
    arrays = (given[name] for name in ("pre", "x", "y", "a"))
    return sharded.train_dual(mesh, *arrays, **on_devices.OPTIONS | changes)


def test_an_array_of_one_number_stands_for_the_slope(mesh):
    given = on_devices.samples(6)
    ours, exact = train(mesh, given, gamma=jnp.array(0.1)), train(mesh, given)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(exact), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, s: devices.mesh([]), "devices must hold at least one device; got none"),
        (lambda m, s: sharded.gram(m, s["x"], s["z"], 1.5), "gamma must be in [0, 1); got 1.5"),
        (
            lambda m, s: sharded.gram(m, s["x"], s["z"], 0.1, kind="ntk"),
            "kind must be one of gate, nngp, lazy; got 'ntk'",
        ),
        (
            lambda m, s: sharded.gram(m, s["x"], s["z"], 0.1, kind=["gate"]),
            "kind must be one of gate, nngp, lazy; got ['gate']",
        ),
        (
            lambda m, s: sharded.gram(m, s["x"], s["z"], jnp.array([0.1, 0.2])),
            "gamma must be a scalar (batch by jax.vmap); got shape (2,)",
        ),
        (
            lambda m, s: train(m, s, gamma=jnp.array([0.1, 0.2])),
            "gamma must be a number or a word; got Array([0.1, 0.2]",
        ),
        (lambda m, s: train(m, s, loss=["logistic"]), "loss must be a number or a word; got ['l"),
        (lambda m, s: train(m, s, steps=[3]), "steps must be an integer; got [3]"),
        (
            lambda m, s: sharded.gram(m, s["x"], s["z"][:, 1:], 0.1),
            "x and z must have the same number of columns",
        ),
        (
            lambda m, s: sharded.kernel_matvec(m, s["x"], s["z"], s["weights"][1:], 0.1),
            "weights must have length 5; got 4",
        ),
        (
            lambda m, s: sharded.kernel_matvec(m, s["x"], s["z"], s["weights"], 0.1, block=0),
            "block must be at least 1; got 0",
        ),
        (
            lambda m, s: sharded.kernel_ridge(m, s["x"], s["y"], 0.1, ridge=0.0),
            "ridge must be in (0, inf); got 0.0",
        ),
        (
            lambda m, s: sharded.kernel_ridge(m, s["x"], s["y"][1:], 0.1, ridge=1.0),
            "y must have length 5; got 4",
        ),
        (
            lambda m, s: sharded.train_dual(
                m, s["pre"], s["x"], 2 * s["y"], s["a"], **on_devices.OPTIONS
            ),
            "y must hold only -1 and +1",
        ),
        (
            lambda m, s: sharded.train_dual(
                m, s["pre"][1:], s["x"], s["y"], s["a"], **on_devices.OPTIONS
            ),
            "pre must have 5 rows; got shape (4, 16)",
        ),
        (
            lambda m, s: devices.map_cells(
                m, on_devices.cell, {"seed": np.arange(2), "gamma": np.ones(1)}
            ),
            "cells must have one leading axis of one length; got [(1,), (2,)]",
        ),
        (
            lambda m, s: devices.map_cells(m, on_devices.cell, {"seed": np.zeros(0)}),
            "cells must have one leading axis of one length; got [(0,)]",
        ),
    ],
)
def test_wrong_arguments_are_named(mesh, rejects, call, words):
    with rejects(words):
        call(mesh, on_devices.samples(5))
