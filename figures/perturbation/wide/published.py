"""Agreement and cosine of the published figures, digitised: one seed each, to within 0.02.

Source: [fig] markers in the figures saved with the public code of Kumano, Kera and Yamasaki
(NeurIPS 2024). In scenario (a) with independent labels a single seed says little: agreement hangs
on the label imbalance that it drew. A curve belongs to a setting only where the fields that it does
not sweep have the published values, which ``base`` states.
"""

from __future__ import annotations

import dataclasses

from twolayer.sims.perturbation.wide.sweep import Config


@dataclasses.dataclass(frozen=True)
class Published:
    """One curve along one axis of a setting."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    base: dict[str, int]

    def belongs(self, config: Config) -> bool:
        """Whether a cell differs from the published runs in training alone, not in the problem."""
        return all(getattr(config, name) == value for name, value in self.base.items())


_ONES = tuple(range(1, 11))
_HUNDREDTHS = tuple(0.014 * k for k in range(11))
_SHIFTED_A = {"d": 100, "n": 1000, "width": 100}
_SHIFTED_B = {"d": 5000, "n": 10000, "width": 100}
_GAUSS = {"d": 10000, "n": 10000, "width": 100}
_IMAGES = {"n": 0, "width": 100}

AGREEMENT: dict[tuple[str, str], Published] = {
    ("shifted-a", "d"): Published(
        tuple(range(10, 101, 10)),
        (0.50, 0.60, 0.62, 0.74, 0.92, 0.94, 0.92, 0.98, 0.99, 0.99),
        {"n": 1000, "width": 100},
    ),
    ("shifted-a", "logistic-d"): Published(
        tuple(range(10, 51, 5)),
        (0.62, 0.94, 0.98, 0.98, 0.98, 0.98, 0.99, 0.99, 0.99),
        {"n": 1000, "width": 100},
    ),
    ("shifted-a", "eps"): Published(
        tuple(k / 1000 for k in range(11)),
        (0.50, 0.50, 0.50, 0.60, 0.76, 0.87, 0.945, 0.966, 0.975, 0.984, 0.987),
        _SHIFTED_A,
    ),
    ("shifted-a", "gamma"): Published(
        (0.0, 0.25, 0.5, 0.75, 0.99), (0.985, 0.982, 0.979, 0.979, 0.975), _SHIFTED_A
    ),
    ("shifted-a", "epochs_f"): Published(
        (1, 2, 3, 4, 5), (0.86, 0.88, 0.94, 0.97, 0.98), _SHIFTED_A
    ),
    ("shifted-a", "epochs_g"): Published(
        (*_ONES, 20, 30, 40),
        (0.54, 0.55, 0.58, 0.62, 0.64, 0.68, 0.71, 0.74, 0.77, 0.80, 0.92, 0.97, 0.98),
        _SHIFTED_A,
    ),
    ("shifted-b", "eps"): Published(
        tuple(k / 10 for k in range(8)),
        (0.43, 0.70, 0.87, 0.89, 0.94, 1.00, 1.00, 1.00),
        _SHIFTED_B,
    ),
    ("shifted-b", "epochs_f"): Published(
        (1, 2, 3, 4, 5), (0.59, 0.84, 0.93, 0.96, 1.00), _SHIFTED_B
    ),
    ("shifted-b", "epochs_g"): Published(
        _ONES, (0.49, 0.53, 0.59, 0.67, 0.75, 0.84, 0.89, 0.93, 0.97, 0.98), _SHIFTED_B
    ),
    ("gauss-a", "d"): Published(
        (100, 1000, 5000, 10000), (0.98, 0.97, 0.97, 0.975), {"n": 10000, "width": 100}
    ),
    ("gauss-a", "eps"): Published(
        tuple(k / 100 for k in range(8)), (0.54, 0.77, 0.90, 0.94, 0.95, 0.97, 0.97, 0.98), _GAUSS
    ),
    ("gauss-a", "gamma"): Published(
        (0.0, 0.25, 0.5, 0.75, 0.99), (0.98, 0.98, 0.98, 0.97, 0.93), _GAUSS
    ),
    ("gauss-a", "epochs_f"): Published(
        _ONES, (0.78, 0.78, 0.79, 0.80, 0.81, 0.83, 0.85, 0.88, 0.91, 0.91), _GAUSS
    ),
    ("gauss-b", "eps"): Published(
        tuple(range(11)),
        (0.49, 0.71, 0.82, 0.87, 0.90, 0.92, 0.93, 0.94, 0.94, 0.95, 0.95),
        _GAUSS,
    ),
    ("mnist-a", "eps"): Published(_HUNDREDTHS[2:8], (0.43, 0.60, 0.86, 0.91, 0.93, 0.94), _IMAGES),
    ("mnist-b", "eps"): Published(
        _HUNDREDTHS, (0.57, 0.59, 0.67, 0.76, 0.84, 0.90, 0.93, 0.95, 0.96, 0.97, 0.97), _IMAGES
    ),
    ("fashion-mnist-a", "eps"): Published(
        _HUNDREDTHS, (0.49, 0.52, 0.72, 0.84, 0.90, 0.93, 0.95, 0.96, 0.97, 0.97, 0.98), _IMAGES
    ),
    ("fashion-mnist-b", "eps"): Published(
        _HUNDREDTHS, (0.50, 0.56, 0.72, 0.86, 0.94, 0.96, 0.97, 0.97, 0.975, 0.98, 0.98), _IMAGES
    ),
}  # fmt: skip

COSINE: dict[tuple[str, str], Published] = {
    ("shifted-a", "epochs_f"): Published(
        _ONES, (0.06, 0.20, 0.50, 0.71, 0.83, 0.89, 0.93, 0.95, 0.97, 0.98), _SHIFTED_A
    ),
    ("gauss-a", "d"): Published((100, 10000), (0.96, 0.92), {"n": 10000, "width": 100}),
    ("gauss-a", "epochs_f"): Published(
        (*_ONES, 100), (0.05, 0.14, 0.26, 0.40, 0.53, 0.64, 0.72, 0.79, 0.83, 0.87, 0.94), _GAUSS
    ),
    ("mnist-a", "epochs_f"): Published(
        (*_ONES, 20, 100),
        (0.02, 0.05, 0.10, 0.15, 0.22, 0.29, 0.36, 0.43, 0.50, 0.56, 0.86, 0.95),
        _IMAGES,
    ),
    ("fashion-mnist-a", "epochs_f"): Published(
        (*_ONES, 20), (0.06, 0.11, 0.19, 0.28, 0.38, 0.46, 0.54, 0.61, 0.67, 0.72, 0.89), _IMAGES
    ),
}  # fmt: skip

# The published eps-curve of shifted-a at d = 100 is law B4 with this |ybar|, to within 0.016.
FITTED_IMBALANCE = 0.0115
