"""Learning from perturbations of images: one small run on the digits, its configs and its data."""

import dataclasses

import numpy as np
import pytest

from twolayer.sims.components import data
from twolayer.sims.engine import execution
from twolayer.sims.perturbation.orthogonal import images
from twolayer.sims.perturbation.orthogonal.image_cells import CELLS, STUDY
from twolayer.sims.perturbation.orthogonal.images import BASES, NORMS, Config

CONFIG = dataclasses.replace(
    CELLS["default"]["digits"][0], num_test=250, epochs_standard=15, epochs=15, steps=10
)


@pytest.fixture(scope="module")
def found():
    inputs = execution.load_inputs(STUDY, CONFIG)
    (results,) = execution.results(STUDY, CONFIG, [0], inputs.checksum)
    return results


def of(found, name, base, norm):
    return found[name][BASES.index(base), NORMS.index(norm)]


def test_networks_learn_from_perturbations_and_from_nothing_else(found):
    assert found["standard_acc"][-1] > 0.85
    # The labels say another class than the images, or the images are noise: with the perturbation
    # accuracy is far above chance, without it at chance (noise) or below (the image's own class is
    # never the label).
    assert of(found, "acc", "random", "l2").max() > 0.3
    assert of(found, "acc", "noise", "l2").max() > 0.6
    assert of(found, "acc", "random", "none")[-1] < 0.15
    assert of(found, "acc", "deterministic", "none")[-1] < 0.15
    assert of(found, "acc", "noise", "none")[-1] < 0.25
    # Targets that follow from the class are learned from the images rather than perturbations.
    assert of(found, "acc", "deterministic", "l2")[-1] < of(found, "acc", "random", "l2")[-1]
    assert of(found, "loss", "deterministic", "none")[-1] < 0.1


def test_controls_are_not_perturbed_and_attacks_keep_their_budgets(found):
    for base in BASES:
        assert np.all(of(found, "size", base, "none") == 0)
        np.testing.assert_array_equal(
            of(found, "example_perturbed", base, "none"), found["example"][BASES.index(base)]
        )
        assert 0 < of(found, "size", base, "l2")[0] <= CONFIG.eps_l2
        assert 0 < of(found, "size", base, "linf")[1] <= CONFIG.eps_linf
        assert 0 < of(found, "size", base, "l0")[2] <= CONFIG.coordinates
        for norm in ("l2", "linf", "l0"):
            assert of(found, "success", base, norm) > of(found, "success", base, "none") + 0.1
    deltas = found["example_perturbed"] - found["example"][:, None]
    deltas = deltas.reshape(*deltas.shape[:3], -1)
    assert np.all(np.linalg.norm(deltas[:, 0], axis=-1) <= CONFIG.eps_l2 * (1 + 1e-5))
    assert np.all(np.abs(deltas[:, 1]) <= CONFIG.eps_linf * (1 + 1e-5))
    assert np.all(np.sum(deltas[:, 2] != 0, axis=-1) <= CONFIG.coordinates)
    assert np.all((found["example_perturbed"] >= 0) & (found["example_perturbed"] <= 1))


def test_targets_are_never_the_class_of_the_image(found):
    classes, targets = found["example_label"], found["example_target"]
    np.testing.assert_array_equal(targets[BASES.index("deterministic")], (classes + 1) % 10)
    assert np.all(targets[BASES.index("random")] != classes)
    assert np.all((targets >= 0) & (targets < 10))
    loaded = data.load_images("digits")
    np.testing.assert_array_equal(classes, loaded.train_y[: CONFIG.num_examples])
    np.testing.assert_array_equal(
        found["example"][0].reshape(CONFIG.num_examples, -1),
        loaded.train_x[: CONFIG.num_examples],
    )


def test_random_targets_are_uniform_over_the_other_classes():
    import jax
    import jax.numpy as jnp

    n = 9000
    y = jnp.full(n, 3, jnp.int32)
    random, _, noise = images._targets(jax.random.key(0), BASES, y, n)
    for drawn, classes in ((random, 9), (noise, 10)):
        counts = np.bincount(drawn, minlength=10)
        expected = n / classes
        kept = counts[counts > 0]
        assert len(kept) == classes
        assert np.abs(kept - expected).max() < 5 * expected**0.5
    assert not np.any(random == 3)


def test_results_are_float32_and_finite(found):
    for name, array in found.items():
        integers = name in ("example_label", "example_target")
        assert array.dtype == (np.int32 if integers else np.float32), name
        assert np.isfinite(array).all(), name


def test_rates_and_budgets_share_a_compile():
    changed = dataclasses.replace(
        CONFIG, eps_l2=0.1, eps_linf=0.1, steps=3, coordinates=1, rate=0.2, rates=(0.1,) * 4
    )
    keys = {execution._program_key(STUDY, config, 1) for config in (CONFIG, changed)}
    assert len(keys) == 1


def test_inputs_are_whole_images():
    inputs = images.images(CONFIG)
    assert inputs.arrays["train_x"].shape == (1348, 8, 8, 1)
    assert inputs.arrays["test_x"].shape == (449, 8, 8, 1)
    x = inputs.arrays["train_x"]
    assert inputs.arrays["mean"].shape == inputs.arrays["deviation"].shape == (1, 1, 1, 1)
    np.testing.assert_allclose(inputs.arrays["mean"].item(), x.mean(), rtol=1e-5)
    np.testing.assert_allclose(inputs.arrays["deviation"].item(), x.std(), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bases": ()}, "bases must be distinct, at least one"),
        ({"bases": ("noise", "noise")}, "bases must be distinct"),
        ({"bases": ("fog",)}, "bases must be one of random, deterministic, noise; got 'fog'"),
        ({"norms": ("l1",)}, "norms must be one of l2, linf, l0, none; got 'l1'"),
        ({"rates": (0.1,)}, "rates must be one for each of"),
        ({"rates": (0.1, 0.1, 0.1, -1.0)}, "rates must be in [0"),
        ({"shape": (8, 8)}, "shape must be (height, width, channels); got (8, 8)"),
        ({"linf_style": "clip"}, "linf_style must be one of"),
        ({"width": 0.0}, "width must be in (0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"eps_l2": -1.0}, "eps_l2 must be in [0"),
    ],
)
def test_wrong_configs_are_named(changes, words, rejects):
    with rejects(words):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (28, 28, 1)}, "shape must be (8, 8, 1) for digits; got (28, 28, 1)"),
        ({"num_train": 2000}, "num_train must be at most 1348 for digits; got 2000"),
        ({"num_test": 2000}, "num_test must be at most 449"),
        ({"num_perturbed": 1349}, "num_perturbed must be at most 1348"),
        ({"dataset": "no-such-images"}, "not found"),
    ],
)
def test_data_that_does_not_fit_is_named(changes, words, rejects):
    with rejects(words):
        images.images(dataclasses.replace(CONFIG, **changes))


def test_noise_needs_no_images():
    noise = dataclasses.replace(CONFIG, bases=("noise",), num_perturbed=5000)
    assert images.images(noise).arrays["train_x"].shape[0] == 1348


def test_paper_scale_is_the_published_setting():
    cells = CELLS["paper"]
    for dataset, epochs, coordinates in (("mnist", 100, 10), ("fashion-mnist", 200, 35)):
        config, _ = cells[f"{dataset}/natural"]
        assert config == Config(
            dataset=dataset,
            shape=(28, 28, 1),
            bases=("random", "deterministic"),
            epochs=epochs,
            epochs_standard=epochs,
            coordinates=coordinates,
        )
        noise, _ = cells[f"{dataset}/noise=1200000/l2"]
        assert (noise.num_perturbed, noise.epochs, noise.rates) == (1200000, 300, (0.01,))
    assert (Config().width, Config().steps, Config().eps_l2, Config().eps_linf) == (1, 100, 2, 0.3)
    assert STUDY.optional(cells["mnist/natural"][0]) and not STUDY.optional(CONFIG)
