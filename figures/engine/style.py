"""How every figure looks, and how it is saved: same results, same bytes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from twolayer.host import atomic_io

# Inches: one and two columns of the paper, and the height of its text.
COLUMN = 3.25
DOUBLE = 6.75
TEXT_HEIGHT = 9.0

# Okabe and Ito's colours, told apart by colour-blind readers too; each has one meaning everywhere.
F = "#0072B2"
G = "#D55E00"
BOTH = "#009E73"
THEORY = "black"
PUBLISHED = "#7F7F7F"
BOUND = "#CC79A7"
POSITIVE = "#0072B2"
NEGATIVE = "#E69F00"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_RC = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.0,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "pdf.fonttype": 42,
}


def styled() -> contextlib.ContextDecorator:
    """Decorator of draw functions: the house's settings inside, the user's own again after it."""
    return matplotlib.style.context(_RC, after_reset=True)


def figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def spread(axes: Axes, x: np.ndarray, samples: list[np.ndarray], color: str) -> None:
    """A band from the smallest to the largest of each point's samples."""
    low, high = extremes(samples)
    axes.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)


def whiskers(axes: Axes, x: np.ndarray, samples: list[np.ndarray], color: str) -> None:
    """A line from the smallest to the largest of each point's samples: for a second range."""
    axes.vlines(x, *extremes(samples), color=color, alpha=0.55, linewidth=0.9)


def extremes(samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest of each point's samples, NaN left out."""
    low, high = zip(*((np.nanmin(each), np.nanmax(each)) for each in samples), strict=True)
    return np.array(low), np.array(high)


def log_ticks(axes: Axes, x: np.ndarray) -> None:
    """A logarithmic x axis with plain numbers, dense enough for what it spans."""
    axes.set_xscale("log")
    steps = (1.0,) if max(x) >= 50 * min(x) else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


@styled()
def save(figure: Figure, folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write ``name.pdf`` and ``name.png`` (200 dpi), without a date, and return both paths."""
    paths = []
    for ending, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": "matplotlib"})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, dpi=200, metadata=metadata)
        paths.append(Path(folder) / f"{name}.{ending}")
        atomic_io.write(paths[-1], buffer.getvalue())
    return paths[0], paths[1]
