"""Find every theorem in the folders ``theorems`` of all studies."""

from __future__ import annotations

import pkgutil
import types
from collections.abc import Mapping, Sequence

from twolayer import theory
from twolayer.host import stems
from twolayer.host.names import near
from twolayer.theory.verification.theorem import Theorem

# Studies by full name (``perturbation.wide``), and the packages that hold their theorems.
STUDIES = stems.find(theory, "theorems")


# Why theorems of studies are not there, by study: their code cannot be imported.
BROKEN: dict[str, str] = {}


def _stated(study: str) -> list[Theorem]:
    """The theorems of a study; ValueError says why there are none."""
    short = study.split(".")[1]
    package = stems.load(STUDIES[study])
    found: list[Theorem] = []
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        stated = getattr(stems.load(info.name), "THEOREMS", ())
        if not isinstance(stated, tuple):
            raise ValueError(f"THEOREMS of {info.name} must be a tuple; got {stated!r:.80}.")
        for theorem in stated:
            if theorem.name.split(".")[0] != short:
                raise ValueError(
                    f"name of a theorem in {info.name} must begin with {short}.; "
                    f"got {theorem.name}."
                )
        found += stated
    if not found:
        raise ValueError(f"modules of {package.__name__} must define THEOREMS; none does.")
    return found


def _by_name() -> dict[str, Theorem]:
    found: dict[str, Theorem] = {}
    for study in STUDIES:
        try:
            stated = _stated(study)
        except ValueError as error:
            BROKEN[study] = str(error)
            continue
        for theorem in stated:
            if theorem.name in found:
                raise ValueError(f"names of theorems must differ; {theorem.name} is there twice.")
            found[theorem.name] = theorem
    return found


THEOREMS = _by_name()
# What users see of them.
theorems: Mapping[str, Theorem] = types.MappingProxyType(THEOREMS)


def select(names: Sequence[str]) -> list[Theorem]:
    """Theorems by full name (``wide.width``), study (``wide``) or wing; all when names are empty.

    Raises:
      ValueError: for a name that fits nothing, or a study whose code cannot be imported.
    """
    if not names:
        names = list(dict.fromkeys(study.partition(".")[0] for study in STUDIES))
    wings: dict[str, list[str]] = {}
    for study in STUDIES:
        wing, _, short = study.partition(".")
        wings.setdefault(wing, []).append(short)
    chosen: dict[str, Theorem] = {}
    for name in names:
        wing, _, rest = name.partition(".")
        studies = wings.get(name, [rest if wing in wings else name])
        for study, why in BROKEN.items():
            if study.split(".")[1] in (each.split(".")[0] for each in studies):
                raise ValueError(why)
        found = {
            key: theorem
            for key, theorem in THEOREMS.items()
            if key in studies or key.split(".")[0] in studies
        }
        if not found:
            shorts = [short for each in wings.values() for short in each]
            which = f"{', '.join([*wings, *shorts])}, or a theorem of twolayer list theorems"
            known = [*wings, *shorts, *THEOREMS]
            raise ValueError(f"NAME must be one of {which}; got {name!r}.{near(name, known)}")
        chosen |= found
    return list(chosen.values())
