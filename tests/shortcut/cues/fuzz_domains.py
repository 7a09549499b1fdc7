"""What parameters of this study's functions take, beyond what their names say."""

from __future__ import annotations

import jax.numpy as jnp

from tests.robustness.fuzz.domains import BITS, POSITIVE, free, integers, numbers, one_of

DOMAINS = {
    "theory.shortcut.cues.accuracy:num_levels": integers(2, 3),
    "theory.shortcut.cues.accuracy:num_cues": integers(2, 3),
    "theory.shortcut.cues.accuracy:successes": numbers(0.0, 2.0, many=True),
    "theory.shortcut.cues.accuracy:trials": numbers(2.0, 9.0, many=True),
    "theory.shortcut.cues.accuracy:alpha": POSITIVE,
    "theory.shortcut.cues.accuracy:pred": BITS,
    "theory.shortcut.cues.landscape:loss": one_of(lambda params: jnp.sum(params**2)),
    "theory.shortcut.cues.landscape.bezier:start": free("p"),
    "theory.shortcut.cues.landscape.bezier:bend": free("p"),
    "theory.shortcut.cues.landscape.bezier:end": free("p"),
    "theory.shortcut.cues.landscape.bezier:t": numbers(0.0, 1.0),
    "theory.shortcut.cues.landscape:radii": POSITIVE,
}
