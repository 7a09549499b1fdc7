"""Short floats that can be computed with here."""

import jax
import jax.numpy as jnp
import numpy as np


def _compiles(dtype):
    """XLA has no float16 on processors without conversions of it (before F16C)."""
    try:
        jax.block_until_ready(jax.jit(lambda x: x.astype(jnp.float32) + 1)(np.zeros(3, dtype)))
    except jax.errors.JaxRuntimeError:
        return False
    return True


FLOAT16 = (jnp.float16,) if _compiles(jnp.float16) else ()
SHORT = (*FLOAT16, jnp.bfloat16)
