"""Four points and spectra of the stem ``shortcut.availability``, against tables and theorems.

Sources as in :mod:`twolayer.sims.shortcut.availability.claims.networks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from twolayer.sims.engine.claims import Claim
from twolayer.sims.engine.results import StemResults
from twolayer.sims.shortcut.availability import reference as tables
from twolayer.sims.shortcut.availability.claims.kernels import near, of_study


def claims(results: StemResults) -> list[Claim]:
    """Acceptance list of the closed forms, as far as the scale has the cells for it."""
    return [*_points(results), *_clusters(results)]


# Four points and angular spectra -----------------------------------------------------------------


def _points(results: StemResults) -> Iterator[Claim]:
    for label, run in of_study(results, "points"):
        c, arrays = run.config, {name: value[0] for name, value in run.arrays.items()}
        if (c.rho_s, c.rho_c) == (0.7, 0.9) and c.taus == tables.POINT_TAUS:
            yield from _point_table(label, c, arrays)
        if "linear" in c.kernels:
            yield Claim(
                name=f"points, {label}: amplification from which linear follows the shortcut first",
                source="[derived] A4 (ii), the root of (2 rho_c - 1)/(2 rho_s - 1)",
                expected=float(np.sqrt((2 * c.rho_c - 1) / (2 * c.rho_s - 1))),
                tolerance=1e-9,
                measured=float(arrays["critical"][c.kernels.index("linear")]),
            )
        louder = np.array(c.alphas) > 1
        for more, less, source in (
            ("linear", "relu-bias", "[derived] A4 (iii)"),
            ("linear", "relu-2", "[derived] A4 (iii)"),
            ("relu-bias", "relu-2", "[measured] the deeper, the shorter the phase"),
            ("relu-2", "relu-3", "[measured] the deeper, the shorter the phase"),
        ):
            if more in c.kernels and less in c.kernels:
                kappa = arrays["kappa"][[c.kernels.index(more), c.kernels.index(less)]][:, louder]
                yield Claim(
                    name=f"points, {label}: kappa of {more} less that of {less}, least",
                    source=source,
                    expected=0.0,
                    measured=float(np.min(kappa[0] - kappa[1])),
                    kind="at_least",
                    note="open: here non-linearity shortens the shortcut phase, opposite in sign "
                    "to the paper's headline on finite networks",
                )
        for depth, expected in tables.ANGULAR.items():
            if depth in c.depths and c.k_max + 1 >= len(expected):
                found = arrays["angular"][c.depths.index(depth), : len(expected)]
                yield Claim(
                    name=f"points, {label}: angular coefficients of depth {depth}, worst",
                    source="[derived] A3" if depth == 1 else "[measured] A3, discrete Fourier",
                    expected=1e-6,
                    measured=float(np.max(np.abs(found - expected))),
                    kind="at_most",
                )


def _point_table(label: str, config: Any, arrays: dict[str, np.ndarray]) -> Iterator[Claim]:
    gaps = []
    for (kernel, alpha), expected in tables.POINTS.items():
        if kernel not in config.kernels or not np.any(near(config.alphas, alpha)):
            continue
        place = config.kernels.index(kernel), int(np.argmax(near(config.alphas, alpha)))
        found = np.array(
            [
                arrays["kappa"][place],
                *arrays["eigenvalue"][place],
                arrays["switch"][place],
                *arrays["conflict"][place],
            ]
        )
        # A missing time of switching is a number, too: both must lack it.
        both = np.isnan(found) & np.isnan(expected)
        gaps.append(np.max(np.where(both, 0, np.abs(found - expected))))
    if gaps:
        yield Claim(
            name=f"points, {label}: off the table of four points, worst of {len(gaps)} rows",
            source="[derived] A4, to six digits",
            expected=1e-6,
            measured=float(np.max(gaps)),
            kind="at_most",
        )


# Clusters ----------------------------------------------------------------------------------------


def _clusters(results: StemResults) -> Iterator[Claim]:
    for label, run in of_study(results, "clusters"):
        c = run.config
        mass = np.array(c.masses)
        exact = np.stack([2 * mass, 2 * (1 - mass)], axis=1) + c.spread**2
        yield Claim(
            name=f"clusters, {label}: eigenvalues of the linear kernel off 2b + s^2, 2(1-b) + s^2",
            source="[derived] D1",
            expected=1e-12,
            measured=float(np.abs(run.arrays["exact"] - exact[None]).max()),
            kind="at_most",
        )
        error = 2 * np.sqrt(mass * (1 - mass) / c.n)
        # The eigenvalues of the linear kernel are 1 in K's units, those of ReLU up to 3.
        for at_kernel, name in enumerate(run.coords["kernel"]):
            scale = run.arrays["centre"][:, at_kernel].max() / 2
            allowed = max(1.0, scale) * (3 * error + 3 * c.spread)
            gaps = np.abs(run.arrays["sampled"] - run.arrays["centre"])[:, at_kernel]
            yield Claim(
                name=f"clusters, {label}: sampled eigenvalues of {name} off those of the centres, "
                "over 3 s.e. of the masses + 3 s",
                source="[measured] D1, D2",
                expected=1.0,
                measured=float(np.max(gaps / allowed[None, :, None])),
                kind="at_most",
            )
