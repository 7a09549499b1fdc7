"""The stem mixup.calibration: population, rays, samples, networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special, stats

from twolayer.sims.components import data
from twolayer.sims.engine import execution
from twolayer.sims.mixup.calibration import experiment, gaussians, images, networks
from twolayer.sims.mixup.calibration.exact import MidpointConfig, PopulationConfig
from twolayer.sims.mixup.calibration.gaussians import GaussConfig
from twolayer.sims.mixup.calibration.images import ImageConfig
from twolayer.sims.mixup.calibration.samples import SampleConfig
from twolayer.theory.mixup.calibration import overlapping_pairs

STUDIES = {study.name: study for study in experiment.EXPERIMENT.studies}
POPULATION, _ = STUDIES["population"].cells["smoke"]["pairs"]
RAYS, _ = STUDIES["midpoint"].cells["smoke"]["rays"]
GAUSS = GaussConfig(
    mu=1.0, d=12, num_train=64, num_calibration=30, num_test=40, batch=16, hidden=4, epochs=30,
    points=(1, 3),
)  # fmt: skip


def run(study, config, seed=0):
    inputs = execution.load_inputs(STUDIES[study], config)
    checksum = inputs.checksum if inputs else None
    return execution.results(STUDIES[study], config, [seed], checksum)[0]


@pytest.fixture(scope="module")
def population():
    return run("population", POPULATION)


@pytest.fixture(scope="module")
def rays():
    return run("midpoint", RAYS)


# Population and rays -----------------------------------------------------------------------------


def test_best_temperatures_by_minimising_over_explicit_distributions(population):
    for k, alpha in ((2, 0.25), (10, 0.5), (100, 0.9)):
        overlap = 1 - alpha
        logits = np.zeros(k)
        logits[0] = 1.0
        shared, alone = np.zeros(k), np.zeros(k)
        shared[:2], alone[0] = 0.5, 1.0

        def cost(beta, shared=shared, alone=alone, logits=logits, overlap=overlap):
            log_probs = special.log_softmax(beta * logits)
            costs = [np.sum(special.xlogy(p, p)) - np.sum(p * log_probs) for p in (shared, alone)]
            return overlap * costs[0] + (1 - overlap) * costs[1]

        best = optimize.minimize_scalar(cost, bounds=(0, 30), method="bounded")
        row, column = POPULATION.ks.index(k), POPULATION.alphas.index(alpha)
        assert population["ts"][row, column] == pytest.approx(best.fun, abs=1e-9)
        assert population["uniform"][row, column] == pytest.approx(cost(0.0), abs=1e-12)
    assert abs(population["ts"] - population["ts_scan"]).max() < 4e-9


def test_predictions_on_a_pair_cost_what_the_curves_say(population):
    alpha, k = POPULATION.alpha, POPULATION.k
    u = np.array(STUDIES["population"].coords(POPULATION)["place"]) * (1 + alpha)
    density = np.where((u >= alpha) & (u <= 1), 1.0, 0.5)
    truth = np.stack([population["truth_left"], 1 - population["truth_left"]])
    mixed = np.stack([population["mixup_left"], 1 - population["mixup_left"]])
    scaled = np.stack([population["ts_left"], population["ts_right"]])
    column = POPULATION.alphas.index(alpha)
    for predicted, expected in (
        (mixed, population["mixup"][column]),
        (scaled, population["ts"][POPULATION.ks.index(k), column]),
    ):
        costs = special.rel_entr(truth, predicted) + predicted - truth
        # Generalised KL less the masses: plain KL, also where the pair's masses are below 1.
        costs = (costs + truth - predicted).sum(axis=0)
        assert (costs @ density) / density.sum() == pytest.approx(expected, abs=1e-3)
    # The other k - 2 classes get what the pair does not.
    sure = 1 - (1 - alpha) / 2
    np.testing.assert_allclose(scaled.sum(axis=0), sure + (1 - sure) / (k - 1), rtol=1e-12)


def test_midpoint_losses_by_a_plain_average(rays):
    row, column = 2, RAYS.scales.index(40.0)
    a1, a2 = RAYS.firsts[row] * 40, RAYS.seconds[row] * 40
    beta = 0.25 + 0.5 * (np.arange(400) + 0.5) / 400
    score = beta * a1 + (1 - beta) * a2
    k = RAYS.k
    logits = np.zeros((400, 400, k))
    logits[..., 0], logits[..., 1] = score[:, None] / 2, score[None, :] / 2
    apart = special.logsumexp(logits, axis=-1) - (logits[..., 0] + logits[..., 1]) / 2
    alike = np.logaddexp((score[:, None] + score[None, :]) / 2, np.log(k - 1))
    alike = alike - (score[:, None] + score[None, :]) / 2
    expected = (1 - 1 / k) * apart.mean() + alike.mean() / k
    assert rays["midpoint"][row, column] == pytest.approx(expected, rel=1e-4)
    single = np.log1p((k - 1) * np.exp(-score)).mean()
    assert rays["single"][row, column] == pytest.approx(single, rel=1e-2)


# Samples -----------------------------------------------------------------------------------------


def test_a_finite_sample_by_loops():
    config = SampleConfig(k=4, alphas=(0.3, 1.0), per_class=5, num_test=30, num_places=10)
    found = run("sample", config)
    (key, _) = jax.random.split(jax.random.key(0), 2)
    key_train, key_test = jax.random.split(key)
    draw = jax.jit(overlapping_pairs.sample_paired, static_argnums=(1, 2))
    x, y = (np.asarray(part) for part in draw(key_train, 20, 4, 0.3))
    z, _ = draw(key_test, 30, 4, 0.3)
    truth = np.asarray(jax.jit(overlapping_pairs.paired_posterior, static_argnums=1)(z, 4, 0.3))
    winners = [y[np.argmin(np.abs(x - at))] for at in np.asarray(z)]
    logits = np.eye(4)[winners]

    def cost(beta):
        log_probs = special.log_softmax(beta * logits, axis=1)
        return (special.xlogy(truth, truth) - truth * log_probs).sum(axis=1).mean()

    best = optimize.minimize_scalar(cost, bounds=(0, 40), method="bounded")
    assert found["ts"][0] == pytest.approx(best.fun, abs=1e-8)
    assert found["beta"][0] == pytest.approx(best.x, rel=1e-3)
    for column, alpha in enumerate(config.alphas):
        u = np.array(STUDIES["sample"].coords(config)["place"]) * (1 + alpha)
        assert found["mixup_left"].shape == (2, 10) and len(u) == 10
        # The nearest neighbour's class has one of three probabilities.
        values = np.unique(found["ts_left"][column].round(9))
        assert len(values) <= 2 and values.min() < 0.5
    total = []
    for at, row in zip(np.asarray(z), truth, strict=True):
        votes = np.zeros(4)
        for a in range(20):
            for b in range(20):
                if y[a] // 2 == y[b] // 2 == at // 6 and x[a] <= at < x[b]:
                    votes[y[a]] += (x[b] - at) / (x[b] - x[a]) ** 2
                    votes[y[b]] += (at - x[a]) / (x[b] - x[a]) ** 2
        if not votes.any():
            mine = np.nonzero(y // 2 == at // 6)[0]
            nearest = y[mine[np.argmin(np.abs(x[mine] - at))]]
            votes[nearest], votes[nearest ^ 1] = 0.999, 0.001
        total.append(special.rel_entr(row, votes / votes.sum())[row > 0].sum())
    assert found["mixup"][0] == pytest.approx(np.mean(total), rel=1e-10)


# Networks ----------------------------------------------------------------------------------------


def test_each_training_is_what_it_is_alone():
    """Trainings share their start and their batches, and no training touches another."""
    both = run("gauss", GAUSS)
    turned = run("gauss", dataclasses.replace(GAUSS, points=(3, 1)))
    for name in networks.SCORES:
        np.testing.assert_allclose(both[name], turned[name][::-1], rtol=1e-6, atol=1e-7)
    assert both["nll_raw"][0] != both["nll_raw"][1]
    assert (both["nll_calibration"] <= np.log(2) + 1e-12).all()
    assert both["bayes_error"] < 0.5 and both["bayes_nll"] < np.log(2)


def test_plain_training_lowers_the_loss_and_fits_the_classes():
    quick, slow = (run("gauss", dataclasses.replace(GAUSS, rate=rate)) for rate in (0.02, 1e-6))
    assert quick["error"][0] < 0.15 and quick["nll_raw"][0] < 0.3
    assert slow["nll_raw"][0] > 0.5


def test_scores_by_hand():
    rng = np.random.default_rng(0)
    fitted, scored = 3 * rng.normal(size=(50, 3)), 3 * rng.normal(size=(70, 3))
    y_fitted, y = rng.integers(0, 3, 50), rng.integers(0, 3, 70)
    found = {
        name: float(value)
        for name, value in jax.jit(networks.scores)(fitted, y_fitted, scored, y).items()
    }
    assert set(found) == set(networks.SCORES)

    def nll(beta, logits, labels):
        return -special.log_softmax(beta * logits, axis=1)[np.arange(len(labels)), labels].mean()

    assert found["error"] == pytest.approx((scored.argmax(1) != y).mean())
    assert found["nll_raw"] == pytest.approx(nll(1.0, scored, y))
    assert found["nll_exact"] == pytest.approx(nll(found["beta_exact"], scored, y))
    assert found["nll_weak"] == pytest.approx(nll(found["beta_weak"], scored, y))
    assert found["nll_calibration"] == pytest.approx(
        min(nll(beta, fitted, y_fitted) for beta in np.linspace(0, 2, 4001)), abs=1e-6
    )
    # Labels are noise: the exact fit gives up the logits, the other one hardly moves.
    assert found["beta_exact"] < 0.2 and 0.8 < found["beta_weak"] < 1
    assert found["ece_exact"] < found["ece_raw"]


def test_mixtures_have_the_law_of_dirichlet():
    x, points = jnp.eye(6, dtype=jnp.float32), (3, 1, 2)

    def first(key):
        inputs, targets = networks.mixtures(key, x, x, points)
        same = jnp.max(jnp.abs(jnp.stack(inputs) - jnp.stack(targets)))
        return jnp.stack(inputs)[:, 0], same

    rows, differ = jax.jit(jax.vmap(first))(jax.random.split(jax.random.key(0), 4000))
    rows = np.asarray(rows)
    assert float(jnp.max(differ)) == 0 and (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(rows[:, 1], np.broadcast_to(np.eye(6)[0], (4000, 6)))
    for column, number in ((0, 3), (2, 2)):
        # The first sample keeps a weight that is Beta(1, number - 1), mean 1/number, and meets
        # itself among the others with probability 1/6 each.
        kept = rows[:, column, 0]
        mean = 1 / number + (1 - 1 / number) / 6
        assert abs(kept.mean() - mean) < 5 * kept.std() / 4000**0.5
        alone = kept[(rows[:, column] > 0).sum(axis=1) == number]
        law = stats.beta(1, number - 1)
        assert stats.kstest(alone, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "mu, nll, error", [(0.25, None, 0.0152), (0.05, 0.6073, 0.3325), (0.01, 0.6894, 0.4655)]
)
def test_the_true_posterior_in_the_population(mu, nll, error):
    found, deviation, wrong = gaussians.population(mu, 300)
    assert wrong == pytest.approx(error, abs=5e-5)
    assert nll is None or found == pytest.approx(nll, abs=5e-5)
    delta, rng = mu * 300**0.5, np.random.default_rng(0)
    costs = np.logaddexp(0, -(delta**2 / 2 + delta * rng.normal(size=200000)))
    assert found == pytest.approx(costs.mean(), abs=5 * costs.std() / 200000**0.5)
    assert deviation == pytest.approx(costs.std(), rel=0.05)


def test_wrong_labels_follow_the_map():
    config = ImageConfig(
        num_train=300, num_calibration=20, batch=100, epochs=1, hidden=4, points=(1,)
    )
    all_wrong = run("images", dataclasses.replace(config, noise=1.0))
    some, none = (run("images", dataclasses.replace(config, noise=p)) for p in (0.25, 0.0))
    assert all_wrong["wrong"] == 1 and none["wrong"] == 0
    assert abs(some["wrong"] - 0.25) < 5 * (0.25 * 0.75 / 300) ** 0.5
    assert (all_wrong["classes"] != np.arange(10)).all()
    # One seed has one map, whatever the share; another seed another one.
    np.testing.assert_array_equal(all_wrong["classes"], some["classes"])
    assert (run("images", config, seed=1)["classes"] != some["classes"]).any()


def test_images_are_those_asked_for(rejects):
    inputs = images.images(ImageConfig(num_images=1400))
    loaded = data.load_images("digits")
    assert inputs.arrays["x"].shape == (1400, 64) and inputs.arrays["x"].dtype == np.float32
    assert abs(inputs.arrays["x"].mean()) < 1e-5 and abs(inputs.arrays["x"].std() - 1) < 1e-5
    np.testing.assert_array_equal(inputs.arrays["y"][: len(loaded.train_y)], loaded.train_y)
    with rejects("num_images must be at most 1797 for digits; got 2000."):
        images.images(ImageConfig(num_images=2000))
    with rejects("num_train and num_calibration must leave some of 1300 images"):
        images.images(ImageConfig(num_images=1300))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: PopulationConfig(ks=(3,)), "ks must be even, for classes in pairs; got 3."),
        (lambda: PopulationConfig(alphas=()), "alphas must hold at least one value."),
        (lambda: PopulationConfig(overlaps=(1.5,)), "overlaps must be in [0, 1]"),
        (lambda: PopulationConfig(k=5), "k must be even"),
        (lambda: MidpointConfig(firsts=(1.0,)), "firsts and seconds must hold the same number"),
        (lambda: MidpointConfig(scales=(-1.0,)), "scales must be in [0, inf)"),
        (lambda: MidpointConfig(k=1), "k must be at least 2"),
        (lambda: SampleConfig(k=7), "k must be even"),
        (lambda: SampleConfig(alphas=(2.0,)), "alphas must be in [0, 1]"),
        (lambda: SampleConfig(per_class=0), "per_class must be at least 1"),
        (lambda: GaussConfig(mu=0.0), "mu must be in (0, inf)"),
        (lambda: GaussConfig(points=(1, 1)), "points must be distinct, at least one; got (1, 1)."),
        (lambda: GaussConfig(points=(0,)), "points must be at least 1"),
        (lambda: GaussConfig(batch=4000), "num_train must be at least 4000; got 3600."),
        (lambda: ImageConfig(noise=1.5), "noise must be in [0, 1]"),
        (lambda: ImageConfig(num_images=-1), "num_images must be at least 0"),
    ],
)
def test_wrong_configs_are_named(call, words, rejects):
    with rejects(words):
        call()


def test_scales_have_the_published_settings():
    cells = STUDIES["gauss"].cells
    assert {config.mu for config, _ in cells["paper"].values()} == {0.25, 0.1, 0.05, 0.01}
    assert all(config.epochs == 200 and seeds == 5 for config, seeds in cells["paper"].values())
    config, seeds = cells["default"]["mu=0.05"]
    assert (config.num_train, config.num_calibration, config.num_test) == (3600, 400, 1000)
    assert (config.epochs, config.batch, config.points, seeds) == (80, 500, (1, 2, 3, 5), 5)
    digits, seeds = STUDIES["images"].cells["default"]["digits/noise=0.25"]
    assert (digits.num_train, digits.num_calibration, digits.batch) == (1170, 130, 117)
    assert digits.epochs == 400 and seeds == 5
