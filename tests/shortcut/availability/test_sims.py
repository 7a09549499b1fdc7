"""The stem shortcut.availability: trainings, kernels, closed forms, configs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import linalg

from twolayer.sims.components import models
from twolayer.sims.engine import execution
from twolayer.sims.shortcut.availability import experiment, training
from twolayer.sims.shortcut.availability.clusters import ClusterConfig
from twolayer.sims.shortcut.availability.four_points import PointConfig, effective_amplification
from twolayer.sims.shortcut.availability.kernels import KERNELS
from twolayer.sims.shortcut.availability.nesting import NestingConfig
from twolayer.sims.shortcut.availability.networks import NetworkConfig
from twolayer.sims.shortcut.availability.population import PopulationConfig
from twolayer.sims.shortcut.availability.samples import SampleConfig
from twolayer.theory.shortcut.availability import data, four_points
from twolayer.theory.shortcut.availability import shortcut_bias as theory

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
SMOKE = {name: next(iter(STUDIES[name].cells["smoke"].items()))[1][0] for name in STUDIES}
RELU = STUDIES["network"].cells["smoke"]["relu-1"][0]


def run(study, config, seed=0):
    return execution.results(STUDIES[study], config, [seed], None)[0]


# Networks.


def dense_outputs(network, key):
    """Outputs and weights of a network on inputs in the plane, and those of a usual perceptron."""
    x = jax.random.normal(key, (7, 2), jnp.float32)
    basis = data.unit_embedding(key, 6).T.astype(jnp.float32)
    vector = network.initialise(key) + 0.1
    return x, basis, vector, network.apply(vector, x, basis)


@pytest.mark.parametrize("activation, depth", [("linear", 0), ("relu", 1), ("tanh", 2)])
def test_networks_in_the_plane_are_perceptrons_on_inputs_in_all_dimensions(activation, depth):
    network = training.flat_network(activation, depth, 5, 6)
    x, basis, vector, outputs = dense_outputs(network, jax.random.key(3))
    usual = models.MLP((5,) * depth, 1, training.ACTIVATIONS[activation])
    tree = usual.init(jax.random.key(0), x @ basis)
    # Both list a layer's bias before its kernel, first layer first, output layer last but for
    # names: "Dense_0" to "Dense_L" of the one are "Embedded_0", "Dense_0" to "Dense_{L-1}".
    sizes = [6, *(5,) * depth]
    layers, rest = {}, np.asarray(vector)
    names = [f"Dense_{i}" for i in range(depth)] + ["Embedded_0"]
    for name in names:
        i = 0 if name == "Embedded_0" else int(name[-1]) + 1
        out = 5 if i < depth else 1
        bias, rest = np.split(rest, [out])
        kernel, rest = np.split(rest, [sizes[i] * out])
        layers[f"Dense_{i}"] = {"bias": bias, "kernel": kernel.reshape(sizes[i], out)}
    assert rest.size == 0
    assert jax.tree.structure({"params": layers}) == jax.tree.structure(tree)
    expected = usual.apply({"params": layers}, x @ basis)[:, 0]
    np.testing.assert_allclose(outputs, expected, rtol=2e-5, atol=2e-6)


def test_initial_weights_are_hes():
    network = training.flat_network("relu", 2, 200, 100)
    vector = np.asarray(network.initialise(jax.random.key(0)))
    unit = network.apply(jnp.asarray(vector), jnp.ones((1, 2)), jnp.eye(2, 100))
    assert vector.dtype == np.float32 and unit.shape == (1,)
    counts = {0.0: 401, (2 / 200) ** 0.5: 200 * 200 + 200, (2 / 100) ** 0.5: 100 * 200}
    assert (vector == 0).sum() == counts[0.0]
    variance = sum(size * scale**2 for scale, size in counts.items()) / vector.size
    assert vector.var() == pytest.approx(variance, rel=0.03)


def test_training_is_full_batch_adam_on_all_coordinates():
    config = NetworkConfig(n=20, dim=6, width=4, steps=6, every=3, rate=0.01, num_points=2)
    network = training.flat_network("tanh", 1, 4, 6)
    x, basis, start, _ = dense_outputs(network, jax.random.key(1))
    y = jnp.array([1, -1, 1, -1, 1, -1, 1], jnp.float32)
    fit = training.train(network, start, x, basis, y, x[:3], config)

    def loss(vector):  # on the inputs themselves
        outputs = network.apply(vector, x @ basis, jnp.eye(6, dtype=jnp.float32))
        return jnp.mean(jnp.log1p(jnp.exp(-y * outputs)))

    adam = optax.adam(0.01)
    vector, state = start, adam.init(start)
    for step in range(1, 7):
        updates, state = adam.update(jax.grad(loss)(vector), state)
        vector = vector + updates
        if step % 3 == 0:
            assert fit.loss[step // 3 - 1] == pytest.approx(float(loss(vector)), rel=1e-4)
    assert fit.gradient == pytest.approx(float(jnp.linalg.norm(jax.grad(loss)(vector))), rel=1e-3)
    np.testing.assert_allclose(fit.outputs[-1], network.apply(vector, x[:3], basis), rtol=1e-3)


@functools.cache
def networks():
    return run("network", RELU, seed=1)


def test_what_is_recorded_of_networks():
    found = networks()
    mu = np.asarray(theory.mu_from_rho(jnp.array([RELU.rho_s[-1], RELU.rho_c])))
    probes = np.asarray(theory.probe_grid(mu, RELU.num_probes))
    conflict = probes[:, 0] * probes[:, 1] < 0

    def reliance(values):
        decided = np.where(values >= 0, 1, -1)
        return np.mean(decided[conflict] * np.sign(probes[conflict, 0]))

    w, b = found["lda"][:2], found["lda"][2]
    assert found["reference"][-1] == pytest.approx(reliance(probes @ w + b), abs=1e-12)
    for place in range(len(RELU.ratios)):
        bias = reliance(found["surface"][place].ravel()) - found["reference"][-1]
        assert found["bias"][-1, place, -1] == pytest.approx(bias, abs=1e-12)
    assert set(np.unique(found["label"])) == {-1, 1}
    assert np.all(found["loss"][..., -1] < found["loss"][..., 0])
    assert found["surface"].dtype == np.float32 and found["bias"].dtype == np.float64


def test_attenuated_cores_are_amplified_shortcuts_of_smaller_inputs():
    # At ratio 1 both are the same; else the inputs differ by the ratio.
    attenuated = run("network", dataclasses.replace(RELU, scaling="attenuate"), seed=1)
    found = networks()
    np.testing.assert_array_equal(attenuated["loss"][:, 0], found["loss"][:, 0])
    assert np.abs(attenuated["loss"][:, 1] - found["loss"][:, 1]).min() > 1e-3


def test_a_linear_model_is_unbiased_once_it_has_converged_and_biased_before():
    config = dataclasses.replace(
        STUDIES["network"].cells["smoke"]["linear"][0], n=1000, steps=600, every=20, rate=0.02
    )
    found = run("network", config)
    assert found["bias"][1, 1, 0] > 0.3 > 0.06 > abs(found["bias"][1, 1, -1])
    excess = found["loss"][..., -1] - found["reference_loss"][:, None]
    assert np.all(np.abs(excess) < 2e-3)


# Nesting.


def test_nesting_leaves_out_nothing_and_moves_its_reference():
    config = dataclasses.replace(SMOKE["nesting"], n=200, layers=(0, 1), dim=40)
    found = run("nesting", config)
    assert found["left_out"].max() < 6e-8
    assert found["reference"][0] == found["latent_reference"]
    np.testing.assert_allclose(found["bias"][0], found["latent_bias"][0], atol=1e-15)
    gap = found["latent_bias"] - found["bias"]
    np.testing.assert_allclose(
        gap, np.broadcast_to((found["reference"] - found["latent_reference"])[:, None], gap.shape)
    )
    # Without layers the core's length is that of its latent.
    mu = float(theory.mu_from_rho(0.9))
    assert found["core_size"][0] == pytest.approx((1 + mu**2) ** 0.5, rel=0.1)
    assert found["core_size"][1] != pytest.approx(found["core_size"][0], rel=1e-3)


# Kernels.


@functools.cache
def population(kernel):
    config = PopulationConfig(
        kernel=kernel, rho_s=(0.7, 0.85), ratios=(1.0, 4.0), taus=(1e-3, 1.0, 10.0, 100.0, 1e3)
    )
    return run("population", config)


def test_population_table():
    for kernel, row in (
        ("linear", (1.600, 1.591, 1.396, 0.133, 0)),
        ("relu-bias", (1.600, 1.582, 1.387, 0.187, -0.009)),
        ("relu-2", (1.600, 1.573, 1.378, 0.178, 0)),
        ("erf-bias", (1.556, 1.529, 1.031, 0.124, 0.036)),
    ):
        np.testing.assert_allclose(population(kernel)["bias"][1, 1], row, atol=0.02)
    exact = (1.576503, 1.563825, 1.374055, 0.112191)
    # The first is the limit of short times.
    np.testing.assert_allclose(population("linear")["linear"][1, 1, :4], exact, atol=3e-3)
    found = population("relu-bias")
    np.testing.assert_allclose(found["eigenvalue"][0, 1], (22.812, 1.507, 0.203), atol=1e-3)
    assert np.all(np.diff(found["mse"]) < 0)


def test_relu_without_bias_has_the_linear_path():
    linear, relu = population("linear"), population("relu")
    np.testing.assert_allclose(relu["mse"], linear["mse"], rtol=1e-10)
    assert np.abs(relu["bias"] - linear["bias"]).max() <= 4 / 450 + 1e-12
    assert np.abs(population("relu-2")["mse"] - linear["mse"]).max() > 1e-3


@functools.cache
def sample(kernel):
    config = SampleConfig(kernel=kernel, n=60, ratios=(1.0, 4.0), taus=(1.0, 30.0), num_probes=10)
    return config, run("sample", config)


@pytest.mark.parametrize("kernel", ["linear", "relu-bias"])
def test_kernel_regression_in_time(kernel):
    config, found = sample(kernel)
    rho = jnp.array([config.rho_s, config.rho_c])
    z, y = map(np.asarray, data.sample_latents(jax.random.key(0), 60, rho, 0.6))
    probes = np.asarray(theory.probe_grid(theory.mu_from_rho(rho), 10))
    alpha = np.array([4.0, 1.0])
    gram = np.asarray(KERNELS[kernel](jnp.asarray(z * alpha), jnp.asarray(z * alpha))) / 60
    cross = np.asarray(KERNELS[kernel](jnp.asarray(probes * alpha), jnp.asarray(z * alpha))) / 60
    largest = np.linalg.eigvalsh(gram)[-1]
    assert found["eigenvalue"][1] == pytest.approx(largest, rel=1e-9)
    w, b = data.lda_fit(jnp.asarray(z), jnp.asarray(y))
    best = np.where(probes @ np.asarray(w) + float(b) >= 0, 1, -1)
    conflict = probes[:, 0] * probes[:, 1] < 0

    def bias(outputs):
        gap = np.where(outputs >= 0, 1, -1) - best
        return np.mean(gap[conflict] * np.sign(probes[conflict, 0]))

    for place, tau in enumerate(config.taus):
        # The integral of exp(-sK) by an augmented matrix, which needs no inverse.
        t = tau / largest
        block = linalg.expm(np.block([[-t * gram, t * np.eye(60)], [np.zeros((60, 120))]]))
        weights = block[:60, 60:] @ y
        assert found["bias"][1, place] == pytest.approx(bias(cross @ weights), abs=1e-9)
        assert found["loss"][1, place] == pytest.approx(np.mean((gram @ weights - y) ** 2))
    if kernel == "linear":
        last = cross @ linalg.pinvh(gram, rtol=1e-9) @ y
        assert found["last_bias"][1] == pytest.approx(bias(last), abs=1e-9)
    else:
        assert found["last_loss"][1] < 1e-6


# Closed forms.


def test_every_kernel_on_four_points_is_a_linear_one():
    for name in ("linear", "relu-bias", "erf-bias"):
        direct = four_points.four_point(KERNELS[name], (2.0, 1.0), 0.7, 0.9)
        effective = effective_amplification(KERNELS[name], jnp.asarray(2.0))
        through = four_points.four_point(KERNELS["linear"], effective, 0.7, 0.9)
        for attribute in ("kappa", "lam", "modes", "t_switch"):
            np.testing.assert_allclose(
                getattr(through, attribute), getattr(direct, attribute), rtol=1e-9
            )


def test_four_points_and_spectra():
    config = SMOKE["points"]
    found = run("points", config)
    two = config.alphas.index(2.0)
    deep = config.kernels.index("relu-2")
    assert found["kappa"][0, two] == pytest.approx(0.6, abs=1e-12)
    assert found["switch"][0, two] == pytest.approx(2.089507, abs=1e-6)
    assert found["switch"][deep, two] == pytest.approx(0.935047, abs=1e-6)
    assert found["critical"][0] == pytest.approx(2**0.5, abs=1e-12)
    assert found["critical"][deep] > found["critical"][0]
    # The dip is the least of the course, which is followed here step by step.
    direct = four_points.four_point(KERNELS["relu-2"], (4.0, 1.0), 0.7, 0.9)
    course = np.asarray(direct.f(np.linspace(0, 1, 4001)))[:, 1]
    assert found["dip"][deep, config.alphas.index(4.0)] == pytest.approx(course.min(), abs=1e-6)
    assert np.all(np.isnan(found["switch"]) == (found["dip"] == 0))
    np.testing.assert_allclose(
        found["angular"][1, :4], (1.0825052, 1.175579, 0.4417211, 0.0974965), atol=1e-7
    )


def test_spectra_of_clusters():
    config = SMOKE["clusters"]
    found = run("clusters", config)
    exact = [[2 * b + 0.01, 2 * (1 - b) + 0.01] for b in config.masses]
    np.testing.assert_allclose(found["exact"], exact, atol=1e-14)
    assert np.all(np.abs(found["sampled"][0, :, 2:]) < 1e-12)
    gaps = np.abs(found["sampled"] - found["empirical"])
    assert 1e-4 < gaps[1].max() < 0.35


# Configs.


@pytest.mark.parametrize(
    "config, words, wrong",
    [
        (NetworkConfig, "activation must be one of", dict(activation="sine")),
        (NetworkConfig, "activation must be linear where depth is 0", dict(depth=0)),
        (NetworkConfig, "n must be even", dict(n=31)),
        (NetworkConfig, "num_probes must be even", dict(num_probes=7)),
        (NetworkConfig, "steps must be a multiple of every", dict(steps=30, every=20)),
        (NetworkConfig, "rate must be in (0,", dict(rate=0.0)),
        (NetworkConfig, "rho_s must be in (0.5, 1)", dict(rho_s=(0.5,))),
        (NetworkConfig, "ratios must hold at least one", dict(ratios=())),
        (NetworkConfig, "ratios must be in (0,", dict(ratios=(0.0,))),
        (NetworkConfig, "num_points must be at most n", dict(n=10, num_points=11)),
        (NetworkConfig, "scaling must be one of", dict(scaling="up")),
        (NestingConfig, "layers must hold", dict(layers=())),
        (NestingConfig, "layers must be at least 0", dict(layers=(-1,))),
        (NestingConfig, "gain must be in (0,", dict(gain=0.0)),
        (PopulationConfig, "kernel must be one of", dict(kernel="cubic")),
        (PopulationConfig, "taus must be in (0,", dict(taus=(0.0,))),
        (PopulationConfig, "num_nodes must be at least 1", dict(num_nodes=0)),
        (SampleConfig, "n must be even", dict(n=5)),
        (SampleConfig, "rho_s must be in (0.5, 1)", dict(rho_s=1.0)),
        (PointConfig, "kernels must be one of", dict(kernels=("cubic",))),
        (PointConfig, "rho_s must be in (0.5, 0.9)", dict(rho_s=0.95)),
        (PointConfig, "depths must be at least 1", dict(depths=(0,))),
        (ClusterConfig, "masses must be in [0.5, 1)", dict(masses=(1.0,))),
    ],
)
def test_wrong_configs_are_named(config, words, wrong, rejects):
    with rejects(words):
        config(**wrong)
