"""Stem ``perturbation.orthogonal``: learning from perturbations of nearly orthogonal samples.

Five studies: ``family`` (the cases that can be solved exactly), ``flow`` (training approaches the
closed form), ``tier`` (on which data the hypotheses hold), ``artificial`` (the published artificial
experiment) and ``images``. The scale ``paper`` has the published grids [code].

At the scale ``default`` the artificial experiment has a twentieth of every published size (d, N,
N^a, width) at the published lengths of the perturbations. By the average-case formula
(:func:`twolayer.theory.perturbation.orthogonal.agreement.predicted_accuracy`) that changes nothing
for L2; the radii of Linf are raised to keep the length, and L0 is another experiment. Two points
along N^a have the published sizes, but for the width. Labels state the published value that a cell
is for.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from twolayer.sims.engine.experiment import Experiment, Study
from twolayer.sims.perturbation.orthogonal import artificial, families, flow, image_cells, published
from twolayer.sims.perturbation.orthogonal.artificial import LAWS, Config
from twolayer.sims.perturbation.orthogonal.claims import artificial as orthogonal_claims
from twolayer.sims.perturbation.orthogonal.families import FamilyConfig
from twolayer.sims.perturbation.orthogonal.flow import FlowConfig, TierConfig

Cells = dict[str, tuple[Any, int]]

# Artificial data ---------------------------------------------------------------------------------


def _config(law: str, shrink: int, sizes: dict[str, int], **changes: Any) -> Config:
    """The cell for published sizes d, n, n_adv, a ``shrink``-th of each.

    Budgets among the changes are published ones too: radii, and shares of coordinates for L0.
    """
    d = sizes["d"]
    usual = {"l2": (published.L2_BY_D[d],), "linf": (published.LINF,), "l0": (published.L0_SHARE,)}
    budgets: dict[str, Any] = {
        norm: tuple(published.scaled(norm, value, d, shrink) for value in changes.pop(norm, values))
        for norm, values in usual.items()
    }
    budgets["l0"] = tuple(map(round, budgets["l0"]))
    return Config(
        law=law,
        d=d // shrink,
        n=sizes["n"] // shrink,
        n_adv=sizes["n_adv"] // shrink,
        **{"width": 1000 // shrink, **changes},
        **budgets,
    )


def _sweeps(
    shrink: int,
    seeds: dict[str, int],
    points: dict[str, tuple],
    inside: dict[str, tuple],
    cheap_seeds: int = 0,
    **changes: Any,
) -> Cells:
    """Sweeps over sizes, and the base point with all budgets inside, for both laws.

    ``inside`` are budgets of the sweeps over sizes other than the published ones; where there are
    few perturbed samples there are at least ``cheap_seeds``.
    """
    budgets = {name: points[name] for name in ("l2", "linf", "l0")}
    cells: Cells = {}
    for law in LAWS:
        cells[f"{law}/base"] = (
            _config(law, shrink, published.BASE, **budgets, **changes),
            seeds[law],
        )
        for axis in published.BASE:
            for value in points[axis]:
                config = _config(law, shrink, {**published.BASE, axis: value}, **changes, **inside)
                number = max(seeds[law], cheap_seeds if axis == "n_adv" else 0)
                cells[f"{law}/{axis}={value}"] = (config, number)
    return cells


def _default_artificial() -> Cells:
    points = {
        "d": (1000, 5000),
        "n": (2000, 10000),
        "n_adv": (100, 500, 1000, 2500),
        "l2": (0.05, 0.2, 0.4, 0.78),
        "linf": (0.005, 0.015, 0.03),
        "l0": (0.004, 0.01, 0.05),
    }
    few: Any = {"pgd_steps": 20}
    cells = _sweeps(20, dict.fromkeys(LAWS, 6), points, {"l0": ()}, 20, **few)
    textbook = {"l2": (), "l0": (), "linf": points["linf"], "linf_style": "sign", **few}
    for law in LAWS:
        cells[f"{law}/textbook"] = (_config(law, 20, published.BASE, **textbook), 2)
        for n_adv in (100, 1000):
            sizes = {**published.BASE, "n_adv": n_adv}
            config = _config(law, 1, sizes, width=100, l0=(), pgd_steps=10)
            cells[f"{law}/published n_adv={n_adv}"] = (config, 2)
    variant = functools.partial(
        _config, "uniform", 20, published.BASE, l2=(0.05, 0.2, 0.78), linf=(), l0=(), **few
    )
    for gamma in (0.3, 0.9):
        cells[f"uniform/gamma={gamma}"] = (variant(gamma=gamma), 6)
    cells["uniform/from zero"] = (variant(start=0.0), 6)
    cells["uniform/two rows"] = (variant(start=0.0, width=2), 6)
    cells["uniform/published width"] = (variant(width=1000), 2)
    return cells


def _smoke_artificial() -> Cells:
    sizes = {"d": 1000, "n": 1000, "n_adv": 1000}
    return {
        f"{law}/base": (_config(law, 50, sizes, width=4, pgd_steps=3, max_steps=20), 2)
        for law in LAWS
    }


# Exact families, flow, hypotheses ----------------------------------------------------------------

_STEPS_IN_TAU = (0.3, 0.42, 0.43, 0.9, 0.99, 1.01, 1.2, 1.5, 1.57, 1.58, 1.8, 2.0, 3.0)
_TAUS = tuple(round(0.02 * k, 2) for k in range(1, 151))
_GAMMAS = tuple(round(0.01 + 0.02 * k, 2) for k in range(50))


def _families(taus: tuple[float, ...], gammas: tuple[float, ...], steps: int) -> Cells:
    return {
        "phase": (FamilyConfig(gammas=gammas, taus=taus), 1),
        "flipped": (FamilyConfig(taus=_STEPS_IN_TAU, steps=steps), 5),
        "near": (FamilyConfig(family="near", taus=taus), 5),
        "random": (FamilyConfig(family="random", taus=taus), 5),
        **{
            f"noise n_adv={n_adv}": (
                FamilyConfig(family="noise", n_adv=n_adv, d=n_adv + 20, taus=taus),
                1,
            )
            for n_adv in (4, 20, 100)
        },
    }


def _flows(chunks: int) -> Cells:
    base = FlowConfig(chunks=chunks)
    changes: dict[str, dict[str, Any]] = {
        "near orthogonal": {},
        "orthogonal": {"rho": 0.0},
        "start x 10": {"start": 1.0},
        "gamma=0.9": {"gamma": 0.9, "rho": 0.005},
        "logistic": {"loss": "logistic"},
        "near duplicate": {"duplicate": 0.03},
    }
    return {name: (dataclasses.replace(base, **change), 3) for name, change in changes.items()}


_TIERS = TierConfig(
    dims=(100, 300, 1000, 3000, 10000, 30000, 100000, 300000, 1000000, 3000000),
    sizes=(4, 6, 10, 20, 40),
    gammas=(0.9, 0.5, 0.3, 0.1, 0.01),
)

EXPERIMENT = Experiment(
    stem="perturbation.orthogonal",
    title="Learning from perturbations of nearly orthogonal samples",
    studies=(
        # First, as its cells take longest: the others fill the cores meanwhile.
        image_cells.STUDY,
        Study(
            name="family",
            config_type=FamilyConfig,
            simulate=families.simulate,
            cells={
                "smoke": _families((0.5, 1.5, 2.0), (0.3, 0.5), 100),
                "default": _families(_TAUS, _GAMMAS, 4000),
                "paper": _families(_TAUS, _GAMMAS, 40000),
            },
            dims=families.DIMS,
            undefined=("trained",),
            coords=families.coords,
        ),
        Study(
            name="flow",
            config_type=FlowConfig,
            simulate=flow.simulate_flow,
            cells={"smoke": _flows(3), "default": _flows(200), "paper": _flows(2000)},
            dims=flow.FLOW_DIMS,
            coords=flow.flow_coords,
        ),
        Study(
            name="tier",
            config_type=TierConfig,
            simulate=flow.simulate_tier,
            cells={
                "smoke": {"gauss": (_TIERS, 2)},
                "default": {"gauss": (_TIERS, 40)},
                "paper": {"gauss": (_TIERS, 400)},
            },
            dims=flow.TIER_DIMS,
            coords=flow.tier_coords,
        ),
        Study(
            name="artificial",
            config_type=Config,
            simulate=artificial.simulate,
            cells={
                "smoke": _smoke_artificial(),
                "default": _default_artificial(),
                "paper": _sweeps(1, {"uniform": 5, "gauss": 2}, published.AXES, {}),
            },
            dims=artificial.DIMS,
            undefined=("gradient_cosine", "spread", "acc_limit"),
            coords=artificial.coords,
            turns=40,
        ),
    ),
    claims=orthogonal_claims.claims,
)
