"""From a study, a config and seeds to arrays: one compile for all configs of one static part.

Programs that will be needed can be compiled ahead in the background (:func:`compile_ahead`): XLA
compiles on one core, so that on two a sweep over many shapes takes little more than half the time.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from twolayer.host import jax_setup, process_pool
from twolayer.sims.components import devices, image_sets
from twolayer.sims.engine.experiment import Inputs, Study, map_seeds, word_index

Item = TypeVar("Item")
Result = TypeVar("Result")


@jax_setup.numerics()
def results(
    study: Study, config: Any, seeds: Sequence[int], checksum: str | None
) -> list[dict[str, np.ndarray]]:
    """What the study gives for each seed, on the host.

    Several seeds are spread over the devices of this process, a share on each. Precision and random
    generator are those of ``jax_setup.numerics``, whatever JAX's settings.

    Raises:
      ValueError: if the results are not those that the study declares, or if its data does not
        have the checksum that it had when the run was planned.
    """
    static = _static(config)
    inputs, _ = _host_inputs(study, static)
    if inputs and inputs.checksum != checksum:
        raise ValueError(f"data of {study.name} changed during the run: {inputs.source}.")
    mesh = _mesh(len(seeds))
    program = _program(study, config, len(seeds))
    inputs_there = _device_inputs(study, static, mesh)
    arrays = jax.device_get(program(_keys(seeds, mesh), _traced(config), inputs_there))
    _check(study, config, {name: array[0] for name, array in arrays.items()})
    return [{name: array[i] for name, array in arrays.items()} for i in range(len(seeds))]


def compile_ahead(needed: Sequence[tuple[Study, Any, int]]) -> None:
    """Start compiling the programs for these studies, configs and numbers of seeds, in order."""
    for study, config, num_seeds in needed:
        key = _program_key(study, config, num_seeds)
        if key not in _ahead:
            _ahead[key] = _pool().submit(_compile, study, config, num_seeds)


@jax_setup.numerics()
def traced_program(
    study: Study, config: Any, num_seeds: int
) -> tuple[Any, tuple[Any, ...], Hashable]:
    """What a device does in a call, traced, its arguments, and what calls of one compile share.

    The arguments are keys, traced fields and inputs; of all but the fields there are shapes only.
    Of several devices each does the same with its share of the seeds. Nothing is computed.
    """
    static, inputs = _static(config), load_inputs(study, config)
    arrays = inputs.arrays if inputs else {}
    own = -(-num_seeds // devices_of(num_seeds))
    keys = jax.ShapeDtypeStruct((own,), jax_setup.key(0).dtype)
    shapes = {
        # As they come to be on the device.
        name: jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype))
        for name, array in arrays.items()
    }
    args = keys, _traced(config), shapes
    traced = _simulate.trace(study, static, None, *args)
    return traced.jaxpr, args, _program_key(study, config, num_seeds)


def devices_of(num_seeds: int) -> int:
    """How many devices the seeds of one call are spread over."""
    mesh = _mesh(num_seeds)
    return mesh.size if mesh else 1


def compiled(lowered: jax.stages.Lowered) -> Callable:
    """A program compiled as those of the studies are."""
    return lowered.compile(compiler_options=_QUICK if jax.default_backend() == "cpu" else None)


def compiled_at_once() -> int:
    """How many programs are compiled at a time."""
    return min(4, process_pool.cores())


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """Compile and load data anew: nothing of this process or on disk is used or kept."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    forget_inputs()
    jax.clear_caches()
    compilation_cache.reset_cache()
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


@jax_setup.numerics()
def load_inputs(study: Study, config: Any) -> Inputs | None:
    """The study's data for a config; the last that was loaded is kept, for the next config."""
    return _host_inputs(study, _static(config))[0]


@jax_setup.numerics()
def data_used(study: Study, config: Any) -> list[image_sets.Use]:
    """The sets of images that the study's data for a config is made of."""
    return _host_inputs(study, _static(config))[1]


def names_data(study: Study, config: Any, words: Iterable[Any]) -> bool:
    """Whether one of these words is the name of a set of images that the study reads."""
    named = [word for word in words if isinstance(word, str)]
    try:
        return bool(named) and any(use.name in named for use in data_used(study, config))
    except image_sets.MissingData as error:
        return error.name in named


def side_by_side(
    fn: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Every item with ``fn`` of it, as they get done, ``workers`` of them at a time.

    Compiled programs run without Python's lock, so that threads are enough. After an error what
    has not begun is not begun any more.
    """
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="cell") as pool:
        try:
            futures = {pool.submit(fn, item): item for item in items}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def forget_inputs() -> None:
    """Have the next run load its data anew, as the files may be others by then."""
    _host_inputs.cache_clear()
    _device_inputs.cache_clear()
    _ahead.clear()


# [measured] Saves a third of the time to compile; what is compiled runs as fast, as it is in matrix
# products, which come compiled, that these programs spend their time.
_QUICK: Any = {"xla_backend_optimization_level": 1}

# Programs by static part, number of seeds and lengths of traced tuples; compiled or on their way.
_ahead: dict[Any, Future] = {}


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=compiled_at_once(), thread_name_prefix="compile")


def _program(study: Study, config: Any, num_seeds: int) -> Callable:
    compile_ahead([(study, config, num_seeds)])
    return _ahead[_program_key(study, config, num_seeds)].result()


def _program_key(study: Study, config: Any, num_seeds: int) -> Any:
    lengths = tuple(
        len(value) if isinstance(value, tuple) else None for value in _traced(config).values()
    )
    return study, _static(config), num_seeds, lengths


@jax_setup.numerics()
def _compile(study: Study, config: Any, num_seeds: int) -> Callable:
    static, mesh = _static(config), _mesh(num_seeds)
    inputs, keys = _device_inputs(study, static, mesh), _keys([0] * num_seeds, mesh)
    lowered = _simulate.lower(study, static, mesh, keys, _traced(config), inputs)
    return compiled(lowered)


def _mesh(num_seeds: int) -> Mesh | None:
    """What the seeds of one call are spread over, or None where one device has them all."""
    used = jax.local_devices()[:num_seeds]
    return devices.mesh(used) if len(used) > 1 else None


def _keys(seeds: Sequence[int], mesh: Mesh | None) -> Array:
    """The keys of the seeds, the last one repeated until all devices have equally many."""
    short = -len(seeds) % mesh.size if mesh else 0
    keys = jnp.stack([jax_setup.key(seed) for seed in (*seeds, *[seeds[-1]] * short)])
    return jax.device_put(keys, NamedSharding(mesh, P(devices.ROWS))) if mesh else keys


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _simulate(
    study: Study,
    static: Any,
    mesh: Mesh | None,
    keys: Array,
    values: dict[str, Any],
    inputs: dict[str, Array],
) -> dict[str, Array]:
    """All of one call: compiled once for each study, static part and shapes."""

    def own(keys: Array, values: dict[str, Any], inputs: dict[str, Array]) -> dict[str, Array]:
        config = copy.copy(static)
        for name, value in values.items():
            if isinstance(value, tuple):
                value = jnp.stack(value) if value else jnp.zeros(0)
            object.__setattr__(config, name, value)
        return map_seeds(lambda key: study.simulate(key, config, inputs), keys)

    spread = devices.by_rows(own, mesh, P(devices.ROWS), P(), P()) if mesh else own
    return spread(keys, values, inputs)


def _static(config: Any) -> Any:
    """The config with None for its traced fields: equal for configs that share a compile."""
    static = copy.copy(config)
    for field in dataclasses.fields(config):
        if "traced" in field.metadata:
            object.__setattr__(static, field.name, None)
    return static


def _traced(config: Any) -> dict[str, Any]:
    """The traced fields as Python numbers and tuples of them, which JAX types weakly."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if "traced" in field.metadata:
            value, default = getattr(config, field.name), field.default
            if isinstance(value, str):
                values[field.name] = word_index(config, field.name)
                continue
            floating = isinstance(default[0] if isinstance(default, tuple) else default, float)
            convert = float if floating else lambda number: number
            is_tuple = isinstance(value, tuple)
            values[field.name] = tuple(map(convert, value)) if is_tuple else convert(value)
    return values


@functools.lru_cache(maxsize=1)
def _host_inputs(study: Study, static: Any) -> tuple[Inputs | None, list[image_sets.Use]]:
    with image_sets.recorded() as uses:
        return study.inputs(static) if study.inputs else None, uses


@functools.lru_cache(maxsize=1)
def _device_inputs(study: Study, static: Any, mesh: Mesh | None) -> dict[str, Array]:
    inputs, _ = _host_inputs(study, static)
    whole = NamedSharding(mesh, P()) if mesh else None
    return jax.device_put(inputs.arrays, whole) if inputs else {}


def not_finite(study: Study, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many entries are NaN or infinite of each result in which that has no meaning."""
    counts = {
        name: int(np.sum(~np.isfinite(array)))
        for name, array in arrays.items()
        if array.dtype.kind in "fc" and name not in study.undefined
    }
    return {name: count for name, count in counts.items() if count}


def _check(study: Study, config: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """What came out has the names and axes that the study declares."""
    if set(arrays) != set(study.dims):
        raise ValueError(
            f"results of {study.name} must be {', '.join(sorted(study.dims))}, as its dims say; "
            f"got {', '.join(sorted(arrays))}."
        )
    coords = study.coords(config)
    for name, dims in study.dims.items():
        if missing := [dim for dim in dims if dim not in coords]:
            raise ValueError(f"coords of {study.name} must have {', '.join(missing)}, for {name}.")
        shape = tuple(len(coords[dim]) for dim in dims)
        if arrays[name].shape != shape:
            raise ValueError(
                f"result {name} of {study.name} must have shape {shape}, axes {', '.join(dims)}; "
                f"got {arrays[name].shape}."
            )
