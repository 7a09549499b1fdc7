"""Every theorem by name, found in the folders ``theorems`` of all studies."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator, Mapping, Sequence

from twolayer import theory
from twolayer.host import stems
from twolayer.theory.verification.theorem import Theorem

# Studies by full name (``perturbation.wide``), and the packages that hold their theorems.
STUDIES = stems.find(theory.__path__, "theorems")


def _stated() -> Iterator[tuple[str, Theorem]]:
    for study, place in STUDIES.items():
        package = importlib.import_module(f"{theory.__name__}.{place}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for theorem in getattr(importlib.import_module(module.name), "THEOREMS", ()):
                if theorem.name.split(".")[0] != study.split(".")[1]:
                    raise ValueError(
                        f"name of a theorem in {module.name} must begin with "
                        f"{study.split('.')[1]}.; got {theorem.name}."
                    )
                yield theorem.name, theorem


def _by_name() -> dict[str, Theorem]:
    found: dict[str, Theorem] = {}
    for name, theorem in _stated():
        if name in found:
            raise ValueError(f"names of theorems must differ; {name} is there twice.")
        found[name] = theorem
    return found


THEOREMS = _by_name()
# What users see of them.
theorems: Mapping[str, Theorem] = types.MappingProxyType(THEOREMS)


def select(names: Sequence[str]) -> list[Theorem]:
    """Theorems by full name (``wide.width``), study (``wide``) or wing; all when names are empty.

    Raises:
      ValueError: for a name that fits nothing.
    """
    if not names:
        return list(THEOREMS.values())
    wings: dict[str, list[str]] = {}
    for study in STUDIES:
        wing, _, short = study.partition(".")
        wings.setdefault(wing, []).append(short)
    chosen: dict[str, Theorem] = {}
    for name in names:
        wing, _, rest = name.partition(".")
        studies = wings.get(name, [rest if wing in wings else name])
        found = {
            key: theorem
            for key, theorem in THEOREMS.items()
            if key in studies or key.split(".")[0] in studies
        }
        if not found:
            shorts = [short for each in wings.values() for short in each]
            allowed = [*wings, *shorts, *THEOREMS]
            raise ValueError(f"NAME must be one of {', '.join(allowed)}; got {name!r}.")
        chosen |= found
    return list(chosen.values())
