"""Learning from adversarial perturbations, wide networks: the statements about agreement.

What the second network g learns from perturbations with independent labels (B1-B3), and when its
predictions must agree with those of f, in the scenarios of
:mod:`twolayer.theory.perturbation.wide.theorems.scenarios`. The threshold law (B4) stands in
:mod:`twolayer.theory.perturbation.wide.theorems.threshold`. All [derived]; stated at infinite width
and for the identity loss, where f and g are kernel sums.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from twolayer.theory.perturbation.wide import bounds, surrogate
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA
from twolayer.theory.perturbation.wide.theorems.scenarios import (
    KNOBS,
    SIZES,
    Second,
    balanced,
    constant,
    drift_of_g,
    opposite,
    sample,
    scenario_a,
    scenario_b,
    split,
    unit_directions,
)
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Theorem

# Theorems B1-B3 ----------------------------------------------------------------------------------


def _decomposition(at: Second, *, noise: float = 1.0) -> Bounds:
    even, odd = split(at)
    parts = surrogate.signal(odd) + noise * (at.targets @ even) / at.targets.shape[0]
    scale = jnp.mean(jnp.abs(even) + jnp.abs(odd), axis=0)
    return {"sum": equal(drift_of_g(at), parts, 1e-12 * scale)}


DECOMPOSITION = Theorem(
    name="wide.decomposition",
    statement="(1/N) sum_n y'_n K(base_n + eps y'_n u_n, z) = M(z) + (1/N) sum_n y'_n e_n(z), "
    "for any unit vectors u and any base.",
    source="[derived] Theorem B1",
    sizes=SIZES,
    parameters=KNOBS,
    sample=scenario_b,
    complete=unit_directions,
    searchable=("x", "z", "u"),
    conclusions=_decomposition,
    controls={"signal alone": Control(conclusions=functools.partial(_decomposition, noise=0.0))},
)


def _clear_product(at: Second) -> Bounds:
    # Below this the odd part is a difference of equal numbers.
    product = at.eps * jnp.abs(at.u @ at.z.T)
    return {"u.z": Bound(lhs=jnp.full_like(product, 1e-9), rhs=product)}


def _signal_sign(at: Second, *, part: int = 1) -> Bounds:
    return {"sign": same_sign(split(at)[part], at.u @ at.z.T)}


SIGNAL_SIGN = Theorem(
    name="wide.signal_sign",
    statement="In scenario a each odd part o_n(z) has the sign of u_n.z, for any eps > 0.",
    source="[derived] Theorem B2",
    sizes=SIZES,
    parameters=KNOBS,
    sample=scenario_a,
    complete=unit_directions,
    searchable=("z", "u"),
    hypotheses=_clear_product,
    conclusions=_signal_sign,
    controls={"even part": Control(conclusions=functools.partial(_signal_sign, part=0))},
    interval_form=intervals.signal_sign,
)


def _noise(at: Second, *, balanced: bool, share: float = 1.0) -> Bounds:
    even, _ = split(at)
    noise = jnp.abs(at.targets @ even) / at.targets.shape[0]
    radius = share * bounds.label_noise_radius(even, DELTA, balanced=balanced)
    return {"noise": within_rounding(noise, radius, jnp.mean(jnp.abs(even), axis=0))}


LABEL_NOISE = Theorem(
    name="wide.label_noise",
    statement="For independent labels, |(1/N) sum_n y'_n e_n(z)| <= "
    "sqrt(2 ln(2k/delta) sum_n e_n(z)^2)/N at all k points at once with probability 1 - delta.",
    source="[derived] Theorem B1, Hoeffding",
    sizes=SIZES,
    parameters=KNOBS,
    sample=scenario_b,
    complete=unit_directions,
    searchable=("x", "z", "u"),
    conclusions=functools.partial(_noise, balanced=False),
    failure_rate=DELTA,
    controls={
        "all labels +1": Control(
            sample=functools.partial(sample, labels=constant, on_original=False)
        ),
        "a quarter of the radius": Control(
            conclusions=functools.partial(_noise, balanced=False, share=0.25)
        ),
    },
)
BALANCED_NOISE = Theorem(
    name="wide.balanced_noise",
    statement="For a uniformly random order of N/2 labels of each sign, |(1/N) sum_n y'_n e_n(z)| "
    "<= (max_n e_n - min_n e_n) sqrt(ln(2k/delta)/N) at all k points at once with probability "
    "1 - delta.",
    source="[derived] Theorem B3, Hoeffding without replacement",
    sizes=SIZES,
    parameters=KNOBS,
    sample=functools.partial(sample, labels=balanced, on_original=False),
    complete=unit_directions,
    searchable=("z", "u"),
    conclusions=functools.partial(_noise, balanced=True),
    failure_rate=DELTA,
    controls={"independent labels": Control(sample=scenario_a)},
)


# Agreement ---------------------------------------------------------------------------------------


def _certified(at: Second, *, noise: float = 1.0) -> Bounds:
    even, odd = split(at)
    signal, drift = surrogate.signal(odd), surrogate.lazy_predictor(at.x, at.y, at.z, at.gamma)
    radius = noise * bounds.label_noise_radius(even, DELTA)
    return {
        "(i) f is clear": strictly_less(jnp.abs(at.f0) / at.time, jnp.abs(drift)),
        "(ii) g is clear": strictly_less(radius + jnp.abs(at.g0) / at.time, jnp.abs(signal)),
        "(iii) aligned": same_sign(signal, drift),
    }


def _agreement(at: Second) -> Bounds:
    f = at.f0 + at.time * surrogate.lazy_predictor(at.x, at.y, at.z, at.gamma)
    g = at.g0 + at.time * drift_of_g(at)
    return {"agreement": same_sign(f, g)}


def _agreement_theorem(letter: str, on_original: bool, controls: dict[str, Control]) -> Theorem:
    where = "perturbed samples" if on_original else "perturbations alone"
    return Theorem(
        name=f"wide.agreement_{letter}",
        statement=f"g trained on {where}: where (i) |F| > |f_0|/tau, (ii) |M| > Hrad + |g_0|/tau "
        "and (iii) sgn M = sgn F, the signs of f and g agree, at all points at once with "
        "probability 1 - delta over the labels.",
        source=f"[derived] agreement theorem {letter}",
        sizes=SIZES,
        parameters=KNOBS | {"log_eps": (0.0, 1.0)},
        sample=scenario_b if on_original else scenario_a,
        complete=unit_directions,
        searchable=("x", "z", "u", "f0", "g0"),
        hypotheses=_certified,
        conclusions=_agreement,
        failure_rate=DELTA,
        controls=controls,
    )


AGREEMENT_A = _agreement_theorem(
    "a",
    False,
    {
        "all labels +1, noise ignored": Control(
            sample=functools.partial(sample, labels=constant, on_original=False, shrink=0.03),
            hypotheses=functools.partial(_certified, noise=0.0),
        ),
        "signal not aligned with f": Control(
            sample=functools.partial(scenario_a, reverse=True),
            hypotheses=lambda at: {
                name: bound
                for name, bound in _certified(at).items()
                if not name.startswith("(iii)")
            },
        ),
    },
)
AGREEMENT_B = _agreement_theorem(
    "b",
    True,
    {
        "labels opposite to the true ones": Control(
            sample=functools.partial(sample, labels=opposite, on_original=True)
        ),
        "noise ignored": Control(
            sample=functools.partial(scenario_b, shrink=0.03),
            hypotheses=functools.partial(_certified, noise=0.0),
        ),
    },
)

THEOREMS = (DECOMPOSITION, SIGNAL_SIGN, LABEL_NOISE, BALANCED_NOISE, AGREEMENT_A, AGREEMENT_B)
