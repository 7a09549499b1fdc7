"""What a cell was made with, and whether a run would make it so now."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import jax
import jaxlib
import numpy as np

from twolayer.host import checkout, jax_setup

OTHER_CODE = "computed by other code than is here now"


@jax_setup.numerics()
def here() -> dict[str, Any]:
    """Versions, device, precision, random generator and commit of a run by this process."""
    return {
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
            "numpy": np.__version__,
        },
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        **_numerics(),
        "commit": checkout.commit(),
    }


def is_comparable(sidecar: Mapping[str, Any]) -> bool:
    """Whether a cell has the precision and random generator of every run.

    One that does not say so is from before these were noted, when commands had the same.
    """
    return all(sidecar.get(name, value) == value for name, value in _numerics().items())


def fault(sidecar: Mapping[str, Any], code: str) -> str:
    """Why a run would not make this cell so now; empty if it would.

    Args:
      sidecar: of the cell; one that does not tell its code is from before that was noted.
      code: the digest of the code that is here now.
    """
    other = [
        f"{name} {sidecar[name]}"
        for name, value in _numerics().items()
        if sidecar.get(name, value) != value
    ]
    if other:
        return f"computed with {', '.join(other)}"
    return "" if sidecar.get("code", code) == code else OTHER_CODE


@jax_setup.numerics()
def _numerics() -> dict[str, Any]:
    """What decides the numbers besides the code, of every run."""
    return {
        "x64": jax.enable_x64.value,
        "generator": jax.default_prng_impl.value,
        "partitionable": jax.threefry_partitionable.value,
    }
