"""Changes that change nothing that a check could notice, and why."""

from __future__ import annotations

MIXUP, PERTURBATION, SHORTCUT = (
    "twolayer.theory.mixup",
    "twolayer.theory.perturbation",
    "twolayer.theory.shortcut",
)

FAR_OFF = "no drawn point is that near to the edge"

# Module, what is removed, what is put there -> the reason.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        f"{MIXUP}.calibration.theorems.temperature",
        "        conditions &= order[:, -2] - order[:, 0] <= at.spread + 1e-12",
        "        conditions &= order[:, -2] - order[:, 0] <= at.spread - 1e-12",
    ): FAR_OFF,
    (
        f"{MIXUP}.calibration.theorems.temperature",
        '        "error": Bound(lhs=jnp.full_like(mean, bound), rhs=mean + 1e-12),',
        '        "error": Bound(lhs=jnp.full_like(mean, bound), rhs=mean - 1e-12),',
    ): FAR_OFF,
    (
        f"{MIXUP}.collapse.theorems.class_pairs",
        '        "a row half as long again": '
        "Control(conclusions=functools.partial(_same_class, row=1.5)),",
        '        "a row half as long again": '
        "Control(conclusions=functools.partial(_same_class, row= 0.5)),",
    ): "as far from the truth on its other side",
    (
        f"{MIXUP}.collapse.theorems.class_pairs",
        "        alone = parts.coef_i[3] - (parts.coef_j[3] if k == 2 else 0)",
        "        alone = parts.coef_i[3] - (parts.coef_j[3] if k == 1 else 0)",
    ): "a control is judged at the largest size, which has more classes than two",
    (
        f"{MIXUP}.collapse.theorems.class_pairs",
        "            lhs=jnp.abs(first - second - logit), "
        "rhs=-2 * crowded * jnp.log1p(-deviation) + rounding",
        "            lhs=jnp.abs(first - second - logit), "
        "rhs=-2 * crowded * jnp.log1p(-deviation) - rounding",
    ): FAR_OFF,
    (
        f"{MIXUP}.features.theorems.error",
        "    return jnp.where(condition, 1.0, -1.0)",
        "    return jnp.where(condition, 1.0, - 2.0)",
    ): "two truths are compared, by any two numbers of different signs",
    (
        f"{MIXUP}.features.theorems.error",
        "    return jnp.where(condition, 1.0, -1.0)",
        "    return jnp.where(condition, 0.0, -1.0)",
    ): "two truths are compared, by any two numbers of different signs",
    (
        f"{MIXUP}.features.theorems.learning",
        "    rare = at.rare[None, :] & (class_signs(at.y) > 0)",
        "    rare = at.rare[None, :] & (class_signs(at.y) >= 0)",
    ): "a class's sign is 1 or -1",
    (
        f"{PERTURBATION}.orthogonal.theorems.agreement",
        "        direction = shrink * step(normal if largest else 1 / normal, norm)",
        "        direction = shrink * step(normal if largest else 2 / normal, norm)",
    ): "a step has length 1",
    (
        f"{PERTURBATION}.orthogonal.theorems.noise",
        "    agree = (at.z @ at.w1 > 0) == (at.z @ at.w2 > 0)",
        "    agree = (at.z @ at.w1 >= 0) == (at.z @ at.w2 > 0)",
    ): FAR_OFF,
    (
        f"{PERTURBATION}.wide.theorems.direction",
        "            geometry.row_sines(safe, direction), sine, 1 + 0 * sine",
        "            geometry.row_sines(safe, direction), sine, 1 - 0 * sine",
    ): "ones in the shape of the sines",
    (
        f"{PERTURBATION}.wide.theorems.direction",
        '        directions.representer_coefficients(at.p["identity"], trace, point, at.gamma)[0] '
        "/ at.tau",
        '        directions.representer_coefficients(at.p["identity"], trace, point, at.gamma)'
        "[ -1] / at.tau",
    ): "of one point",
}
