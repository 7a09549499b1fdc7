"""The floors and wings of the house, read from the imports of every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("host", "theory", "sims", "figures", "cli")  # an import points to the left, or stays
OWNERS = {"matplotlib": "figures", "optax": "sims", "tyro": "cli", "rich": "cli"}
# What touches the machine is for host alone; of clocks and environments engines may ask as well.
PROCESSES = {"signal", "subprocess", "multiprocessing", "threading", "socket", "tempfile", "shutil"}
SURROUNDINGS = {"os", "time"}
LONGEST = 300
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("theory", "sims", "figures", "twolayer/host", "twolayer/cli")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
# Folders of a floor that hold folders of stems.
WINGS = sorted(
    {
        path.parent.parent.name
        for floor, stem in (("theory", "theorems"), ("sims", "experiment.py"))
        for path in (ROOT / floor).glob(f"*/*/{stem}")
    }
)


def dotted(path):
    """The full name of a module's package, as imports say it."""
    parts = path.parent.parts
    return parts if parts[0] == "twolayer" else ("twolayer", *parts)


def imported(source, package):
    """Dotted names that a file imports, wherever in it, relative ones resolved."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def complaints(path, source):
    """What a file's imports break."""
    package = dotted(path)
    floor, *inner = package[1:]
    place = tuple(inner[:2]) if inner and inner[0] in WINGS else ()
    found = []
    for name in sorted(imported(source, package)):
        first, *rest = name.split(".")
        if first in ("tests", "theory", "sims", "figures"):
            found.append(f"{path} imports {first}, which only this repository has: {name}")
        if first == "twolayer" and rest and rest[0] in FLOORS:
            above, *within = rest
            if FLOORS.index(above) > FLOORS.index(floor):
                found.append(f"{path} imports upwards: {name}")
            other = tuple(within[:2]) if within and within[0] in WINGS else ()
            if place and other and place[: len(other)] != other[: len(place)]:
                found.append(f"{path} imports another study: {name}")
        if first in PROCESSES and floor != "host":
            found.append(f"{path} imports {first}, which is for host alone")
        if first in SURROUNDINGS and (floor == "theory" or place):
            found.append(f"{path} imports {first}, which is for host and engines")
        if OWNERS.get(first, floor) != floor:
            found.append(f"{path} imports {first}, which is for {OWNERS[first]} alone")
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down_and_stay_in_their_study(path):
    assert not complaints(path, (ROOT / path).read_text())


@pytest.mark.parametrize(
    "path, source, words",
    [
        ("theory/networks.py", "from twolayer.sims.components import data", "upwards: twolayer.s"),
        ("theory/networks.py", "def f():\n    import twolayer.figures.report", "upwards: twolayer"),
        ("twolayer/host/atomic_io.py", "from twolayer.theory import networks", "upwards"),
        ("sims/components/data.py", "import twolayer.cli.main", "upwards: twolayer.cli"),
        ("sims/components/data.py", "from theory import networks", "only this repository has"),
        ("theory/x.py", "from matplotlib.figure import Figure", "for figures alone"),
        ("theory/x.py", "import optax", "for sims alone"),
        ("figures/x.py", "import optax", "for sims alone"),
        ("sims/x.py", "import tyro", "for cli alone"),
        ("sims/x.py", "import tests.conftest", "only this repository has"),
    ],
)
def test_the_rules_notice(path, source, words):
    (complaint,) = complaints(Path(path), source)
    assert words in complaint


@pytest.mark.parametrize(
    "path, source, words",
    [
        ("theory/networks.py", "import os.path", "for host and engines"),
        ("sims/mixup/collapse/claims.py", "from time import sleep", "for host and engines"),
        ("sims/engine/sweep.py", "import threading", "for host alone"),
    ],
)
def test_the_rules_notice_what_touches_the_machine(path, source, words):
    (complaint,) = complaints(Path(path), source)
    assert words in complaint
    assert not complaints(Path("twolayer/host/x.py"), source)


def test_the_rules_notice_another_study():
    path = Path("theory/mixup/features/theorems/dynamics.py")
    for source in (
        "from twolayer.theory.perturbation import wide",
        "import twolayer.theory.perturbation.wide.surrogate",
        "from twolayer.theory.mixup import collapse",
        "from ...collapse import dual",
        "from ...perturbation.wide import surrogate",
    ):
        levels = source.replace("...perturbation", "....perturbation")
        (complaint,) = complaints(path, levels)
        assert "another study" in complaint
    allowed = (
        "from twolayer.theory.mixup.features import data\nfrom twolayer.theory import networks"
    )
    assert not complaints(path, allowed)
    engine = Path("theory/verification/registry.py")
    assert not complaints(engine, "from twolayer.theory.perturbation import wide")


def test_every_study_is_complete():
    """On each floor, with tests, faults, a record and a section of the paper."""
    studies = {path.parent for path in (ROOT / "theory").glob("*/*/theorems")}
    names = {path.relative_to(ROOT / "theory").as_posix() for path in studies}
    assert {"perturbation/wide", "mixup/collapse", "shortcut/cues"} <= names
    for name in names:
        for needed in (
            f"sims/{name}/experiment.py",
            f"figures/{name}/captions.py",
            f"tests/{name}/faults.py",
            f"tests/{name}/near_misses.py",
            f"tests/{name}/baseline.json",
            f"paper/sections/{name.replace('/', '_')}.tex",
        ):
            assert (ROOT / needed).is_file(), needed


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_is_short_and_does_not_repeat_its_folder(path):
    assert len((ROOT / path).read_text().splitlines()) <= LONGEST
    folder = path.parent.name
    assert path.stem != folder and not path.stem.startswith(f"{folder}_")


def test_every_folder_is_a_package():
    for path in FILES:
        assert (ROOT / path.parent / "__init__.py").is_file(), path
    assert (ROOT / "twolayer/py.typed").is_file()


def test_the_package_reaches_the_floors_by_links():
    for floor in ("theory", "sims", "figures"):
        link = ROOT / "twolayer" / floor
        assert link.is_symlink() and link.resolve() == ROOT / floor
