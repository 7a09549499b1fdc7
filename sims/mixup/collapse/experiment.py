"""Stem ``mixup.collapse``: geometry of the last layer under mixup.

Three studies: ``ufm`` (the exact optimum of unconstrained features for a given simplex frame),
``free`` (the classifier trained along with the features) and ``network`` (last-layer activations of
networks on three classes of images). The scale ``paper`` has finer grids, more seeds, longer
trainings and convolutional networks; the published networks and images themselves are larger still.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.mixup.collapse import claims, free_classifier, networks, optimum
from twolayer.sims.mixup.collapse.free_classifier import TrainingConfig
from twolayer.sims.mixup.collapse.networks import NetworkConfig
from twolayer.sims.mixup.collapse.optimum import OptimumConfig

Cells = dict[str, tuple[Any, int]]

# From kappa = 1, where the optimum is nearly linear in lambda, to where the limit is reached.
_SWEEP = tuple(10.0**power for power in range(1, -12, -1))


def _optima(points: int) -> Cells:
    """The four replicated configurations, one of them in a plane and one over kappa."""
    lams = tuple(step / (points - 1) for step in range(points))
    return {
        "K=3": (OptimumConfig(lams=lams), 1),
        "K=4": (OptimumConfig(num_classes=4, dim=7, decays=(0.1,), lams=lams), 1),
        "K=10": (OptimumConfig(num_classes=10, dim=20, norm=2.0, decays=(0.01,), lams=lams), 1),
        "kappa": (OptimumConfig(num_classes=10, dim=9, norm=3.0, decays=_SWEEP, lams=lams), 1),
    }


def _networks(name: str, seeds: int, *, weight_decay: float = 5e-3, **changes: Any) -> Cells:
    """A fixed classifier with features that decay, as in the theory; and a trained one, where all
    parameters decay instead, as usual. Both with mixup and without.
    """
    classifiers: dict[str, dict[str, Any]] = {
        "fixed": {"classifier": "fixed", "decay": 0.01, "weight_decay": 0.0},
        "trained": {"classifier": "trained", "decay": 0.0, "weight_decay": weight_decay},
    }
    return {
        f"{name}/{classifier}/{samples}": (
            NetworkConfig(samples=samples, rate=2e-3, **how, **changes),
            seeds,
        )
        for classifier, how in classifiers.items()
        for samples in ("mixup", "plain")
    }


_FASHION: dict[str, Any] = {"dataset": "fashion-mnist", "shape": (28, 28, 1)}

EXPERIMENT = Experiment(
    stem="mixup.collapse",
    title="Geometry of the last layer under mixup",
    studies=(
        # First, as its cells take longest: the others fill the cores meanwhile.
        Study(
            name="network",
            config_type=NetworkConfig,
            simulate=networks.simulate,
            cells={
                "smoke": _networks("digits", 2, per_class=40, epochs=3, pairs=3),
                # [measured] With the usual weight decay of 5e-4 a trained classifier comes near to
                # a frame only after many more steps.
                "default": {
                    **_networks("digits", 5, epochs=400),
                    **_networks("fashion-mnist", 5, per_class=150, epochs=100, **_FASHION),
                },
                "paper": {
                    **_networks("digits", 20, epochs=3000, weight_decay=5e-4),
                    **_networks("fashion-mnist", 10, epochs=200, weight_decay=5e-4, **_FASHION),
                    **_networks(
                        "fashion-mnist, conv",
                        5,
                        epochs=100,
                        weight_decay=5e-4,
                        net="conv",
                        width=0.25,
                        **_FASHION,
                    ),
                },
            },
            dims=networks.DIMS,
            undefined=("row", "point", "optimum"),
            coords=networks.coords,
            inputs=networks.images,
            optional=lambda config: config.dataset != "digits",
        ),
        Study(
            name="free",
            config_type=TrainingConfig,
            simulate=free_classifier.simulate,
            cells={
                "smoke": {"K=4": (dataclasses.replace(TrainingConfig(), steps=20), 2)},
                "default": {"K=4": (TrainingConfig(), 8)},
                "paper": {"K=4": (TrainingConfig(), 50)},
            },
            dims=free_classifier.DIMS,
            coords=free_classifier.coords,
        ),
        Study(
            name="ufm",
            config_type=OptimumConfig,
            simulate=optimum.simulate,
            cells={
                "smoke": {"K=3": _optima(11)["K=3"]},
                "default": _optima(41),
                "paper": _optima(201),
            },
            dims=optimum.DIMS,
            coords=optimum.coords,
        ),
    ),
    claims=claims.claims,
)
