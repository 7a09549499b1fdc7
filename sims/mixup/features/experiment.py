"""Stem ``mixup.features``: Mixup learns rare features that standard training memorises away.

Seven studies on patch data, all at the reference configuration but for what they vary: ``dynamics``
(both trainings in time), ``gaussian`` (noise that overlaps, errors on fresh samples), ``sigma0``
(initial size), ``lambda`` (weights of inputs and labels), ``earlystop`` (Mixup up to a step) and
``phase`` (standard training over noise energy and number of rare samples); and ``digits``, a
stand-in for the published image experiments. The published theorems' asymptotic orders are [not
recovered]; what is checked is the finite version [derived], with numbers [measured] beforehand.

The scale ``paper`` has more seeds and finer grids; there is no published grid of these.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.mixup.features import digits, early_stopping, gaussian, sweeps
from twolayer.sims.mixup.features import dynamics as features_dynamics
from twolayer.sims.mixup.features.claims import dynamics
from twolayer.sims.mixup.features.digits import DigitsConfig
from twolayer.sims.mixup.features.dynamics import DynamicsConfig
from twolayer.sims.mixup.features.early_stopping import HandoverConfig
from twolayer.sims.mixup.features.gaussian import GaussianConfig
from twolayer.sims.mixup.features.sweeps import PhaseConfig, ScaleConfig, WeightConfig

Cells = dict[str, tuple[Any, int]]

# A training set of 16 samples, and few steps: for tests.
_TINY: dict[str, Any] = {"n": 16, "rho": 0.25, "width": 2}


def _dynamics(seeds: int, controls: int) -> Cells:
    base = DynamicsConfig()
    return {
        "reference": (base, seeds),
        "random layout": (dataclasses.replace(base, layout="random"), controls),
        "beta": (dataclasses.replace(base, law="beta"), controls),
    }


def _digits(epochs: int, stops: tuple[int, ...], seeds: int) -> Cells:
    return {"digits": (DigitsConfig(epochs=epochs, stops=stops), seeds)}


def _fashion(epochs: int, stops: tuple[int, ...], num_train: int, seeds: int) -> Cells:
    """Some images of Fashion-MNIST, where it is installed; without the fixed weights."""
    config = DigitsConfig(
        dataset="fashion-mnist",
        num_train=num_train,
        num_test=1000,
        lam_x=(),
        lam_y=(),
        epochs=epochs,
        stops=stops,
    )
    return {"fashion-mnist": (config, seeds)}


_FINE = PhaseConfig(
    energies=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0),
    counts=(1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25),
)

EXPERIMENT = Experiment(
    stem="mixup.features",
    title="Mixup learns rare features",
    studies=(
        # First, as its cells take longest: the others fill the cores meanwhile.
        Study(
            name="digits",
            config_type=DigitsConfig,
            simulate=digits.simulate,
            cells={
                "smoke": {
                    "digits": (
                        DigitsConfig(
                            num_train=128, epochs=2, stops=(0, 1, 2), lam_x=(0.7,), lam_y=(0.9,)
                        ),
                        2,
                    )
                },
                "default": _digits(60, (0, 10, 20, 30, 40, 50, 60), 5)
                | _fashion(20, (0, 5, 10, 15, 20), 1000, 5),
                "paper": _digits(200, (0, 10, 25, 50, 75, 100, 125, 150, 175, 200), 20)
                | _fashion(100, (0, 10, 25, 50, 75, 100), 10000, 20),
            },
            dims=digits.DIMS,
            coords=digits.coords,
            inputs=digits.images,
            optional=lambda config: config.dataset != "digits",
        ),
        Study(
            name="dynamics",
            config_type=DynamicsConfig,
            simulate=features_dynamics.simulate,
            cells={
                "smoke": {"reference": (DynamicsConfig(**_TINY, steps=40, record_every=20), 2)},
                "default": _dynamics(8, 3),
                "paper": _dynamics(38, 8),
            },
            dims=features_dynamics.DIMS,
            undefined=("ratio",),
            coords=features_dynamics.coords,
        ),
        Study(
            name="gaussian",
            config_type=GaussianConfig,
            simulate=gaussian.simulate,
            cells={
                "smoke": {"gaussian": (GaussianConfig(**_TINY, dim=60, steps=20, num_test=100), 1)},
                "default": {"gaussian": (GaussianConfig(), 2)},
                "paper": {"gaussian": (GaussianConfig(), 10)},
            },
            dims=gaussian.DIMS,
            coords=gaussian.coords,
        ),
        Study(
            name="lambda",
            config_type=WeightConfig,
            simulate=sweeps.simulate_weights,
            cells={
                "smoke": {"grid": (WeightConfig(**_TINY, steps=20), 1)},
                "default": {"grid": (WeightConfig(), 2)},
                "paper": {"grid": (WeightConfig(), 8)},
            },
            dims=sweeps.WEIGHT_DIMS,
            coords=sweeps.weight_coords,
        ),
        Study(
            name="sigma0",
            config_type=ScaleConfig,
            simulate=sweeps.simulate_scales,
            cells={
                "smoke": {"grid": (ScaleConfig(**_TINY, steps=20), 1)},
                "default": {"grid": (ScaleConfig(), 6)},
                "paper": {"grid": (ScaleConfig(), 30)},
            },
            dims=sweeps.SCALE_DIMS,
            coords=sweeps.scale_coords,
        ),
        Study(
            name="earlystop",
            config_type=HandoverConfig,
            simulate=early_stopping.simulate,
            cells={
                "smoke": {
                    "grid": (HandoverConfig(**_TINY, stops=(50, 100), longest=100, steps=50), 1)
                },
                "default": {"grid": (HandoverConfig(), 6)},
                "paper": {"grid": (HandoverConfig(), 21)},
            },
            dims=early_stopping.DIMS,
            coords=early_stopping.coords,
        ),
        Study(
            name="phase",
            config_type=PhaseConfig,
            simulate=sweeps.simulate_phase,
            cells={
                "smoke": {
                    "grid": (PhaseConfig(**_TINY, energies=(1.0, 9.0), counts=(2, 4), steps=20), 1)
                },
                "default": {"grid": (PhaseConfig(), 4)},
                "paper": {"grid": (_FINE, 12)},
            },
            dims=sweeps.PHASE_DIMS,
            coords=sweeps.phase_coords,
        ),
    ),
    claims=dynamics.claims,
)
