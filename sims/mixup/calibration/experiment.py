"""Stem ``mixup.calibration``: temperature scaling against mixup where classes overlap.

Five studies: ``population`` (expected KL without samples, in closed form and by quadrature),
``midpoint`` (the loss of midpoint mixup along rays), ``sample`` (the same laws from finite
samples), ``gauss`` (networks on two overlapping Gaussians) and ``images`` (wrong labels).

Networks are perceptrons, stand-ins for the published residual networks at every scale. ``paper``
has the published number of epochs and the published means of the Gaussians [code], more seeds for
the rest, and all of Fashion-MNIST.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.mixup.calibration import exact as calibration_exact
from twolayer.sims.mixup.calibration import gaussians, images, samples
from twolayer.sims.mixup.calibration.claims import exact
from twolayer.sims.mixup.calibration.exact import MidpointConfig, PopulationConfig
from twolayer.sims.mixup.calibration.gaussians import GaussConfig
from twolayer.sims.mixup.calibration.images import ImageConfig
from twolayer.sims.mixup.calibration.samples import SampleConfig

Cells = dict[str, tuple[Any, int]]

_KS = (2, 4, 10, 50, 100, 1000)
_GROWTH = tuple(sorted({2 * round(value / 2) for value in np.geomspace(2, 1e4, 41)}))
_SCALES = tuple(sorted({40.0, *(round(float(s), 6) for s in np.geomspace(0.25, 80, 60))}))
_NOISES = (0.0, 0.25, 0.5)


def _population(steps: int) -> Cells:
    alphas = tuple(round(index / steps, 6) for index in range(steps + 1))
    return {"pairs": (PopulationConfig(ks=_KS, alphas=alphas, growth_ks=_GROWTH), 1)}


def _samples(ks: tuple[int, ...], seeds: int, alphas: tuple[float, ...]) -> Cells:
    return {f"k={k}": (SampleConfig(k=k, alphas=alphas), seeds) for k in ks}


def _gauss(mus: tuple[float, ...], seeds: int, **changes: Any) -> Cells:
    return {f"mu={mu}": (GaussConfig(mu=mu, **changes), seeds) for mu in mus}


def _images(seeds: int, **changes: Any) -> Cells:
    dataset = changes.get("dataset", "digits")
    return {
        f"{dataset}/noise={noise}": (ImageConfig(noise=noise, **changes), seeds)
        for noise in _NOISES
    }


_FASHION: dict[str, Any] = {"dataset": "fashion-mnist"}
_MIDPOINT = MidpointConfig(scales=_SCALES)

EXPERIMENT = Experiment(
    stem="mixup.calibration",
    title="Temperature scaling against mixup where classes overlap",
    studies=(
        # First, as its cells take longest: the others fill the cores meanwhile.
        Study(
            name="gauss",
            config_type=GaussConfig,
            simulate=gaussians.simulate,
            cells={
                "smoke": _gauss(
                    (0.25, 0.05), 2, num_train=400, num_calibration=200, batch=100, epochs=2
                ),
                "default": _gauss((0.25, 0.05, 0.01), 5),
                "paper": _gauss((0.25, 0.1, 0.05, 0.01), 5, epochs=200),
            },
            dims=gaussians.DIMS,
            coords=gaussians.coords,
        ),
        Study(
            name="images",
            config_type=ImageConfig,
            simulate=images.simulate,
            cells={
                "smoke": _images(2, epochs=2),
                "default": {
                    **_images(5),
                    **_images(5, **_FASHION, num_images=4000, epochs=60),
                },
                "paper": {
                    **_images(20),
                    **_images(
                        5, **_FASHION, num_train=54000, num_calibration=6000, batch=500, epochs=200
                    ),
                },
            },
            dims=images.DIMS,
            coords=images.coords,
            inputs=images.images,
            optional=lambda config: config.dataset != "digits",
        ),
        Study(
            name="sample",
            config_type=SampleConfig,
            simulate=samples.simulate,
            cells={
                "smoke": _samples((4,), 2, (0.0, 0.5, 1.0)),
                "default": _samples((10, 50), 5, (0.0, 0.25, 0.5, 0.75, 1.0)),
                "paper": _samples((2, 10, 50, 100), 20, (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)),
            },
            dims=samples.DIMS,
            coords=samples.coords,
        ),
        Study(
            name="population",
            config_type=PopulationConfig,
            simulate=calibration_exact.simulate_population,
            cells={
                "smoke": _population(20),
                "default": _population(100),
                "paper": _population(1000),
            },
            dims=calibration_exact.POPULATION_DIMS,
            coords=calibration_exact.population_coords,
        ),
        Study(
            name="midpoint",
            config_type=MidpointConfig,
            simulate=calibration_exact.simulate_midpoint,
            cells={scale: {"rays": (_MIDPOINT, 1)} for scale in ("smoke", "default", "paper")},
            dims=calibration_exact.MIDPOINT_DIMS,
            coords=calibration_exact.midpoint_coords,
        ),
    ),
    claims=exact.claims,
)
