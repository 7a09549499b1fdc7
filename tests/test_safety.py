"""Names from outside lead nowhere, nothing that is read is run, and the paper runs no commands."""

import ast
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from tests.test_architecture import FILES, ROOT, imported
from twolayer.figures.latex import format
from twolayer.sims.components import data
from twolayer.sims.engine import plan, registry, storage

UNPICKLING = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
RUNNING = {"eval", "exec", "compile", "__import__"}


def dangers(source):
    """What in a file could run what is read: imports, calls, and ``allow_pickle=True``."""
    found = sorted({name.split(".")[0] for name in imported(source, ())} & UNPICKLING)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in RUNNING:
                found.append(node.func.id)
            found += [
                ast.unparse(word)
                for word in node.keywords
                if (word.arg == "allow_pickle" and ast.unparse(word.value) != "False")
                or (word.arg == "shell" and ast.unparse(word.value) != "False")
            ]
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_that_is_read_is_run(path):
    assert dangers((ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "pickle"),
        ("def f():\n    from joblib import load", "joblib"),
        ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("np.load(path, allow_pickle=flag)", "allow_pickle=flag"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "shell=True"),
    ],
)
def test_the_rule_notices(source, danger):
    assert dangers(source) == [danger]
    assert dangers("np.load(path, allow_pickle=False)\nmodel.eval()") == []


OUTSIDE = ["../x", "/etc/passwd", "a/b", "..", ".hidden", "", "a\0b", "x" * 300]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_elsewhere_are_rejected(tmp_path, monkeypatch, rejects, name):
    folder = tmp_path / "data"
    folder.mkdir()
    np.savez(tmp_path / "x.npz", x_train=np.zeros((1, 2, 2), np.uint8))
    monkeypatch.setenv(data.DATA_VARIABLE, str(folder))
    with rejects("name of images must be of letters, digits"):
        data.load_images(name)
    with rejects("study must be one of "):
        plan.plan(name, "smoke", tmp_path / "results")
    with rejects("only must be one of "):
        plan.plan("perturbation.wide", "smoke", tmp_path / "results", only=[name])
    assert not (tmp_path / "results").exists()


def test_a_sweep_does_not_write_through_a_link(tmp_path, rejects):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").mkdir()
    stem = next(iter(registry.STEMS))
    (tmp_path / "results" / stem).symlink_to(tmp_path / "elsewhere")
    with rejects(f"results folder {tmp_path / 'results' / stem} must not be a link"):
        plan.plan(stem, "smoke", tmp_path / "results")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_link_in_place_of_a_cell_is_replaced_and_its_target_stays(tmp_path):
    """Only what has its own digest and name is read, wherever it lies."""
    cell = {"stem": "s", "study": "t", "version": 1, "config": {}, "seed": 0, "data": None}
    (tmp_path / "secret").write_text(json.dumps({"key": "value"}))
    (tmp_path / "cells").mkdir()
    name = storage.cell_name(cell)
    for ending in ("json", "npz"):
        (tmp_path / "cells" / f"{name}.{ending}").symlink_to(tmp_path / "secret")
    with pytest.warns(UserWarning, match=f"{name}.json is damaged") as caught:
        assert storage.read(tmp_path / "cells", name) is None
    assert "value" not in str(caught[0].message)
    storage.write(tmp_path / "cells", cell, {"x": np.ones(2)}, {})
    assert storage.read(tmp_path / "cells", name) is not None
    assert (tmp_path / "secret").read_text() == '{"key": "value"}'


HOSTILE = r"\write18{touch written} \input{/etc/passwd} ^^5cinput{/etc/passwd} $x$ % } {"


def test_words_become_no_commands_of_latex(tmp_path):
    told = format.text(HOSTILE)
    assert r"\write" not in told and r"\input" not in told and "^^" not in told
    if shutil.which("pdflatex") is None:
        pytest.skip("LaTeX is not installed: what it prints is not looked at")
    page = r"\documentclass{article}\begin{document}" + told + r"\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=batchmode"]
    # A user without a home has no other place for the fonts that LaTeX makes.
    fonts = {**os.environ, "TEXMFVAR": str(tmp_path / "texmf-var")}
    done = subprocess.run([*command, "page.tex"], cwd=tmp_path, env=fonts, capture_output=True)
    assert done.returncode == 0
    assert not (tmp_path / "written").exists()


def test_the_paper_is_built_without_shell_escape():
    shown = subprocess.run(
        ["make", "-n", "-C", ROOT / "paper", "paper", "OUT=out"],
        capture_output=True,
        text=True,
        env={**os.environ, "MAKEFLAGS": ""},
    )
    (build,) = [line for line in shown.stdout.splitlines() if "latexmk -pdf" in line]
    assert "-latexoption=-no-shell-escape" in build
