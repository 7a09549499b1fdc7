"""Cells of the study ``images``: the digits and a part of Fashion-MNIST, or the published sets.

``default`` is a small substitute for the published setting, which is the scale ``paper``: see
:mod:`twolayer.sims.perturbation.orthogonal.images`.
"""

from __future__ import annotations

import dataclasses

from twolayer.sims.engine.experiment import Study
from twolayer.sims.perturbation.orthogonal import images
from twolayer.sims.perturbation.orthogonal.images import NORMS, Config


def _digits() -> Config:
    """All digits; budgets are the published share of an image's length (L2) and of pixels (L0)."""
    return Config(
        width=0.125,
        batch=64,
        rate=0.05,
        rates=(0.05,) * len(NORMS),
        epochs_standard=20,
        epochs=20,
        eps_l2=0.75,
        steps=20,
        coordinates=3,
    )


def _fashion() -> Config:
    """A subset, in small batches: [measured] 32 steps an epoch are too few to leave the start."""
    return Config(
        dataset="fashion-mnist",
        shape=(28, 28, 1),
        num_train=2048,
        num_test=1000,
        bases=("random",),
        norms=("l2", "none"),
        width=0.125,
        batch=16,
        rate=0.03,
        rates=(0.03, 0.03),
        epochs_standard=10,
        epochs=16,
        steps=10,
    )


def _paper() -> dict[str, tuple[Config, int]]:
    """The published sets of MNIST and Fashion-MNIST [code], with a control for each."""
    sets = {"mnist": (100, 10), "fashion-mnist": (200, 35)}
    cells = {}
    for dataset, (epochs, coordinates) in sets.items():
        natural = Config(
            dataset=dataset,
            shape=(28, 28, 1),
            bases=("random", "deterministic"),
            epochs_standard=epochs,
            epochs=epochs,
            coordinates=coordinates,
        )
        cells[f"{dataset}/natural"] = (natural, 1)
        for n in (60000, 240000, 480000, 720000, 960000, 1200000):
            for norm in NORMS:
                noise = dataclasses.replace(
                    natural,
                    bases=("noise",),
                    norms=(norm,),
                    rates=(0.01,),
                    num_perturbed=n,
                    epochs=300,
                )
                cells[f"{dataset}/noise={n}/{norm}"] = (noise, 1)
    return cells


CELLS: dict[str, dict[str, tuple[Config, int]]] = {
    "smoke": {
        "digits": (
            dataclasses.replace(_digits(), num_train=256, epochs_standard=5, epochs=3, steps=3),
            2,
        )
    },
    "default": {"digits": (_digits(), 3), "fashion-mnist": (_fashion(), 2)},
    "paper": _paper(),
}

STUDY = Study(
    name="images",
    config_type=Config,
    simulate=images.simulate,
    cells=CELLS,
    dims=images.DIMS,
    coords=images.coords,
    inputs=images.images,
    optional=lambda config: config.dataset != "digits",
)
