"""Stem ``perturbation.wide``: wide two-layer networks learn from adversarial perturbations.

Three studies: ``sweep`` (the published figures), ``map`` (decision maps) and ``width`` (deviation
of finite networks from the theory). The published grid is the scale ``paper`` [code]; ``default``
keeps every sweep with fewer points, one rate, fewer epochs, and the embedded digits as real data.
"""

from __future__ import annotations

import dataclasses

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.perturbation.wide import claims, decision_map, setting, sweep, width
from twolayer.sims.perturbation.wide.axes import Sweeps, along, inside, sweep_cells, width_cells
from twolayer.sims.perturbation.wide.decision_map import MapConfig
from twolayer.sims.perturbation.wide.published_grid import (
    image_sweeps,
    map_cells,
    synthetic_sweeps,
)
from twolayer.sims.perturbation.wide.sweep import Config
from twolayer.sims.perturbation.wide.width import WidthConfig

# Default -----------------------------------------------------------------------------------------

_SHORT = 100
# 4000 fresh points instead of the published 1000: the sampling error of a share is then below .008.
_DEFAULT = Config(epochs_f=(300,), epochs_g=(300,), num_test=4000)
_EPS_SCALE = {"shifted-a": 0.001, "shifted-b": 0.07, "gauss-a": 0.01, "gauss-b": 0.2}


def _default_synthetic() -> Sweeps:
    cells: Sweeps = {}
    for name, scale in _EPS_SCALE.items():
        law, scenario = name.split("-")
        base = dataclasses.replace(
            _DEFAULT,
            law="shifted-gauss" if law == "shifted" else "gauss",
            scenario=scenario,
            eps=(scale * 10,),
        )
        short = dataclasses.replace(base, epochs_f=(_SHORT,), epochs_g=(_SHORT,))
        axes = {
            "gamma": along(short, "gamma", (0.25, 0.5, 0.99)),
            "d": along(short, "d", (10, 30, 200), eps=lambda d, s=scale: (s * d**0.5,)),
            "width": along(short, "width", (1, 5, 20, 200)),
            "n": along(short, "n", (10, 30, 100, 300)),
            "eps": inside(short, eps=tuple(scale * 10 * k / 5 for k in range(6))),
            "epochs_f": inside(short, epochs_f=(1, 2, 4, 7, 10, 20), rates_f=(0.1,)),
            "epochs_g": inside(short, epochs_g=(1, 3, 10, 30, 100)),
        }
        if scenario == "a":
            logistic = dataclasses.replace(base, loss="logistic")
            axes["logistic-d"] = along(
                logistic, "d", (10, 30), eps=lambda d, s=scale: (s * d**0.5,)
            )
        cells |= sweep_cells(name, base, 5, axes)
    cells["shifted-a/base"] = (cells["shifted-a/base"][0], 24)
    return cells


def _default_digits() -> Sweeps:
    cells: Sweeps = {}
    for scenario, eps in (("a", 0.14), ("b", 1.4)):
        base = Config(
            dataset="digits",
            scenario=scenario,
            n=0,
            centre=0.3053,
            eps=(eps,),
            rates_f=(0.1,),
            rates_g=(0.1,),
            epochs_f=(_SHORT,),
            epochs_g=(_SHORT,),
        )
        axes = {
            "gamma": along(base, "gamma", (0.25, 0.5, 0.99)),
            "width": along(base, "width", (5, 20, 400)),
            "n": along(base, "n", (20, 80)),
            "eps": inside(base, eps=tuple(eps * k / 5 for k in range(6))),
            "epochs_f": inside(base, epochs_f=(1, 2, 4, 7, 10, 20)),
            "epochs_g": inside(base, epochs_g=(1, 3, 10, 30, 100)),
        }
        cells |= sweep_cells(f"digits-{scenario}", base, 5, axes)
    return cells


def _default_maps() -> dict[str, tuple[MapConfig, int]]:
    small = MapConfig(epochs=_SHORT, resolution=200)
    gauss = dataclasses.replace(small, law="gauss", limits=(-4.0, 5.0))
    digits = dataclasses.replace(
        small, dataset="digits", n=0, centre=0.3053, rate=0.1, limits=(-2.0, 5.0)
    )
    return {
        "shifted-a": (small, 1),
        "shifted-b": (dataclasses.replace(small, scenario="b", eps=0.3), 1),
        "gauss-a": (dataclasses.replace(gauss, eps=0.05), 1),
        "gauss-b": (dataclasses.replace(gauss, scenario="b", eps=1.0), 1),
        "digits-a": (dataclasses.replace(digits, eps=0.14), 1),
        "digits-b": (dataclasses.replace(digits, scenario="b", eps=1.4), 1),
        "digits38-a": (dataclasses.replace(digits, classes=(3, 8), eps=0.14), 1),
        "digits38-b": (dataclasses.replace(digits, classes=(3, 8), scenario="b", eps=1.4), 1),
    }


# Smoke -------------------------------------------------------------------------------------------

_TINY = Config(d=20, n=40, width=10, num_test=50, epochs_f=(30,), epochs_g=(30,), eps=(0.3,))


def _smoke() -> Sweeps:
    cells: Sweeps = {}
    for name in _EPS_SCALE:
        law, scenario = name.split("-")
        base = dataclasses.replace(
            _TINY, law="shifted-gauss" if law == "shifted" else "gauss", scenario=scenario
        )
        cells |= sweep_cells(name, base, 2, {"gamma": along(base, "gamma", (0.5,))})
    return cells


EXPERIMENT = Experiment(
    stem="perturbation.wide",
    title="Wide two-layer networks learn from adversarial perturbations",
    studies=(
        Study(
            name="sweep",
            config_type=Config,
            simulate=sweep.simulate,
            cells={
                "smoke": _smoke(),
                "default": _default_synthetic() | _default_digits(),
                "paper": synthetic_sweeps() | image_sweeps(),
            },
            dims=sweep.DIMS,
            undefined=("law",),
            coords=sweep.coords,
            inputs=setting.images,
            version=2,
        ),
        Study(
            name="map",
            config_type=MapConfig,
            simulate=decision_map.simulate,
            cells={
                "smoke": {
                    name: (
                        dataclasses.replace(config, resolution=20, n=100, width=20, epochs=10),
                        1,
                    )
                    for name, (config, _) in _default_maps().items()
                    if config.dataset == "synthetic"
                },
                "default": _default_maps(),
                "paper": map_cells(),
            },
            dims=decision_map.DIMS,
            coords=decision_map.coords,
            inputs=setting.images,
        ),
        Study(
            name="width",
            config_type=WidthConfig,
            simulate=width.simulate,
            cells={
                "smoke": width_cells((100, 1000), 2),
                "default": width_cells((100, 400, 1600, 6400, 25600), 10),
                "paper": width_cells((100, 300, 1000, 3000, 10000, 30000, 100000, 300000), 40),
            },
            dims=width.DIMS,
            coords=width.coords,
        ),
    ),
    claims=claims.claims,
)
