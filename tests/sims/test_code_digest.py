"""The digest of code: what changes it and what does not, of modules that are written for it."""

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twolayer.sims.code import digest as code_digest
from twolayer.sims.engine import registry

ROOT = Path(__file__).parents[2]
STUDY = """
import functools
import enum
import math
import jax
import jax.numpy as jnp
import numpy as np
from . import helpers
from .helpers import TABLE, Scale, scaled

STEPS = 3
WEIGHTS = np.array([1.0, 2.0])
MEMORY = {}
REGISTERED = {}

def register(fn):
    REGISTERED[fn.__name__] = fn
    return fn

@register
def listed(x):
    return x + 5

@register
@jax.jit
def fast(x):
    return x - 5

class Mode(enum.Enum):
    FAST = 1

def simulate(key, config, inputs):
    '''What it does.'''
    # Why it does so.
    from . import late
    x: float = jax.random.normal(key, (STEPS,))
    MEMORY["last"] = len(MEMORY)
    doubled = [scaled(each, 2.0) for each in x]
    def inner(key, steps=STEPS):
        return sum(key * each for each in range(steps))
    result = helpers.twice(x) + TABLE["a"] + Scale(2).apply(x) * config.ratio
    result += helpers.curve(x) + mapped(x) + half(x) + late.constant() + root(3)
    return {"x": REGISTERED["listed"](result) + Mode.FAST.value + inner(2.0) + WEIGHTS.sum()}

mapped = jax.vmap(helpers.tripled, in_axes=(0,))
half = functools.partial(helpers.power, exponent=0.5)

@functools.cache
def root(n: int) -> float:
    return math.sqrt(n)

def make(offset):
    return lambda config: {"x": list(range(STEPS + offset))}

coords = make(0)
first, second = lambda c: c.width, lambda c: c.depth

class Config:
    width: int = 3

    @property
    def ratio(self):
        return 1 / self.width

    def unused(self):
        return self.width
"""
HELPERS = """
import jax
import jax.numpy as jnp

TABLE = {"a": 1.0, "b": [1, 2]}
LIMIT = 4

def scaled(x, by=1.0):
    '''Scaled.'''
    return helper(x) * by

def helper(x):
    return jnp.sin(x)

def twice(x):
    return tripled(x) if x is None else 2 * x

def tripled(x):
    return twice(x) + x

def power(x, exponent):
    if exponent is None:
        raise ValueError(f"exponent must be a number; got {exponent}.")
    return x**exponent

def nobody(x):
    return x

class Scale:
    '''A scale.'''

    def __init__(self, by):
        self.by = by

    def apply(self, x):
        return x * min(self.by, LIMIT)

@jax.custom_jvp
def curve(x):
    return x**2

@curve.defjvp
def _curve_jvp(primals, tangents):
    return primals[0] ** 2, 2 * primals[0] * tangents[0]
"""
LATE = """
def constant():
    return 7
"""
_numbers = itertools.count()


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of a package of modules, each time under another name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(*edits, roots=("simulate", "coords"), **files):
        files = {"study": STUDY, "helpers": HELPERS, "late": LATE} | files
        for file, old, new in edits:
            assert old in files[file]
            files[file] = files[file].replace(old, new)
        package = f"package_{next(_numbers)}"
        (tmp_path / package).mkdir()
        for name, text in {"__init__": "", **files}.items():
            (tmp_path / package / f"{name}.py").write_text(text)
        module = importlib.import_module(f"{package}.study")
        return code_digest.of([getattr(module, root) for root in roots], module.Config)

    return of


SAME = {
    "docstring": [("study", "'''What it does.'''", "'''Another text\n    of two lines.'''")],
    "docstring of a helper": [("helpers", "'''Scaled.'''", "")],
    "message of an error": [("helpers", "must be a number; got {exponent}", "is {x} and {LIMIT}")],
    "docstring of a class": [("helpers", "'''A scale.'''", "'''Its scale.'''")],
    "comment": [("study", "# Why it does so.", "# Why not?\n    # Who knows.")],
    "annotation": [("study", "x: float = jax", "x = jax"), ("study", "n: int) -> float", "n)")],
    "layout": [("helpers", "helper(x) * by", "(\n        helper(x)\n        * by\n    )")],
    "code that is not used": [("helpers", "def nobody(x):\n    return x", "NOBODY = 3")],
    "method that is not used": [("study", "return self.width\n", "return 3 * self.width\n")],
    "another value of the same kind": [("helpers", "LIMIT = 4", "LIMIT = 2 + 2")],
    "renamed helper": [("helpers", "helper(", "renamed("), ("helpers", "twice(", "double("),
                       ("study", "helpers.twice", "helpers.double")],
    "renamed class": [("helpers", "class Scale", "class Size"), ("study", "Scale", "Size")],
    "renamed root": [("study", "def simulate(", "def run("), ("study", "coords = make(0)",
                     "simulate, coords = run, make(0)")],
    "renamed constant": [("study", "STEPS", "NUMBER")],
    "name by which it is imported": [("study", "TABLE, Scale, scaled", "TABLE, Scale, scaled as s"),
                                     ("study", "scaled(each", "s(each")],
    "alias of a library": [("helpers", "import jax.numpy as jnp", "from jax import numpy as n"),
                           ("helpers", "jnp.", "n.")],
    "another memory": [("study", "MEMORY = {}", "MEMORY = dict()")],
    "module of a helper": [("helpers", "def helper(x):\n    return jnp.sin(x)",
                            "from .late import helper"),
                           ("late", "def constant", "import jax.numpy as jnp\n"
                            "def helper(x):\n    return jnp.sin(x)\n\ndef constant")],
}  # fmt: skip
OTHER = {
    "simulate": [("study", "(STEPS,))", "(STEPS + 1,))")],
    "helper": [("helpers", "helper(x) * by", "helper(x) + by")],
    "helper of a helper": [("helpers", "jnp.sin", "jnp.cos")],
    "one of two that call each other": [("helpers", "2 * x", "x + x")],
    "constant": [("study", "STEPS = 3", "STEPS = 4")],
    "constant of a method": [("helpers", "LIMIT = 4", "LIMIT = 5")],
    "number that equals another": [("study", "STEPS = 3", "STEPS = 3.0")],
    "array": [("study", "[1.0, 2.0]", "[1.0, 2.5]")],
    "entry of a table": [("helpers", '"a": 1.0', '"a": 1.5')],
    "default": [("helpers", "by=1.0", "by=1.5")],
    "method": [("helpers", "x * min", "x / min")],
    "property of the config": [("study", "1 / self.width", "2 / self.width")],
    "closure": [("study", "make(0)", "make(1)")],
    "function that makes another": [("study", "STEPS + offset", "STEPS * offset")],
    "kind of an error": [("helpers", "raise ValueError", "raise TypeError")],
    "when there is an error": [("helpers", "exponent is None", "exponent == 0")],
    "rule of a derivative": [("helpers", "2 * primals[0] * t", "3 * primals[0] * t")],
    "argument of a partial": [("study", "exponent=0.5", "exponent=0.25")],
    "what a partial calls": [("helpers", "x**exponent", "x ** (exponent + 1)")],
    "option of a map": [("study", "in_axes=(0,)", "in_axes=(-1,)")],
    "what is mapped": [("helpers", "twice(x) + x", "twice(x) - x")],
    "cached function": [("study", "math.sqrt(n)", "math.cbrt(n)")],
    "decorator": [("helpers", "def power", "@jax.checkpoint\ndef power")],
    "late import": [("late", "return 7", "return 8")],
    "registered function": [("study", "return x + 5", "return x + 6")],
    "registered and compiled": [("study", "return x - 5", "return x - 6")],
    "member of an enumeration": [("study", "FAST = 1", "FAST = 2")],
    "inner function": [("study", "key * each", "key + each")],
    "order of what is added": [("study", "half(x) + late.constant()", "late.constant() + half(x)")],
}  # fmt: skip


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_what_computes_nothing_else_is_the_same_code(digest, edits):
    assert digest(*edits) == digest()


@pytest.mark.parametrize("edits", OTHER.values(), ids=OTHER)
def test_what_is_computed_otherwise_is_other_code(digest, edits):
    assert digest(*edits) != digest()


def test_every_other_code_is_another(digest):
    assert len({digest(*edits) for edits in OTHER.values()}) == len(OTHER)


def test_lambdas_of_one_line_are_told_apart(digest):
    assert digest(roots=["first"]) != digest(roots=["second"])
    assert digest(roots=["first"]) == digest(("study", "c.depth", "c.size"), roots=["first"])
    assert digest(roots=["second"]) != digest(("study", "c.depth", "c.size"), roots=["second"])


def test_what_is_compiled_or_partial_is_the_code_that_it_wraps(digest):
    wrapped = ("study", "coords = make(0)", "coords = make(0)\nouter = jax.jit(helpers.tripled)")
    roots = ["outer"]
    same = digest(wrapped, roots=roots)
    assert digest(wrapped, ("helpers", "return x\n", "return +x\n"), roots=roots) == same
    assert digest(wrapped, ("helpers", "twice(x) + x", "twice(x) - x"), roots=roots) != same
    bound = ("study", "coords = make(0)", "coords = make(0)\nouter = Scale(3).apply")
    other = ("study", "Scale(3)", "Scale(4)")
    assert digest(bound, roots=roots) != digest(bound, other, roots=roots)


def test_a_memory_that_has_been_filled_is_no_other_code(digest):
    filled = (
        "study",
        "\ncoords = ",
        "\ndef remember(x):\n    MEMORY[x] = x\nremember(3)\ncoords = ",
    )
    assert digest(filled) == digest()
    # What the module itself puts into it is code.
    assert digest(("study", "MEMORY = {}", "MEMORY = {}\nMEMORY['x'] = 3")) != digest()


def test_what_was_edited_after_its_import_is_not_taken_for_what_runs(digest, tmp_path):
    before = digest()
    late = tmp_path / f"package_{next(_numbers) - 1}" / "late.py"
    study = importlib.import_module(f"{late.parent.name}.study")
    helpers = importlib.import_module(f"{late.parent.name}.helpers")
    importlib.import_module(f"{late.parent.name}.late")
    late.write_text(LATE.replace("7", "8"))
    code_digest._told.clear()
    edited = code_digest.of([study.simulate, study.coords], study.Config)
    assert edited not in (before, digest(("late", "return 7", "return 8")))
    # It has no syntax at the moment.
    late.with_name("helpers.py").write_text("def helper(")
    code_digest._told.clear()
    assert code_digest.of([helpers.twice]) != code_digest.of([helpers.power])


def test_functions_without_a_file_are_told_apart():
    made = {}
    exec("def one(x):\n    return x + 1\ndef two(x):\n    return x + 2", made)
    made["one"].__module__ = made["two"].__module__ = __name__
    assert code_digest.of([made["one"]]) == code_digest.of([made["one"]])
    assert code_digest.of([made["one"]]) != code_digest.of([made["two"]])


def test_the_project_is_its_own_wherever_it_is_installed(tmp_path):
    """Among the libraries, under other settings and without this process's import hooks."""
    shutil.copytree(ROOT / "twolayer", tmp_path / "site-packages/twolayer")
    code = (
        "import json\n"
        "from twolayer.sims.code import digest\n"
        "from twolayer.sims.engine import registry\n"
        "print(json.dumps({f'{stem} {study.name}': digest.of_study(study)\n"
        "  for stem in registry.STEMS for study in registry.get(stem).studies}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site-packages")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    installed = json.loads(done.stdout)
    here = {
        f"{stem} {study.name}": code_digest.of_study(study)
        for stem in registry.STEMS
        for study in registry.get(stem).studies
    }
    assert installed == here and len(set(here.values())) == len(here)
