"""Stem ``perturbation.wide``: wide two-layer networks learn from adversarial perturbations.

Three studies: ``sweep`` (the published figures), ``map`` (decision maps) and ``width`` (deviation
of finite networks from the theory). The published grid is the scale ``paper`` [code]; ``default``
keeps every sweep with fewer points, one rate, fewer epochs, and the embedded digits as real data.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.perturbation.wide import claims, decision_map, sweep, width
from twolayer.sims.perturbation.wide.decision_map import MapConfig
from twolayer.sims.perturbation.wide.sweep import Config
from twolayer.sims.perturbation.wide.width import WidthConfig

Sweeps = dict[str, tuple[Config, int]]
BASE = "base"


def _sweeps(name: str, base: Config, seeds: int, axes: dict[str, dict[str, Config]]) -> Sweeps:
    """Cells of one setting: its base point and, for each axis, the configs along it."""
    cells = {f"{name}/{BASE}": (base, seeds)}
    for axis, points in axes.items():
        cells |= {f"{name}/{axis}{point}": (config, seeds) for point, config in points.items()}
    return cells


def _along(base: Config, field: str, values: tuple, **with_it: Any) -> dict[str, Config]:
    """One config a value of a field; ``with_it`` are functions of the value for other fields."""
    return {
        f"={value}": dataclasses.replace(
            base, **{field: value}, **{other: rule(value) for other, rule in with_it.items()}
        )
        for value in values
        if value != getattr(base, field)
    }


def _inside(base: Config, **axis: Any) -> dict[str, Config]:
    """One config that holds a whole axis."""
    return {"": dataclasses.replace(base, **axis)}


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
            "gamma": _along(short, "gamma", (0.25, 0.5, 0.99)),
            "d": _along(short, "d", (10, 30, 200), eps=lambda d, s=scale: (s * d**0.5,)),
            "width": _along(short, "width", (1, 5, 20, 200)),
            "n": _along(short, "n", (10, 30, 100, 300)),
            "eps": _inside(short, eps=tuple(scale * 10 * k / 5 for k in range(6))),
            "epochs_f": _inside(short, epochs_f=(1, 2, 4, 7, 10, 20), rates_f=(0.1,)),
            "epochs_g": _inside(short, epochs_g=(1, 3, 10, 30, 100)),
        }
        if scenario == "a":
            logistic = dataclasses.replace(base, loss="logistic")
            axes["logistic-d"] = _along(
                logistic, "d", (10, 30), eps=lambda d, s=scale: (s * d**0.5,)
            )
        cells |= _sweeps(name, base, 5, axes)
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
            "gamma": _along(base, "gamma", (0.25, 0.5, 0.99)),
            "width": _along(base, "width", (5, 20, 400)),
            "n": _along(base, "n", (20, 80)),
            "eps": _inside(base, eps=tuple(eps * k / 5 for k in range(6))),
            "epochs_f": _inside(base, epochs_f=(1, 2, 4, 7, 10, 20)),
            "epochs_g": _inside(base, epochs_g=(1, 3, 10, 30, 100)),
        }
        cells |= _sweeps(f"digits-{scenario}", base, 5, axes)
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


def _widths(widths: tuple[int, ...], inits: int) -> dict[str, tuple[WidthConfig, int]]:
    return {f"m={m}": (WidthConfig(width=m, inits=inits), 5) for m in widths}


# Smoke -------------------------------------------------------------------------------------------

_TINY = Config(d=20, n=40, width=10, num_test=50, epochs_f=(30,), epochs_g=(30,), eps=(0.3,))


def _smoke() -> Sweeps:
    cells: Sweeps = {}
    for name in _EPS_SCALE:
        law, scenario = name.split("-")
        base = dataclasses.replace(
            _TINY, law="shifted-gauss" if law == "shifted" else "gauss", scenario=scenario
        )
        cells |= _sweeps(name, base, 2, {"gamma": _along(base, "gamma", (0.5,))})
    return cells


# Paper -------------------------------------------------------------------------------------------

_TENS = (*range(10, 100, 10), *range(100, 1000, 100))
_FEW = (*range(1, 11), *range(20, 101, 10))
_WIDTHS = (*range(1, 10), *_TENS, 1000)
_GAMMAS = (0.0, 0.25, 0.5, 0.75, 0.99)
_SIZES = (2, 4, 6, 8, *_TENS, *range(1000, 10001, 1000))
_RATES = (1.0, 0.1)


def _paper_synthetic() -> Sweeps:
    common = Config(rates_f=_RATES, rates_g=_RATES, targets=sweep.TARGETS)
    steps_of_one = tuple(k / 1000 for k in range(11))
    settings: dict[str, tuple[Config, dict[str, Any]]] = {
        "shifted-a": (
            dataclasses.replace(common, eps=(0.01,)),
            {"d": tuple(range(10, 101, 10)), "scale": 0.001, "eps": steps_of_one,
             "f": {"rates_f": (0.1,)}, "epochs_f": tuple(range(1, 11))},
        ),
        "shifted-b": (
            dataclasses.replace(common, scenario="b", d=5000, n=10000, eps=(0.7,)),
            {"d": (*_TENS, 1000, 2000, 3000, 4000, 5000), "scale": 0.01,
             "eps": tuple(k / 10 for k in range(8)),
             "f": {"rates_f": (0.01,)}, "epochs_f": tuple(range(1, 11)),
             "g": {"rates_g": (0.01,)}},
        ),
        "gauss-a": (
            dataclasses.replace(common, law="gauss", d=10000, n=10000, eps=(0.1,)),
            {"d": (*_TENS, 1000, 2000, 5000, 10000), "scale": 0.001,
             "eps": tuple(k / 100 for k in range(11)),
             "f": {"rates_f": (0.1,)}, "epochs_f": _FEW},
        ),
        "gauss-b": (
            dataclasses.replace(
                common, law="gauss", scenario="b", d=10000, n=10000, eps=(10.0,)
            ),
            {"d": (*_TENS, 1000, 2000, 5000, 10000), "scale": 0.1,
             "eps": tuple(float(k) for k in range(11)),
             "f": {"rates_f": (0.1,)}, "epochs_f": _FEW, "g": {"rates_g": (0.1,)}},
        ),
    }  # fmt: skip
    cells: Sweeps = {}
    for name, (base, grid) in settings.items():
        rule = {"eps": lambda d, s=grid["scale"]: (s * d**0.5,)}
        sizes = _SIZES if name != "gauss-b" else tuple(n for n in _SIZES if n >= 10)
        axes = {
            "d": _along(base, "d", grid["d"], **rule),
            "width": _along(base, "width", _WIDTHS),
            "gamma": _along(base, "gamma", _GAMMAS),
            "n": _along(base, "n", sizes),
            "eps": _inside(base, eps=grid["eps"]),
            "epochs_f": _inside(base, epochs_f=grid["epochs_f"], **grid["f"]),
            "epochs_g": _inside(base, epochs_g=_FEW, **grid.get("g", {})),
        }
        if name == "shifted-a":
            logistic = dataclasses.replace(base, loss="logistic")
            axes["logistic-d"] = _along(logistic, "d", tuple(range(10, 51, 5)), **rule)
        if name == "shifted-b":
            rates = (10.0, 5.0, 1.0, 0.1, 0.01)
            logistic = dataclasses.replace(base, loss="logistic", rates_f=rates, rates_g=rates)
            axes["logistic-d"] = _along(logistic, "d", grid["d"], **rule)
        cells |= _sweeps(name, base, 5, axes)
    return cells


def _paper_images() -> Sweeps:
    sets = {"mnist": ((1, 2), 0.1307), "fashion-mnist": ((0, 9), 0.2860)}
    widths = (*range(10, 100, 10), *range(100, 1001, 100))
    cells: Sweeps = {}
    for dataset, (classes, centre) in sets.items():
        for scenario in ("a", "b"):
            base = Config(
                dataset=dataset,
                scenario=scenario,
                classes=classes,
                centre=centre,
                n=0,
                eps=(0.14,),
                rates_f=(0.01, 0.001),
                rates_g=(0.01, 0.001),
                epochs_f=(100,),
                epochs_g=(100,),
            )
            lengths = tuple(0.014 * k for k in range(11))
            axes = {
                "width": _along(base, "width", widths),
                "gamma": _along(base, "gamma", _GAMMAS),
                "n": _along(base, "n", _SIZES),
                "eps": _inside(base, eps=lengths),
                "epochs_f": _inside(base, epochs_f=_FEW),
                "epochs_g": _inside(base, epochs_g=_FEW),
            }
            if scenario == "b":
                longer = tuple(0.14 * k for k in range(11))
                axes["logistic-eps"] = _inside(base, eps=longer, loss="logistic")
            cells |= _sweeps(f"{dataset}-{scenario}", base, 5, axes)
    return cells


def _paper_maps() -> dict[str, tuple[MapConfig, int]]:
    shifted = MapConfig(epochs=100, limits=(-7.0, 7.0))
    gauss = MapConfig(law="gauss", d=1000, width=1000, limits=(-4.0, 5.0))
    mnist = MapConfig(
        dataset="mnist", centre=0.1307, n=0, width=1000, eps=0.14, rate=0.01, limits=(0.0, 10.0)
    )
    fashion = dataclasses.replace(
        mnist, dataset="fashion-mnist", classes=(0, 9), centre=0.2860, limits=(-2.0, 13.0)
    )
    replace = dataclasses.replace
    return {
        "shifted-a": (shifted, 1),
        "shifted-b": (replace(shifted, scenario="b", n=5000, eps=0.1, limits=(-8.0, 8.0)), 1),
        "gauss-a": (replace(gauss, n=2000, eps=0.031), 1),
        "gauss-b": (replace(gauss, scenario="b", n=10000, eps=0.31, rate=0.1), 1),
        "mnist-a": (replace(mnist, epochs=100), 1),
        "mnist-b": (replace(mnist, scenario="b"), 1),
        "fashion-mnist-a": (replace(fashion, epochs=100), 1),
        "fashion-mnist-b": (replace(fashion, scenario="b", eps=1.4, epochs=100, rate=0.001), 1),
    }


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
                "paper": _paper_synthetic() | _paper_images(),
            },
            dims=sweep.DIMS,
            undefined=("law",),
            coords=sweep.coords,
            inputs=sweep.images,
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
                "paper": _paper_maps(),
            },
            dims=decision_map.DIMS,
            coords=decision_map.coords,
            inputs=sweep.images,
        ),
        Study(
            name="width",
            config_type=WidthConfig,
            simulate=width.simulate,
            cells={
                "smoke": _widths((100, 1000), 2),
                "default": _widths((100, 400, 1600, 6400, 25600), 10),
                "paper": _widths((100, 300, 1000, 3000, 10000, 30000, 100000, 300000), 40),
            },
            dims=width.DIMS,
            coords=width.coords,
        ),
    ),
    claims=claims.claims,
)
