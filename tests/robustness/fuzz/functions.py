"""The public functions, and by their annotations and names what each of their parameters takes.

Annotations say shapes (``Float[Array, "n d"]``), and a parameter's name means the same nearly
everywhere (``y`` are labels, ``gamma`` is a slope): so one table by name,
``tests/robustness/fuzz/domains.py``, serves all functions.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import inspect
import pkgutil
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from tests import per_study
from tests.robustness.fuzz import domains
from tests.robustness.fuzz.domains import (
    BITS,
    EXCLUDED,
    FREE,
    OPTIONAL,
    Kind,
    numbers,
    one_of,
)
from twolayer import sims, theory


@functools.cache
def table() -> dict[str, Kind]:
    """What parameters take: the entries that all share, and those of each study."""
    found = dict(domains.TABLE)
    for _, module in per_study.modules("fuzz_domains"):
        found |= module.DOMAINS
    return found


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """Every public function of theory and sims by its full name, without the package's."""
    found = {}
    for package in (theory, sims):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                public = callable(value) and not inspect.isclass(value) and not name.startswith("_")
                if public and getattr(value, "__module__", None) == module.name:
                    found[f"{module.name}.{name}".removeprefix("twolayer.")] = value
    return found


def seed_of(name: str, *what: Any) -> int:
    """A seed for what is drawn for a function, the same wherever its module lies."""
    return zlib.crc32(" ".join(map(str, (name.rpartition(".")[2], *what))).encode())


def excluded(name: str) -> str | None:
    """Why a function is not called here, or None."""
    return next((why for key, why in EXCLUDED.items() if fnmatch.fnmatchcase(name, key)), None)


def fuzzed() -> list[str]:
    return [name for name in functions() if excluded(name) is None]


_SPEC = re.compile(r"(Float|Int|Bool|Num)\[Array, ['\"]\s*([^'\"]*?)\s*['\"]\]")


def specs(annotation: str) -> list[tuple[str, list[str]]]:
    """The arrays of an annotation: (dtype, names of sizes)."""
    return [(dtype, dims.split()) for dtype, dims in _SPEC.findall(str(annotation))]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a function, and what it takes."""

    name: str
    kind: Kind
    dtype: str
    dims: list[str]
    optional: bool


@functools.cache
def parameters(name: str) -> list[Parameter]:
    """The parameters of a function that are given here; a LookupError for one without a kind."""
    module, _, function = name.rpartition(".")
    result = []
    for parameter in inspect.signature(functions()[name]).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        annotation = str(parameter.annotation)
        shaped = specs(annotation)
        entries = (f"{name}:{parameter.name}", f"{module}:{parameter.name}")
        kind = next((table()[entry] for entry in entries if entry in table()), None)
        if kind is None and parameter.default is None:
            kind = table()[parameter.name] if parameter.name in OPTIONAL else None
            if kind is None:
                continue
        scalar = annotation in _SCALARS or (shaped and "float |" in annotation)
        dtype, dims = shaped[0] if shaped and not scalar else ("Float", [])
        if kind is None and not dims and table().get(parameter.name, FREE).sort == "array":
            kind = table().get(parameter.name)
        if kind is not None and kind.dims:
            dims = kind.dims.split()
        kind = kind or _by_annotation(parameter.name, annotation, dtype, dims, scalar)
        if kind is None:
            raise LookupError(f"{name} needs an entry of TABLE for {parameter.name}: {annotation}.")
        optional = parameter.default is None or annotation.endswith("| None")
        result.append(Parameter(parameter.name, kind, dtype, dims, optional))
    return result


_SCALARS = ("float", "Scalar", "Slope", "orthogonal.Slope", "ArrayLike", "ActivationLike", "Weight")


def _by_annotation(
    name: str, annotation: str, dtype: str, dims: list[str], scalar: bool
) -> Kind | None:
    kind = table().get(name)
    if annotation == "bool":
        return one_of(True, False)
    if annotation == "int":
        if kind is not None and kind.sort == "integer":
            return kind
        return Kind(lambda rng, shape, sizes: sizes.get(name, 2), "integer")
    if kind is not None:
        return kind
    if scalar:
        return numbers(0.1, 0.9)
    if dims or specs(annotation):
        return {"Int": BITS, "Bool": BITS}.get(dtype, FREE)
    return None


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of some patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
