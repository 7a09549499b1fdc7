"""The published grid of settings: synthetic data, images and decision maps."""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.perturbation.wide import setting
from twolayer.sims.perturbation.wide.axes import Sweeps, along, inside, sweep_cells
from twolayer.sims.perturbation.wide.decision_map import MapConfig
from twolayer.sims.perturbation.wide.sweep import Config

_TENS = (*range(10, 100, 10), *range(100, 1000, 100))


_FEW = (*range(1, 11), *range(20, 101, 10))


_WIDTHS = (*range(1, 10), *_TENS, 1000)


_GAMMAS = (0.0, 0.25, 0.5, 0.75, 0.99)


_SIZES = (2, 4, 6, 8, *_TENS, *range(1000, 10001, 1000))


_RATES = (1.0, 0.1)


def synthetic_sweeps() -> Sweeps:
    common = Config(rates_f=_RATES, rates_g=_RATES, targets=setting.TARGETS)
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
            "d": along(base, "d", grid["d"], **rule),
            "width": along(base, "width", _WIDTHS),
            "gamma": along(base, "gamma", _GAMMAS),
            "n": along(base, "n", sizes),
            "eps": inside(base, eps=grid["eps"]),
            "epochs_f": inside(base, epochs_f=grid["epochs_f"], **grid["f"]),
            "epochs_g": inside(base, epochs_g=_FEW, **grid.get("g", {})),
        }
        if name == "shifted-a":
            logistic = dataclasses.replace(base, loss="logistic")
            axes["logistic-d"] = along(logistic, "d", tuple(range(10, 51, 5)), **rule)
        if name == "shifted-b":
            rates = (10.0, 5.0, 1.0, 0.1, 0.01)
            logistic = dataclasses.replace(base, loss="logistic", rates_f=rates, rates_g=rates)
            axes["logistic-d"] = along(logistic, "d", grid["d"], **rule)
        cells |= sweep_cells(name, base, 5, axes)
    return cells


def image_sweeps() -> Sweeps:
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
                "width": along(base, "width", widths),
                "gamma": along(base, "gamma", _GAMMAS),
                "n": along(base, "n", _SIZES),
                "eps": inside(base, eps=lengths),
                "epochs_f": inside(base, epochs_f=_FEW),
                "epochs_g": inside(base, epochs_g=_FEW),
            }
            if scenario == "b":
                longer = tuple(0.14 * k for k in range(11))
                axes["logistic-eps"] = inside(base, eps=longer, loss="logistic")
            cells |= sweep_cells(f"{dataset}-{scenario}", base, 5, axes)
    return cells


def map_cells() -> dict[str, tuple[MapConfig, int]]:
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
