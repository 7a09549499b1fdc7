"""The stem shortcut.gradients: linear programmes, trainings on blocks, block images, claims."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.figures import figure_checks
from twolayer.sims.engine import execution
from twolayer.sims.shortcut.gradients import blocks as gradients_blocks
from twolayer.sims.shortcut.gradients import experiment, max_margin_lp
from twolayer.sims.shortcut.gradients import images as gradients_images
from twolayer.sims.shortcut.gradients.blocks import BlocksConfig
from twolayer.sims.shortcut.gradients.claims import blocks as gradients_claims
from twolayer.sims.shortcut.gradients.images import ImagesConfig
from twolayer.sims.shortcut.gradients.max_margin_lp import LpConfig
from twolayer.sims.shortcut.gradients.roar import RoarConfig
from twolayer.theory.shortcut.gradients import max_margin

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}


def run(study, config, seed=0):
    inputs = execution.load_inputs(STUDIES[study], config)
    return execution.results(STUDIES[study], config, [seed], inputs and inputs.checksum)[0]


# Linear programmes.


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_no_masses_on_many_neurons_have_a_larger_margin(m):
    found = max_margin_lp.solutions(LpConfig(signal=m, neurons=300)).arrays
    value = dict(zip(max_margin_lp.PROBLEMS, found["value"], strict=True))
    expected = {
        "all": 1 / (2 * np.sqrt(m + 1)),
        "bias-free": 1 / (4 * np.sqrt(m)),
        "axis": 1 / (2 * np.sqrt(2) * m),
        "axis, bias-free": 1 / (4 * m),
    }
    for problem, theory in expected.items():
        assert value[problem] == pytest.approx(theory, abs=1e-9)
    # All mass on the two, in equal parts; noise of every point's own is another matter.
    np.testing.assert_allclose(found["atoms"][:2], 1, atol=1e-9)
    np.testing.assert_allclose(found["imbalance"][:2], 0, atol=1e-9)
    assert np.isnan(found["atoms"][2:4]).all()
    assert value["own noise"] >= expected["all"] - 1e-12
    if m <= 3:
        assert value["own noise"] > expected["all"] + 1e-4 and found["atoms"][4] < 0.999


def test_a_programme_of_three_neurons_is_solved_by_hand():
    """Two neurons serve one point each with slopes 1 and 3; the third is worse than either."""
    w, r, b = np.array([1.0, -1.0, 0.1]), np.array([[1.0], [-3.0], [1.0]]), np.zeros(3)
    value, mass = max_margin_lp.solve(w, r, b, np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]))
    assert value == pytest.approx(0.75, abs=1e-12)
    np.testing.assert_allclose(mass, [0.75, 0.25, 0], atol=1e-12)


# Trainings on block data.

SMALL = BlocksConfig(
    signal=2, dim=3, width=6, init=0.7, noise=0.4, rows=8, draws=2, steps=4, records=4, points=4,
    eps=0.3, attack_steps=2,
)  # fmt: skip


def relu(value):
    return np.maximum(value, 0)


def train(config, key):
    """The training in numpy, neuron by neuron; losses and normalised margins."""
    key_noise, key_net, _ = jax.random.split(key, 3)
    x, y, _ = map(np.asarray, gradients_blocks._points(config, key_noise, config.rows, 2))
    normal = np.asarray(jax.random.normal(key_net, (config.width, config.dim + 1), jnp.float32))
    w = config.init * config.dim**-0.5 * normal[:, : config.dim].astype(float)
    a = config.init * config.width**-0.5 * normal[:, config.dim].astype(float)
    b = np.zeros(config.width)

    def output(x):
        return relu(x @ w.T + b) @ a

    losses, margins = [], []
    for _ in range(config.steps):
        moved = x.astype(float)
        seen = [(y * output(moved), moved)]
        for _ in range(config.attack_steps):
            gradient = ((moved @ w.T + b > 0) * a) @ w * y[:, None]
            shift = np.clip(moved - config.eps / 5 * np.sign(gradient) - x, -config.eps, config.eps)
            moved = x + shift
            seen.append((y * output(moved), moved))
        best = np.argmin([margin for margin, _ in seen], axis=0)
        moved = np.stack([points for _, points in seen])[best, np.arange(len(x))]
        pre = moved @ w.T + b
        margin = y * output(moved)
        losses.append(np.mean(np.log1p(np.exp(-margin))))
        force = -y / (1 + np.exp(margin)) / len(y)
        by_pre = force[:, None] * (pre > 0) * a
        a, w, b = (
            a - config.rate * force @ relu(pre),
            w - config.rate * by_pre.T @ moved,
            b - config.rate * by_pre.sum(axis=0),
        )
        mass = np.sum(a**2) + np.sum(w**2) + np.sum(b**2)
        margins.append(np.min(y * output(x)) / mass)
    return losses, margins


def test_training_is_gradient_descent_on_attacked_points():
    found = run("blocks", SMALL, seed=5)
    losses, margins = train(SMALL, jax.random.key(5))
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(found["margin"], margins, rtol=1e-4, atol=1e-6)
    assert found["loss"][-1] < found["loss"][0]


def test_points_are_those_of_the_theory_with_as_many_draws_of_noise_as_asked():
    config = dataclasses.replace(SMALL, signal=2, rows=16)
    x, y, place = map(np.asarray, gradients_blocks._points(config, jax.random.key(0), 16, 2))
    exact, labels, j = map(np.asarray, max_margin.block_points(2, 1))
    rows = {(*row[:2], label, at) for row, label, at in zip(exact, labels, j, strict=True)}
    assert rows == {(*row[:2], label, at) for row, label, at in zip(x, y, place, strict=True)}
    np.testing.assert_allclose(np.abs(x[:, 2]), 0.4)
    np.testing.assert_array_equal(x[4:8], x[8:12])
    many = np.asarray(gradients_blocks._points(config, jax.random.key(0), 16, 16)[0])
    assert np.any(many[4:8] != many[8:12])


def test_smoke_tells_usual_and_robust_training_apart():
    cells = STUDIES["blocks"].cells["smoke"]
    found = {label: run("blocks", config) for label, (config, _) in cells.items()}
    usual, robust = found["init=0.1"], found["robust/init=1/eps=0.35"]
    assert robust["ratio"] > 1 > usual["ratio"] > 0.8
    assert usual["margin"].max() <= max_margin.max_margin_value(5) + 1e-6
    for each in found.values():
        size, place = np.abs(each["gradient"]), each["place"]
        own = size[np.arange(len(size)), place]
        ratio = own / ((size[:, :5].sum(axis=1) - own) / 4)
        assert each["ratio"] == pytest.approx(ratio.mean(), rel=1e-4)
        top = np.mean(size.argmax(axis=1) == place)
        assert each["top1"] == pytest.approx(top) and each["top_power"] == pytest.approx(
            (1 + top) / 2
        )


# Block images.


def test_the_glyph_is_an_outline_with_a_cross():
    small = gradients_images.glyph(8)
    assert small[0].all() and small[:, -1].all()
    np.testing.assert_array_equal(np.diag(small), 1)
    assert small[1].tolist() == [1, 1, 0, 0, 0, 0, 1, 1] and small.mean() < 0.7
    inset = gradients_images.glyph(8, inset=True)
    np.testing.assert_array_equal(inset[1:-1, 1:-1], gradients_images.glyph(6))
    assert not inset[0].any() and not inset[:, 0].any()
    large = gradients_images.glyph(28)
    np.testing.assert_array_equal(large, large.T)
    assert large[:3].all() and not large[5:8, 12:16].any()


@pytest.mark.parametrize(
    ("null", "position"), [("glyph", "top"), ("inset", "random"), ("permuted", "random")]
)
def test_images_have_one_block_with_the_label(null, position):
    config = ImagesConfig(null=null, position=position)
    x = jnp.asarray(gradients_images.images(config).arrays["x"][:300])
    blocks = jax.jit(lambda key, x: gradients_images.blocks(key, config, x))
    both, signal = map(np.asarray, blocks(jax.random.key(2), x))
    x = np.asarray(x)
    np.testing.assert_array_equal(both[signal].reshape(300, 64), x)
    on_top = signal[:, 0]
    assert on_top.all() if position == "top" else 120 < on_top.sum() < 180
    other = both[~signal].reshape(300, 64)
    if null != "permuted":
        row = gradients_images.glyph(8, null == "inset").ravel()
        np.testing.assert_array_equal(other, np.tile(row, (300, 1)))
    else:
        sorted_rows = {tuple(row) for row in np.sort(x, axis=1).tolist()}
        assert all(tuple(row) in sorted_rows for row in np.sort(other, axis=1).tolist())
        assert not any(tuple(row) in set(map(tuple, x.tolist())) for row in other[:20].tolist())


def test_images_are_split_once_and_labelled_in_order():
    inputs = gradients_images.images(ImagesConfig(classes=(3, 5), number=200)).arrays
    assert inputs["x"].shape == (200, 64) and set(inputs["y"].tolist()) == {0, 1}
    again = gradients_images.images(ImagesConfig(classes=(3, 5), number=200)).arrays
    np.testing.assert_array_equal(inputs["x"], again["x"])


def test_smoke_of_images_and_retrainings():
    cells = STUDIES["images"].cells["smoke"]
    programs = {str(execution._program_key(STUDIES["images"], c, 1)) for c, _ in cells.values()}
    assert len(programs) == 1
    found = run("images", cells["digits/glyph/random/standard"][0])
    g, on_top = np.abs(found["gradient"]), found["on_top"]
    upper = g[:, :8].mean(axis=(1, 2)) / g[:, 8:].mean(axis=(1, 2))
    ratio = np.where(on_top > 0.5, 1 / upper, upper)
    assert 0.3 < found["leakage"] < 3 and 0.2 < np.median(ratio) < 5
    config, _ = STUDIES["roar"].cells["smoke"]["digits/glyph/random/standard"]
    found = run("roar", config)
    assert np.abs(found["diffroar"]).max() < 0.6 and found["accuracy"] > 0.1
    random = run("roar", dataclasses.replace(config, attribution="random"))
    np.testing.assert_allclose(random["signal_share"], 0.5, atol=0.03)
    assert random["accuracy"] == found["accuracy"]


# Configs.


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (BlocksConfig, {"signal": 1}, "signal must be at least 2; got 1"),
        (BlocksConfig, {"dim": 4}, "dim must be at least 5; got 4"),
        (BlocksConfig, {"steps": 4001}, "steps must be a multiple of records, 20; got 4001"),
        (BlocksConfig, {"rows": 15}, "rows must be a multiple of twice signal, 10; got 15"),
        (BlocksConfig, {"eps": 0.1}, "eps and attack_steps must both be 0 or both positive"),
        (BlocksConfig, {"init": 0.0}, "init must be in (0"),
        (LpConfig, {"noise": 0.0}, "noise must be in (0"),
        (LpConfig, {"neurons": 0}, "neurons must be at least 1"),
        (ImagesConfig, {"attack": "l0"}, "attack must be one of none, l2, linf"),
        (ImagesConfig, {"attack": "l2"}, "eps and attack_steps must be positive with an attack"),
        (ImagesConfig, {"eps": 0.5}, "eps and attack_steps must be positive with an attack"),
        (ImagesConfig, {"classes": (1, 1)}, "classes must be distinct, at least two"),
        (RoarConfig, {"ks": ()}, "ks must hold at least one value"),
        (RoarConfig, {"ks": (0.0,)}, "ks must be in (0, 1]"),
        (RoarConfig, {"attribution": "saliency"}, "attribution must be one of gradient, random"),
    ],
)
def test_wrong_configs_are_named(kind, changes, words, rejects):
    with rejects(words):
        kind(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 28}, "side must fit images of (8, 8); got 28"),
        ({"classes": (0, 11)}, "classes must be among those of digits; lacks {11}"),
        ({"number": 5000}, "number must be at most 1797; got 5000"),
        ({"number": 60}, "batch and pictures must fit 60 images"),
    ],
)
def test_data_that_does_not_fit_is_named(changes, words, rejects):
    with rejects(words):
        gradients_images.images(ImagesConfig(**changes))


# Claims.


def as_expected():
    """Results of the default scale that are what theory and replication say."""
    results = figure_checks.made_up(experiment.EXPERIMENT, "default")
    for (study, _), each in results.items():
        c, arrays = each.config, each.arrays
        if study == "lp":
            m = c.signal
            root, axis = 1 / (2 * np.sqrt(m + 1)), 1 / (2 * np.sqrt(2) * m)
            arrays["theory"][:] = root, 1 / (4 * np.sqrt(m)), axis, 1 / (4 * m), root
            arrays["value"][:] = arrays["theory"] + np.array([0, 0, 0, 0, 1e-3])
            arrays["atoms"][:], arrays["imbalance"][:] = 1.0, 0.0
        if study == "blocks":
            is_robust = c.eps > 0
            arrays["ratio"][:] = 50.0 if is_robust else 0.97
            arrays["null_ratio"][:] = 0.05
            arrays["cos"][:] = 0.99 if is_robust else c.signal**-0.5
            arrays["top1"][:] = float(is_robust)
            arrays["margin"][:] = 0.9 * gradients_claims.largest_margin(each)
        if study == "roar" and c.attribution == "random":
            arrays["diffroar"][:] = 0.01 * np.array([1, -1, 2, -2, 0.5])[:, None]
    return results


def verdicts(results):
    return {claim.name: claim.held for claim in gradients_claims.claims(results)}


def test_expected_results_hold_all_claims():
    found = verdicts(as_expected())
    assert not [name for name, held in found.items() if held is False]
    assert sum(held is True for held in found.values()) >= 60


@pytest.mark.parametrize(
    ("key", "name", "change", "words"),
    [
        (("lp", "m=3"), "value", -2e-9, "m=3: largest margin, neurons with biases"),
        (("lp", "m=10"), "value", 2e-9, "axis-aligned neurons without biases"),
        (("lp", "m=1"), "value", -2e-3, "noise of every point's own"),
        (("lp", "m=2"), "atoms", -1e-8, "mass on the closed form's two"),
        (("lp", "m=2"), "imbalance", 1e-8, "difference of their masses"),
        (("lp", "m=5"), "value", np.nan, "largest margin"),
        (("blocks", "init=1"), "ratio", -0.2, "other signal coordinates, least"),
        (("blocks", "init=0.1"), "ratio", 0.05, "other signal coordinates, largest"),
        (("blocks", "init=0.1/noise"), "null_ratio", 0.2, "gradient in null coordinates"),
        (("blocks", "init=0.1/m=10"), "cos", -0.07, "|cos(x, gradient)|"),
        (("blocks", "robust/init=1/eps=0.35"), "top1", -0.02, "largest gradient at the signal"),
        (("blocks", "robust/init=0.1/eps=0.35"), "cos", -0.05, "|cos(x, gradient)|"),
        (("blocks", "robust/init=0.1/eps=0.35"), "ratio", -41.0, "gradient at the signal over"),
        (("blocks", "init=0.1/m=3"), "margin", -0.05, "at the end over gamma*"),
        (("blocks", "robust/init=1/eps=0.45"), "margin", 0.05, "normalised margin, largest"),
        (("roar", "digits/glyph/random/random ranking"), "diffroar", 0.2, "mean over k"),
    ],
)
def test_spoilt_results_are_not_held(key, name, change, words):
    results = as_expected()
    values = results[key].arrays[name]
    if key[0] == "roar":
        values += change
    else:
        values[-1] += change
    fallen = [claim for claim, held in verdicts(results).items() if held is False]
    assert any(words in claim and key[1] in claim for claim in fallen), fallen


def test_what_is_not_proved_of_images_is_context():
    found = verdicts(as_expected())
    images = [held for name, held in found.items() if name.startswith("images")]
    curves = [held for name, held in found.items() if "DiffROAR at k" in name]
    assert len(images) >= 9 and len(curves) == 20 and set(images + curves) == {None}
    assert found["blocks, init=1: normalised margin at the end over gamma*, least"] is None
    short = figure_checks.made_up(experiment.EXPERIMENT, "smoke")
    assert all(name.startswith("lp") for name in verdicts(short))
