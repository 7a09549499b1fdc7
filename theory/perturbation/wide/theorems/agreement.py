"""Learning from adversarial perturbations, wide networks: the statements about agreement.

What the second network g learns from perturbations with independent labels (B1-B3), and when its
predictions must agree with those of f: in scenario a, trained on the perturbations alone, and in
scenario b, trained on perturbed samples. The threshold law (B4) stands in
:mod:`twolayer.theory.perturbation.wide.theorems.threshold`. All [derived]; stated at infinite width
and for the identity loss, where f and g are kernel sums.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from twolayer.theory import geometry, networks
from twolayer.theory.kernels import shallow
from twolayer.theory.perturbation.wide import bounds, surrogate
from twolayer.theory.perturbation.wide.theorems import intervals
from twolayer.theory.perturbation.wide.theorems.constants import DELTA, SCALES, SLOPES
from twolayer.theory.perturbation.wide.theorems.training import two_classes
from twolayer.theory.verification.inequality import (
    Bound,
    Bounds,
    equal,
    same_sign,
    strictly_less,
    within_rounding,
)
from twolayer.theory.verification.theorem import Control, Knobs, Size, Theorem


@struct.dataclass
class Second:
    """All that decides f and g at the points z."""

    x: Array
    y: Array
    z: Array
    u: Array  # (n, d), unit directions, drawn as those of f's input gradient
    eps: Array
    targets: Array
    gamma: Array
    f0: Array
    g0: Array
    time: Array  # effective time of both networks
    on_original: bool = struct.field(pytree_node=False)

    @property
    def base(self) -> Array:
        """What is perturbed: zeros in scenario a, the samples in scenario b."""
        return self.x if self.on_original else jnp.zeros_like(self.x)


def unit_directions(at: Second) -> Second:
    """The same with directions of length 1."""
    return dataclasses.replace(at, u=geometry.unit_rows(at.u))


Labels = Callable[[Array, Array], Array]


def _independent(key: Array, y: Array) -> Array:
    return surrogate.random_targets(key, y.shape[0])


def _balanced(key: Array, y: Array) -> Array:
    return surrogate.random_targets(key, y.shape[0], balanced=True)


def _constant(key: Array, y: Array) -> Array:
    return jnp.ones_like(y)


def _opposite(key: Array, y: Array) -> Array:
    return -y


def _sample(
    key: Array,
    size: Size,
    knobs: Knobs,
    *,
    labels: Labels,
    on_original: bool,
    reverse: bool = False,
    shrink: float = 1.0,
) -> Second:
    key_x, key_z, key_f, key_g, key_labels = jax.random.split(key, 5)
    n, d, points = size["n"], size["d"], size["points"]
    scale, gamma = knobs["scale"], knobs["slope"]
    x, y = two_classes(key_x, n, d, scale, shift=1.0)
    z, _ = two_classes(key_z, points, d, scale, shift=1.0)
    u = surrogate.representer_direction(x, y, x, gamma) + surrogate.kernel_gradient_direction(
        x, y, x, gamma
    )
    return Second(
        x=x,
        y=y,
        z=z,
        u=(-1.0 if reverse else 1.0) * u,
        eps=shrink * scale * 10.0 ** knobs["log_eps"],
        targets=labels(key_labels, y),
        gamma=gamma,
        f0=networks.forward(networks.init_two_layer(key_f, d, 32), z, gamma),
        g0=networks.forward(networks.init_two_layer(key_g, d, 32), z, gamma),
        time=10.0 ** knobs["log_time"],
        on_original=on_original,
    )


def _split(at: Second) -> tuple[Array, Array]:
    return surrogate.even_odd_split(at.base, at.u, at.eps, at.z, at.gamma)


def drift_of_g(at: Second) -> Array:
    """What training adds to g over time, from the perturbed data set itself."""
    inputs = at.base + at.eps * at.targets[:, None] * at.u
    kernel = shallow.lazy_kernel(inputs, at.z, at.gamma)
    return at.targets @ kernel / at.targets.shape[0]


SIZES = ({"n": 8, "d": 2, "points": 2}, {"n": 64, "d": 10, "points": 6})
KNOBS = {"slope": SLOPES, "scale": SCALES, "log_eps": (-2.0, 1.0), "log_time": (1.0, 3.0)}
scenario_a = functools.partial(_sample, labels=_independent, on_original=False)
scenario_b = functools.partial(_sample, labels=_independent, on_original=True)


# Theorems B1-B3 ----------------------------------------------------------------------------------


def _decomposition(at: Second, *, noise: float = 1.0) -> Bounds:
    even, odd = _split(at)
    parts = surrogate.signal(odd) + noise * (at.targets @ even) / at.targets.shape[0]
    scale = jnp.mean(jnp.abs(even) + jnp.abs(odd), axis=0)
    return {"sum": equal(drift_of_g(at), parts, 1e-12 * scale)}


DECOMPOSITION = Theorem(
    name="wide.decomposition",
    statement="(1/N) sum_n y'_n K(base_n + eps y'_n u_n, z) = M(z) + (1/N) sum_n y'_n e_n(z), "
    "for any unit vectors u and any base.",
    source="[derived] Theorem B1",
    sizes=SIZES,
    knobs=KNOBS,
    sample=scenario_b,
    complete=unit_directions,
    free=("x", "z", "u"),
    conclusions=_decomposition,
    controls={"signal alone": Control(conclusions=functools.partial(_decomposition, noise=0.0))},
)


def _clear_product(at: Second) -> Bounds:
    # Below this the odd part is a difference of equal numbers.
    product = at.eps * jnp.abs(at.u @ at.z.T)
    return {"u.z": Bound(lhs=jnp.full_like(product, 1e-9), rhs=product)}


def _signal_sign(at: Second, *, part: int = 1) -> Bounds:
    return {"sign": same_sign(_split(at)[part], at.u @ at.z.T)}


SIGNAL_SIGN = Theorem(
    name="wide.signal_sign",
    statement="In scenario a each odd part o_n(z) has the sign of u_n.z, for any eps > 0.",
    source="[derived] Theorem B2",
    sizes=SIZES,
    knobs=KNOBS,
    sample=scenario_a,
    complete=unit_directions,
    free=("z", "u"),
    hypotheses=_clear_product,
    conclusions=_signal_sign,
    controls={"even part": Control(conclusions=functools.partial(_signal_sign, part=0))},
    interval_form=intervals.signal_sign,
)


def _noise(at: Second, *, balanced: bool, share: float = 1.0) -> Bounds:
    even, _ = _split(at)
    noise = jnp.abs(at.targets @ even) / at.targets.shape[0]
    radius = share * bounds.label_noise_radius(even, DELTA, balanced=balanced)
    return {"noise": within_rounding(noise, radius, jnp.mean(jnp.abs(even), axis=0))}


LABEL_NOISE = Theorem(
    name="wide.label_noise",
    statement="For independent labels, |(1/N) sum_n y'_n e_n(z)| <= "
    "sqrt(2 ln(2k/delta) sum_n e_n(z)^2)/N at all k points at once with probability 1 - delta.",
    source="[derived] Theorem B1, Hoeffding",
    sizes=SIZES,
    knobs=KNOBS,
    sample=scenario_b,
    complete=unit_directions,
    free=("x", "z", "u"),
    conclusions=functools.partial(_noise, balanced=False),
    failure_rate=DELTA,
    controls={
        "all labels +1": Control(
            sample=functools.partial(_sample, labels=_constant, on_original=False)
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
    knobs=KNOBS,
    sample=functools.partial(_sample, labels=_balanced, on_original=False),
    complete=unit_directions,
    free=("z", "u"),
    conclusions=functools.partial(_noise, balanced=True),
    failure_rate=DELTA,
    controls={"independent labels": Control(sample=scenario_a)},
)


# Agreement ---------------------------------------------------------------------------------------


def _certified(at: Second, *, noise: float = 1.0) -> Bounds:
    even, odd = _split(at)
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
        knobs=KNOBS | {"log_eps": (0.0, 1.0)},
        sample=scenario_b if on_original else scenario_a,
        complete=unit_directions,
        free=("x", "z", "u", "f0", "g0"),
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
            sample=functools.partial(_sample, labels=_constant, on_original=False, shrink=0.03),
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
            sample=functools.partial(_sample, labels=_opposite, on_original=True)
        ),
        "noise ignored": Control(
            sample=functools.partial(scenario_b, shrink=0.03),
            hypotheses=functools.partial(_certified, noise=0.0),
        ),
    },
)


THEOREMS = (
    DECOMPOSITION,
    SIGNAL_SIGN,
    LABEL_NOISE,
    BALANCED_NOISE,
    AGREEMENT_A,
    AGREEMENT_B,
)
