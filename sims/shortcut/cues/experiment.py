"""Stem ``shortcut.cues``: which of several equally valid cues is used, and why that one.

Four studies: ``solution`` (networks that use one given cue: flatness, training anew from around
them, curves to others), ``preference`` (networks trained where all cues agree, with controls),
``machine`` (kernel machines on cues as coordinates) and ``example`` (the images). The scale
``paper`` adds images of 32 x 32 pixels, orientation as a fourth cue, more seeds, distances and
directions; the published networks and images themselves are larger still.
"""

from __future__ import annotations

from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.shortcut.cues import examples, kernel_machines, solutions
from twolayer.sims.shortcut.cues import preference as cues_preference
from twolayer.sims.shortcut.cues.claims import preference
from twolayer.sims.shortcut.cues.examples import ExampleConfig
from twolayer.sims.shortcut.cues.images import CUES
from twolayer.sims.shortcut.cues.kernel_machines import MachineConfig
from twolayer.sims.shortcut.cues.networks import NETS
from twolayer.sims.shortcut.cues.preference import PreferenceConfig
from twolayer.sims.shortcut.cues.solutions import SolutionConfig

Cells = dict[str, tuple[Any, int]]

# The scale ``paper``: sizes and numbers of cues beyond the default ones.
_LARGE: dict[str, dict[str, Any]] = {
    "": {},
    ", 32 x 32": {"size": 32},
    ", 4 cues": {"size": 32, "num_cues": 4},
}
_RATES = {"mlp": 3e-3, "conv": 4e-3}


def _preferences(seeds: dict[str, tuple[int, int]], extra: str = "", **changes: Any) -> Cells:
    """Each network on coloured images, and with each control: so many starts of either."""
    kinds: dict[str, dict[str, Any]] = {
        "colour": {},
        "grey": {"images": "grey"},
        "shuffled": {"labels": "shuffled"},
    }
    return {
        f"{net}{extra}/{kind}": (
            PreferenceConfig(net=net, **how, **changes),
            controls if how else starts,
        )
        for net, (starts, controls) in seeds.items()
        for kind, how in kinds.items()
    }


def _solutions(seeds: int, extra: str = "", **changes: Any) -> Cells:
    """Both networks, every cue."""
    return {
        f"{net}{extra}/{cue}": (
            SolutionConfig(net=net, cue=cue, rate=_RATES[net], **changes),
            seeds,
        )
        for net in NETS
        for cue in CUES[: changes.get("num_cues", 3)]
    }


def _paper_solutions() -> Cells:
    wide: dict[str, Any] = {
        "radii": (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 150.0, 300.0),
        "directions": 100,
        "starts": (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0),
        "start_directions": 5,
        "num_loss": 480,
        "stretches": 60,
        "path_steps": 500,
    }
    return {
        label: cell
        for extra, changes in _LARGE.items()
        for label, cell in _solutions(20 if not extra else 10, extra, **wide, **changes).items()
    }


EXPERIMENT = Experiment(
    stem="shortcut.cues",
    title="Which of several equally valid cues is used",
    studies=(
        # First, as its cells take longest: the others fill the cores meanwhile.
        Study(
            name="solution",
            config_type=SolutionConfig,
            simulate=solutions.simulate,
            cells={
                "smoke": {
                    "mlp/colour": (
                        SolutionConfig(
                            batch=18,
                            stretch=10,
                            stretches=2,
                            num_test=24,
                            num_loss=12,
                            directions=2,
                            radii=(1.0, 10.0),
                            starts=(0.0, 10.0),
                            path_steps=5,
                            path_points=5,
                        ),
                        2,
                    )
                },
                "default": _solutions(4),
                "paper": _paper_solutions(),
            },
            dims=solutions.DIMS,
            coords=solutions.coords,
            turns=3,  # [measured] stretches; most labels need one, shape 24
        ),
        Study(
            name="preference",
            config_type=PreferenceConfig,
            simulate=cues_preference.simulate,
            cells={
                "smoke": {
                    label: cell
                    for label, cell in _preferences(
                        {"mlp": (2, 2)}, num_train=90, batch=30, epochs=3
                    ).items()
                },
                "default": _preferences({"mlp": (20, 8), "conv": (8, 6)}),
                "paper": {
                    label: cell
                    for extra, changes in _LARGE.items()
                    for label, cell in _preferences(
                        {"mlp": (100, 30), "conv": (100, 30)}, extra, **changes
                    ).items()
                },
            },
            dims=cues_preference.DIMS,
            coords=cues_preference.coords,
        ),
        Study(
            name="machine",
            config_type=MachineConfig,
            simulate=kernel_machines.simulate,
            cells={
                "smoke": {"one-hot": (MachineConfig(first=(0.5, 2.0), width=16, steps=5), 1)},
                "default": {"one-hot": (MachineConfig(), 6)},
                "paper": {"one-hot": (MachineConfig(width=1024, steps=1000), 20)},
            },
            dims=kernel_machines.DIMS,
            coords=kernel_machines.coords,
        ),
        Study(
            name="example",
            config_type=ExampleConfig,
            simulate=examples.simulate,
            cells={
                "smoke": {"16 x 16": (ExampleConfig(), 1)},
                "default": {"16 x 16": (ExampleConfig(), 1)},
                "paper": {
                    "16 x 16": (ExampleConfig(), 1),
                    "32 x 32": (ExampleConfig(size=32), 1),
                    "4 cues": (ExampleConfig(size=32, num_cues=4), 1),
                },
            },
            dims=examples.DIMS,
            coords=examples.coords,
        ),
    ),
    claims=preference.claims,
)
