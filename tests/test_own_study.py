"""A study that is added as folders alone: outside by ``TWOLAYER_PATH``, and among the others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/study"


def _command(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "twolayer", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


STEPS = (
    (["verify", "coin.mean", "--instances", "100"], "1 of 1 held"),
    (["run", "toy.coin", "--scale", "smoke"], "results in results"),
    (["report", "toy.coin", "--scale", "smoke"], "toy.coin/deviations"),
)
MORE = (
    (["list"], "toy.coin                 The mean of coin flips"),
    (["show", "coin.mean"], "must fail with"),
    (["claims", "toy.coin", "--scale", "smoke"], "2 held, 0 not"),
)


def _works(folder, steps, **environment):
    """The study is listed, verified, run, judged and drawn from a folder."""
    for arguments, words in steps:
        done = _command(*arguments, cwd=folder, **environment)
        assert done.returncode == 0 and words in done.stdout, (arguments, done)
    page = (folder / "figures/out/report.html").read_text()
    assert "Hoeffding" in page and (folder / "figures/out/toy.coin/deviations.pdf").is_file()


def test_outside_of_the_repository(tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(EXAMPLE, mine)
    environment = {"TWOLAYER_PATH": str(mine), "PYTHONPATH": str(ROOT)}
    _works(tmp_path, STEPS + MORE, **environment)
    # Claims are judged anew, and one that does not hold is status 1.
    code = mine / "sims/toy/coin/experiment.py"
    code.write_text(code.read_text().replace("expected=DELTA", "expected=-1.0"))
    done = _command("claims", "toy.coin", "--scale", "smoke", cwd=tmp_path, **environment)
    assert done.returncode == 1 and "0 held, 2 not" in done.stdout


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository to which the folders of the example have been added."""
    copied = tmp_path / "copy"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        target = copied / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target, follow_symlinks=False)
    for path in EXAMPLE.rglob("*"):
        target = copied / path.relative_to(EXAMPLE)
        if path.is_file() and path.name != "README.md" and "__pycache__" not in path.parts:
            assert not target.exists(), f"{target} would change a file that is there"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return copied


def test_among_the_others(copy):
    _works(copy, STEPS, PYTHONPATH=str(copy))
    tests = ["tests/toy", "tests/theory/test_theorems.py", "tests/test_architecture.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "toy or coin or fault", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    typeset = subprocess.run(
        ["make", "-s", "-C", "paper", "build/studies.tex"], cwd=copy, check=True
    )
    assert typeset.returncode == 0
    sections = (copy / "paper/build/studies.tex").read_text().split()
    assert "\\input{sections/toy_coin}" in sections and len(sections) == 9


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda mine: shutil.rmtree(mine), "TWOLAYER_PATH must name folders; got "),
        (
            lambda mine: _move(mine, "sims/perturbation/half"),
            "sims/perturbation/half must hold experiment.py or experiment/, as the other studies",
        ),
        (
            lambda mine: _move(mine, "theory/perturbation/wide", "theory/toy/coin"),
            "must have a name of its own; perturbation.wide is there twice.",
        ),
        (
            lambda mine: _move(mine, "theory/toy/second", "theory/toy/coin"),
            "name of a theorem in twolayer.theory.toy.second.theorems.mean must begin with second",
        ),
    ],
)
def test_half_a_study_is_named(tmp_path, break_it, words):
    mine = tmp_path / "mine"
    shutil.copytree(EXAMPLE, mine)
    break_it(mine)
    environment = {"TWOLAYER_PATH": str(mine), "PYTHONPATH": str(ROOT)}
    done = _command("list", cwd=tmp_path, **environment)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "text", "arguments", "words"),
    [
        ("theory/toy/coin/theorems/mean.py", "1 / 0", ["verify", "coin"], "ZeroDivisionError"),
        ("theory/toy/coin/theorems/mean.py", "def", ["list"], "SyntaxError: invalid syntax"),
        (
            "theory/toy/coin/theorems/mean.py",
            "import twolayer.theory.no",
            ["falsify"],
            "No module named 'twolayer.theory.no' (",
        ),
        ("theory/toy/coin/theorems/mean.py", "", ["verify", "coin"], "must define THEOREMS"),
        (
            "theory/toy/coin/theorems/mean.py",
            "THEOREMS = 3",
            ["verify", "coin.mean"],
            "THEOREMS of twolayer.theory.toy.coin.theorems.mean must be a tuple; got 3",
        ),
        ("sims/toy/coin/experiment.py", "", ["run", "toy.coin"], "must define EXPERIMENT"),
        ("figures/toy/coin/captions.py", "FIGURES = {}", ["draw", "toy.coin"], "define FIGURES"),
    ],
)
def test_broken_code_of_a_study_is_one_line_and_leaves_others_alone(
    tmp_path, file, text, arguments, words
):
    mine = tmp_path / "mine"
    shutil.copytree(EXAMPLE, mine)
    (mine / file).write_text(text)
    environment = {"TWOLAYER_PATH": str(mine), "PYTHONPATH": str(ROOT)}
    done = _command(*arguments, cwd=tmp_path, **environment)
    assert done.returncode == 2 and done.stdout == "", done
    assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert ".".join(file.split("/")[1:3]) in done.stderr
    if text == "1 / 0":
        assert _command("verify", "wide.flip_mass", cwd=tmp_path, **environment).returncode == 0


def _move(mine, to, source=None):
    target = mine / to
    target.mkdir(parents=True)
    (target / "__init__.py").write_text("")
    if source:
        shutil.copytree(mine / source / "theorems", target / "theorems")
