"""Changes of what functions give, small ones and large ones, for the faults of every study."""

import dataclasses

import jax
import jax.numpy as jnp


def scaled(factor):
    return lambda value: jax.tree.map(lambda leaf: factor * leaf, value)


def shifted(by):
    return lambda value: value + by


def part(index, factor):
    """One entry of a tuple times a factor."""
    return lambda parts: tuple(
        factor * each if i == index else each for i, each in enumerate(parts)
    )


def field(name, change):
    """One field of a record changed."""
    return lambda record: dataclasses.replace(record, **{name: change(getattr(record, name))})


def tilted(matrix):
    """Entries off by some per cent, by other ones in every row and column."""
    rows, columns = (jnp.arange(size) for size in matrix.shape)
    return matrix * (1 + 1e-2 * rows[:, None] * columns[None, :])


SLIGHTLY = scaled(1 + 1e-6)


def entry(name, change):
    """One entry of a dictionary changed."""
    return lambda found: found | {name: change(found[name])}


def kernel(change):
    """The values of a kernel changed."""
    return lambda function: lambda x, z: change(function(x, z))
