"""A mesh of devices, arrays on it, and cells spread over it.

A mesh has one axis, ``"rows"``. Its devices may belong to one process or to all processes of a
cluster (see ``twolayer.host.cluster``), which then call the functions here and in
``twolayer.sims.components.sharded`` alike, with the same arguments. Numbers of rows and
cells need not be multiples of the number of devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

ROWS = "rows"


def mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A line of devices, all of the cluster by default.

    Raises:
      ValueError: if there is none.
    """
    devices = jax.devices() if devices is None else list(devices)
    if not devices:
        raise ValueError("devices must hold at least one device; got none.")
    # With explicit axes the plain products that theory is made of would have to name shardings.
    kind = jax.sharding.AxisType.Auto
    return jax.make_mesh((len(devices),), (ROWS,), axis_types=(kind,), devices=devices)


def spread_rows(mesh: Mesh, array: Any) -> Array:
    """Rows over the mesh, filled up with zeros to a multiple of the number of devices."""
    host = np.asarray(array)
    short = -host.shape[0] % mesh.size
    return _place(mesh, np.pad(host, ((0, short), *((0, 0),) * (host.ndim - 1))), P(ROWS))


def everywhere(mesh: Mesh, array: Any) -> Array:
    """The whole array on every device."""
    return _place(mesh, np.asarray(array), P())


def gathered(mesh: Mesh, values: Any) -> Any:
    """Inside a program: the whole of every array of a pytree on every device."""
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, P()))


def by_rows(fn: Callable, mesh: Mesh, *specs: P) -> Callable:
    """``fn`` on every device, of its rows or the whole of each argument, to its rows of the result.

    ``fn`` is code for one device, which does not say of a loop's start that it varies by device.
    """
    return jax.shard_map(fn, mesh=mesh, in_specs=specs, out_specs=P(ROWS), check_vma=False)


def map_cells(mesh: Mesh, fn: Callable[[Any], Any], cells: Any) -> Any:
    """``fn`` of every cell, the cells spread over the mesh.

    A device takes its cells one after another on CPUs and as one batch on accelerators, as
    ``twolayer.sims.engine.experiment.map_seeds`` does.

    Args:
      mesh: from :func:`mesh`.
      fn: of one cell, jit-clean; compiled once for each function object.
      cells: a pytree of arrays with a leading axis, one entry a cell: seeds (the key of seed s is
        ``jax.random.key(s)``, which ``fn`` makes), and values of traced config fields.

    Returns:
      What ``fn`` gives, with a leading axis, on every device.

    Raises:
      ValueError: if the leading axes differ or are empty.
    """
    cells = jax.tree.map(np.asarray, cells)
    lengths = {array.shape[:1] for array in jax.tree.leaves(cells)}
    if len(lengths) != 1 or lengths <= {(), (0,)}:
        raise ValueError(f"cells must have one leading axis of one length; got {sorted(lengths)}.")
    ((count,),) = lengths
    short = -count % mesh.size

    def spread(array: np.ndarray) -> Array:
        # Repeats of the last cell, as zeros may be no valid values.
        return _place(mesh, np.concatenate([array, *[array[-1:]] * short]), P(ROWS))

    return _map_cells(mesh, fn, count, jax.tree.map(spread, cells))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _map_cells(mesh: Mesh, fn: Callable[[Any], Any], count: int, cells: Any) -> Any:
    on_cpu = mesh.devices.flat[0].platform == "cpu"

    def own(cells: Any) -> Any:
        return jax.lax.map(fn, cells) if on_cpu else jax.vmap(fn)(cells)

    results = by_rows(own, mesh, P(ROWS))(cells)
    return gathered(mesh, jax.tree.map(lambda leaf: leaf[:count], results))


def _place(mesh: Mesh, host: np.ndarray, spec: P) -> Array:
    """From the host, which in a cluster every process has all of, to the devices of this one."""
    return jax.make_array_from_callback(
        host.shape, NamedSharding(mesh, spec), lambda index: host[index]
    )
