"""The floors and wings of the house, read from the imports of every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("theory", "sims", "figures")  # an import may only point to the left, or stay
OWNERS = {"matplotlib": "figures", "optax": "sims"}
FILES = sorted(
    path.relative_to(ROOT)
    for floor in FLOORS
    for path in (ROOT / floor).rglob("*.py")
    if "__pycache__" not in path.parts
)
WINGS = sorted(
    {path.name for floor in FLOORS for path in (ROOT / floor).iterdir() if path.is_dir()}
    - {"__pycache__"}
)


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
    floor = path.parts[0]
    wing = path.parts[1] if path.parts[1] in WINGS else None
    found = []
    for name in sorted(imported(source, path.parent.parts)):
        first, *rest = name.split(".")
        if first == "tests":
            found.append(f"{path} imports the tests: {name}")
        if first in FLOORS and FLOORS.index(first) > FLOORS.index(floor):
            found.append(f"{path} imports upwards: {name}")
        if first in FLOORS and rest and wing and rest[0] in WINGS and rest[0] != wing:
            found.append(f"{path} imports another wing: {name}")
        if OWNERS.get(first, floor) != floor:
            found.append(f"{path} imports {first}, which is for {OWNERS[first]} alone")
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down_and_stay_in_their_wing(path):
    assert not complaints(path, (ROOT / path).read_text())


@pytest.mark.parametrize(
    "path, source, words",
    [
        ("theory/kernels/shallow.py", "from sims import data", "upwards: twolayer.sims.components.data"),
        ("theory/kernels/shallow.py", "def f():\n    import twolayer.figures.engine.style", "upwards: twolayer.figures.engine.style"),
        ("sims/components/data.py", "import theory, figures", "upwards: figures"),
        ("theory/x.py", "from matplotlib.figure import Figure", "for figures alone"),
        ("theory/x.py", "import optax", "for sims alone"),
        ("figures/x.py", "import optax", "for sims alone"),
        ("sims/x.py", "import tests.conftest", "imports the tests"),
    ],
)
def test_the_rules_notice(path, source, words):
    (complaint,) = complaints(Path(path), source)
    assert words in complaint


def test_the_rules_notice_another_wing(monkeypatch):
    monkeypatch.setitem(globals(), "WINGS", ["mixup", "perturbation"])
    path = Path("theory/mixup/features/dynamics.py")
    for source in (
        "from twolayer.theory.perturbation import wide",
        "import twolayer.theory.perturbation.wide.surrogate",
        "from theory import perturbation",
        "from ..perturbation import wide",
        "from .. import perturbation",
    ):
        (complaint,) = complaints(path, source)
        assert "another wing" in complaint
    assert not complaints(path, "from twolayer.theory.mixup import collapse\nfrom theory import kernels")
    assert not complaints(Path("theory/verification/registry.py"), "from twolayer.theory.perturbation import wide")


def test_every_floor_and_wing_is_there():
    assert "perturbation" in WINGS
    assert {path.parts[0] for path in FILES} >= {"theory", "sims"}


def test_every_folder_is_a_package_with_types():
    for path in FILES:
        assert (ROOT / path.parent / "__init__.py").is_file(), path
    for floor in {path.parts[0] for path in FILES}:
        assert (ROOT / floor / "py.typed").is_file(), floor
