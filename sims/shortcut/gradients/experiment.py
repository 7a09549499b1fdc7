"""Stem ``shortcut.gradients``: do input gradients highlight the signal?

Four studies: ``blocks`` (networks on block data, trained as usual and against perturbations),
``lp`` (the largest margin over thousands of neurons, by linear programming), ``images`` (gradients
on images of two blocks, one without a label) and ``roar`` (DiffROAR: networks retrained on the
pixels of largest and of smallest gradient). The scale ``default`` has 5 seeds, networks of width
400 on block data as in the replication, and on images ones of width 64, 20 passes over the data
(10 in the study of retrainings, which are many) and 800 images of Fashion-MNIST; ``paper`` has more
seeds, longer trainings and every variant, but still far smaller networks than the paper's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.shortcut.gradients import blocks, images, max_margin_lp, roar
from twolayer.sims.shortcut.gradients.blocks import BlocksConfig
from twolayer.sims.shortcut.gradients.claims import blocks as gradients_claims
from twolayer.sims.shortcut.gradients.images import ImagesConfig
from twolayer.sims.shortcut.gradients.max_margin_lp import LpConfig
from twolayer.sims.shortcut.gradients.roar import RoarConfig

Cells = dict[str, tuple[Any, int]]

_ATTACK_STEPS = 8


def _robust(eps: float, **changes: Any) -> BlocksConfig:
    """Published attack: 8 steps; ours are of eps / 5, the paper's of eps / 4."""
    changes = {"steps": 6000, "rows": 10} | changes
    return BlocksConfig(eps=eps, attack_steps=_ATTACK_STEPS, **changes)


def _blocks(seeds: int) -> Cells:
    """The replication's table, and other numbers of signal coordinates for the margin."""
    return {
        # First, as they take longest.
        "robust/init=1/eps=0.35": (_robust(0.35), seeds),
        "robust/init=0.1/eps=0.35": (_robust(0.35, init=0.1), seeds),
        "robust/init=1/eps=0.45": (_robust(0.45), seeds),
        "init=0.1/noise": (BlocksConfig(init=0.1, noise=0.3, draws=6), seeds),
        "init=0.1/m=10": (BlocksConfig(init=0.1, signal=10), seeds),
        "init=0.1/m=3": (BlocksConfig(init=0.1, signal=3), seeds),
        "init=0.1/m=2": (BlocksConfig(init=0.1, signal=2), seeds),
        "init=0.1/noise once": (BlocksConfig(init=0.1, noise=0.3), seeds),
        "init=0.1": (BlocksConfig(init=0.1), seeds),
        "init=1": (BlocksConfig(), seeds),
    }


def _programmes(neurons: int) -> Cells:
    return {f"m={m}": (LpConfig(signal=m, neurons=neurons), 1) for m in (1, 2, 3, 5, 10)}


# Radii at which the networks still tell nine of ten digits [measured].
_TRAININGS: dict[str, dict[str, Any]] = {
    "l2": {"attack": "l2", "eps": 0.5, "attack_steps": 5},
    "linf": {"attack": "linf", "eps": 0.08, "attack_steps": 5},
    "standard": {},
}


_HEADLINES = ("digits/glyph/random", "digits/glyph/top", "digits/permuted/random")


def _images(seeds: int, everything: bool, **changes: Any) -> Cells:
    variants: dict[str, dict[str, Any]] = {
        "digits/glyph/random": {},
        "digits/glyph/top": {"position": "top"},
        "digits/permuted/random": {"null": "permuted"},
        "digits/permuted/top": {"null": "permuted", "position": "top"},
        "0 and 1/glyph/random": {"classes": (0, 1)},
        "0 and 1/glyph/top": {"classes": (0, 1), "position": "top"},
        "0 and 1/permuted/random": {"classes": (0, 1), "null": "permuted"},
        "0 and 1/permuted/top": {"classes": (0, 1), "null": "permuted", "position": "top"},
    }
    if not everything:
        # Two classes need a program of their own, and gradients leak there as they do with ten.
        variants = {name: how for name, how in variants.items() if name in _HEADLINES}
    return {
        f"{name}/{training}": (ImagesConfig(**{**how, **attack, **changes}), seeds)
        for name, how in variants.items()
        for training, attack in _TRAININGS.items()
    }


def _fashion(seeds: int, positions: tuple[str, ...], **changes: Any) -> Cells:
    """A radius that is a smaller share of the images than the digits', which are easier to tell."""
    trainings: dict[str, dict[str, Any]] = {
        "l2": {"attack": "l2", "eps": 1.0, "attack_steps": 5},
        "standard": {},
    }
    return {
        f"fashion-mnist/glyph/{position}/{training}": (
            ImagesConfig(
                dataset="fashion-mnist", side=28, position=position, rate=1e-3, **how, **changes
            ),
            seeds,
        )
        for position in positions
        for training, how in trainings.items()
    }


def _roar(seeds: int, trainings: tuple[str, ...], **changes: Any) -> Cells:
    return {
        **{
            f"digits/glyph/random/{training}": (
                RoarConfig(**{**_TRAININGS[training], **changes}),
                seeds,
            )
            for training in trainings
        },
        "digits/inset/random/l2": (
            RoarConfig(null="inset", **{**_TRAININGS["l2"], **changes}),
            seeds,
        ),
        "digits/glyph/random/random ranking": (
            RoarConfig(attribution="random", **changes),
            seeds,
        ),
    }


_SHORT: dict[str, Any] = {"number": 200, "epochs": 2, "batch": 32}

EXPERIMENT = Experiment(
    stem="shortcut.gradients",
    title="Do input gradients highlight the signal?",
    studies=(
        Study(
            name="roar",
            config_type=RoarConfig,
            simulate=roar.simulate,
            cells={
                "smoke": {"digits/glyph/random/standard": (RoarConfig(ks=(0.1, 0.4), **_SHORT), 2)},
                "default": _roar(5, ("l2", "standard"), epochs=10),
                "paper": _roar(20, tuple(_TRAININGS), epochs=60),
            },
            dims=roar.DIMS,
            coords=roar.coords,
            inputs=images.images,
        ),
        Study(
            name="images",
            config_type=ImagesConfig,
            simulate=images.simulate,
            cells={
                "smoke": {
                    f"digits/glyph/random/{name}": (ImagesConfig(**how, **_SHORT), 2)
                    for name, how in _TRAININGS.items()
                },
                "default": {
                    **_fashion(3, ("random",), number=800, epochs=10),
                    **_images(5, everything=False, epochs=20),
                },
                "paper": {
                    **_fashion(10, ("random", "top"), number=20000, epochs=20, hidden=256),
                    **_images(20, everything=True, epochs=60),
                },
            },
            dims=images.DIMS,
            coords=images.coords,
            inputs=images.images,
            optional=lambda config: config.dataset != "digits",
        ),
        Study(
            name="blocks",
            config_type=BlocksConfig,
            simulate=blocks.simulate,
            cells={
                "smoke": {
                    "init=0.1": (dataclasses.replace(BlocksConfig(init=0.1), steps=400), 2),
                    "robust/init=1/eps=0.35": (_robust(0.35, steps=400), 2),
                },
                "default": _blocks(5),
                "paper": {
                    **_blocks(20),
                    "robust/init=1/eps=0.45/m=10": (
                        _robust(0.45, signal=10, rows=20, width=2000, steps=60000),
                        5,
                    ),
                },
            },
            dims=blocks.DIMS,
            undefined=("null_ratio",),
            coords=blocks.coords,
        ),
        Study(
            name="lp",
            config_type=LpConfig,
            simulate=max_margin_lp.simulate,
            cells={
                "smoke": {"m=3": (LpConfig(neurons=200), 1)},
                "default": _programmes(1000),
                "paper": _programmes(20000),
            },
            dims=max_margin_lp.DIMS,
            undefined=("atoms", "imbalance"),
            coords=max_margin_lp.coords,
            inputs=max_margin_lp.solutions,
        ),
    ),
    claims=gradients_claims.claims,
)
