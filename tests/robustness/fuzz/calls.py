"""What a call of a public function may give, and what is a defect."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.robustness.fuzz.cases import Case, unannotated
from tests.robustness.fuzz.domains import EAGER, LIMITS, RAISES
from tests.robustness.fuzz.functions import functions, parameters, specs


class Defect(AssertionError):
    """What a function must not do."""


def outcome(case: Case) -> str:
    """Call the function: "result" or "ValueError", or a :class:`Defect`."""
    function = functions()[case.name]
    sizes: dict[str, int] = {}
    known = {parameter.name: parameter for parameter in parameters(case.name)}
    fits = case.must_raise or all(
        _unify(parameter.dims, np.shape(case.given[name]), sizes)
        for name, parameter in known.items()
        if parameter.kind.sort == "array" and _is_array(case.given[name])
    )
    for name, parameter in known.items():
        if parameter.kind.sort == "integer" and isinstance(case.given[name], int):
            fits = fits and sizes.setdefault(name, case.given[name]) is not None
    try:
        with unannotated(), jax.disable_jit(case.name in EAGER), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(**case.given)
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result) if _is_array(leaf)]
    except ValueError as error:
        # What is wrong with numbers may show in a quantity made of them, under its own name.
        named = any(re.search(rf"\b{name}\b", str(error)) for name in known)
        if not named and (case.must_raise or not fits):
            raise Defect(
                f"{_told(case)}: ValueError that names no argument: {error!s:.120}"
            ) from error
        return "ValueError"
    except Exception as error:
        if isinstance(error, RAISES.get(case.name, ((),))[0]):
            return "documented"
        raise Defect(f"{_told(case)}: {type(error).__name__}: {error!s:.150}") from error
    if case.must_raise or not fits:
        raise Defect(f"{_told(case)}: no ValueError, but {_shapes(result)}")
    annotation = str(inspect.signature(function).return_annotation)
    wanted = specs(annotation)
    results = list(result) if annotation.startswith("tuple[") else [result]
    if wanted and len(wanted) == len(results):
        for (dtype, dims), one in zip(wanted, results, strict=True):
            if not _unify(dims, np.shape(one), sizes):
                raise Defect(f"{_told(case)}: shape {np.shape(one)} for {dims} with {sizes}")
            if not jnp.issubdtype(one.dtype, _DTYPES[dtype]):
                raise Defect(f"{_told(case)}: dtype {one.dtype} for {dtype}")
    if case.dtypes:
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype not in case.dtypes:
                raise Defect(f"{_told(case)}: dtype {leaf.dtype}, not one of {case.dtypes}")
    if case.finite and case.name not in LIMITS:
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.all(np.isfinite(leaf)):
                raise Defect(f"{_told(case)}: not finite: {leaf!s:.100}")
    return "result"


_DTYPES = {"Float": jnp.floating, "Int": jnp.integer, "Bool": jnp.bool_, "Num": jnp.number}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | jax.Array | list) and not (
        isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    )


def _unify(dims: list[str], shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Whether a shape is that of an annotation, at sizes that are known or become so."""
    if any(dim == "..." or dim.startswith("*") for dim in dims):
        return True
    if len(dims) != len(shape):
        return False
    return all(
        dim == "_" or (int(dim) if dim.isdigit() else sizes.setdefault(dim, size)) == size
        for dim, size in zip(dims, shape, strict=True)
    )


def _told(case: Case) -> str:
    return f"{case.name}, {case.story}"


def _shapes(result: Any) -> str:
    return str([getattr(leaf, "shape", leaf) for leaf in jax.tree.leaves(result)])[:100]
