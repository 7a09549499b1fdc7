"""Costs counted from programs, the schedule of a run, and the command that prints both."""

import dataclasses
import functools
import importlib
import math
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.benchmarks import predictions
from twolayer.cli import options, run_options
from twolayer.cli.main import main
from twolayer.sims.engine import execution, plan, registry
from twolayer.sims.forecast import jaxpr as programs
from twolayer.sims.forecast import machine, op_counts, peak_memory, requirements
from twolayer.sims.forecast.requirements import Call

F32 = jnp.float32


def block(fn, *args, known=(), turns=8.0):
    return programs.block(jax.make_jaxpr(fn)(*args), args, known=known, turns=turns)


def work(fn, *args, **options):
    return op_counts.count(block(fn, *args, **options))


def shape(*sides, dtype=F32):
    return jax.ShapeDtypeStruct(sides, dtype)


def test_products_are_counted():
    product = shape(3, 5), shape(5, 7)
    assert work(jnp.matmul, *product).flops == 2 * 3 * 5 * 7
    assert work(jax.vmap(jnp.matmul), shape(4, 3, 5), shape(4, 5, 7)).flops == 4 * 2 * 3 * 5 * 7
    doubles = shape(3, 5, dtype=jnp.float64), shape(5, 7, dtype=jnp.float64)
    assert (work(jnp.matmul, *doubles).flops64, work(jnp.matmul, *doubles).flops) == (210, 0)
    image, kernel = shape(2, 9, 9, 3), shape(3, 3, 3, 4)
    dims = ("NHWC", "HWIO", "NHWC")
    convolution = work(
        lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=dims),
        image,
        kernel,
    )
    assert convolution.flops == 2 * (2 * 7 * 7 * 4) * (3 * 3 * 3)


def test_entries_special_functions_and_factorisations_are_counted():
    found = work(lambda x: jnp.sum(jnp.exp(x) + 1), shape(10))
    assert (found.special, found.elements) == (10, 20)
    square = shape(30, 30, dtype=jnp.float64)
    assert work(jax.lax.linalg.cholesky, square).factored == pytest.approx(30**3 / 3)
    assert work(lambda a: jax.lax.linalg.eigh(a), square).factored == pytest.approx(9 * 30**3)
    assert work(lambda: jax.random.bits(jax.random.key(0), (50,), jnp.uint32)).random == 50


def test_a_scan_is_its_steps():
    def steps(x, y, length):
        return jax.lax.scan(lambda c, _: (c @ y, c[0]), x, length=length)

    x = shape(6, 6)
    for length in (0, 1, 7):
        found = work(lambda x, y, length=length: steps(x, y, length), x, x)
        assert found.flops == length * 2 * 6**3


def test_the_steps_of_a_loop_are_those_of_a_traced_number():
    def loop(x, steps):
        return jax.lax.fori_loop(0, steps + 1, lambda _, x: x @ x, x)

    assert work(loop, shape(6, 6), 9, known=(1,)).flops == 10 * 2 * 6**3


def test_the_steps_of_a_loop_may_differ_between_the_steps_of_a_scan():
    def loops(x, at):
        def segment(x, gap):
            return jax.lax.fori_loop(0, gap, lambda _, x: x @ x, x), None

        return jax.lax.scan(segment, x, jnp.diff(at, prepend=0))[0]

    at = np.array([2, 5, 5, 11])
    assert work(loops, shape(6, 6), at, known=(1,)).flops == 11 * 2 * 6**3


def test_a_loop_that_ends_by_itself_makes_the_usual_number_of_steps_or_its_bound():
    def search(x, most):
        return jax.lax.while_loop(
            lambda c: (c[0] < most) & (c[1][0, 0] < 1), lambda c: (c[0] + 1, c[1] @ c[1]), (0, x)
        )

    for most, steps in ((3, 3), (100, 8)):
        assert work(search, shape(6, 6), most, known=(1,)).flops == steps * 2 * 6**3
    assert work(search, shape(6, 6), 100, known=(1,), turns=20).flops == 20 * 2 * 6**3


def test_of_branches_the_chosen_one_counts_or_the_dearest():
    def choose(x, chosen):
        return jax.lax.cond(chosen > 0, lambda x: x @ x, lambda x: x, x)

    assert work(choose, shape(6, 6), shape(dtype=jnp.int32)).flops == 2 * 6**3
    assert work(choose, shape(6, 6), 0, known=(1,)).flops == 0
    assert work(choose, shape(6, 6), 1, known=(1,)).flops == 2 * 6**3


def test_memory_is_of_what_is_there_at_a_time():
    square = 100 * 100 * 4
    # Two arguments; a product, which the next no longer needs.
    chain = block(lambda x, y: ((x @ y) @ y) @ y, shape(100, 100), shape(100, 100))
    assert peak_memory.peak(chain) == 4 * square
    # Entries are added up as they are made.
    assert peak_memory.peak(block(lambda x: jnp.sum(2 * x + 1), shape(100, 100))) == square + 4


@pytest.mark.parametrize(
    ("stem", "study", "label"),
    [
        ("perturbation.wide", "width", "m=100"),
        ("perturbation.orthogonal", "flow", "logistic"),
        ("mixup.features", "phase", "grid"),
        ("mixup.collapse", "ufm", "K=3"),
        ("mixup.calibration", "images", "digits/noise=0.0"),
        ("shortcut.availability", "clusters", "corners"),
    ],
)
def test_memory_is_within_a_factor_2_of_what_the_compiler_reserves(stem, study, label):
    study, _, config, _ = find(stem, study, label)
    jaxpr, args, _ = execution.traced_program(study, config, 1)
    predicted = peak_memory.peak(programs.block(jaxpr, args, known=(1,)))
    keys = jnp.stack([jax.random.key(0)])
    lowered = execution._simulate.lower(study, execution._static(config), None, keys, *args[1:])
    total = predictions.reserved_bytes(execution.compiled(lowered))
    assert total / 2 <= predicted <= 2 * total


def find(stem, study, label, scale="default"):
    for row in registry.get(stem).table(scale):
        if (row[0].name, row[1]) == (study, label):
            return row
    raise AssertionError(f"no {study}/{label}")


# Exponents of the formulas in docs/scaling.md: of flops, and of memory where one term leads.
EXPONENTS = [
    ("perturbation.wide", "sweep", "shifted-a/base", "d", 100, 1, None),
    ("perturbation.wide", "sweep", "shifted-a/base", "n", 4000, 1, 2),
    ("perturbation.wide", "sweep", "shifted-a/base", "width", 400, 1, 1),
    ("perturbation.wide", "width", "m=100", "width", 400, 1, 1),
    ("perturbation.wide", "width", "m=100", "inits", 40, 1, 0),
    ("perturbation.wide", "map", "shifted-a", "epochs", 400, 1, 0),
    ("perturbation.orthogonal", "artificial", "uniform/base", "n_adv", 2000, 2, 2),
    ("perturbation.orthogonal", "artificial", "uniform/base", "d", 2000, 1, 1),
    ("perturbation.orthogonal", "artificial", "uniform/base", "width", 200, 1, None),
    ("perturbation.orthogonal", "flow", "logistic", "width", 80, 1, 1),
    ("perturbation.orthogonal", "flow", "logistic", "chunks", 800, 1, None),
    ("mixup.features", "lambda", "grid", "n", 400, 2, None),
    ("mixup.features", "lambda", "grid", "width", 20, 1, 1),
    ("mixup.features", "lambda", "grid", "steps", 6000, 1, 0),
    ("mixup.features", "phase", "grid", "n", 400, 1, 1),
    ("mixup.collapse", "free", "K=4", "dim", 24, 1, 1),
    ("mixup.collapse", "free", "K=4", "steps", 2000, 1, 1),
    ("mixup.collapse", "network", "digits/fixed/mixup", "width", 512, 1, 1),
    ("mixup.collapse", "network", "digits/fixed/mixup", "epochs", 1600, 1, 0),
    ("mixup.calibration", "gauss", "mu=0.25", "d", 1200, 1, 1),
    ("mixup.calibration", "gauss", "mu=0.25", "num_train", 14400, 1, 1),
    ("mixup.calibration", "gauss", "mu=0.25", "epochs", 320, 1, 0),
    ("shortcut.availability", "clusters", "corners", "n", 1600, 3, 2),
    ("shortcut.availability", "nesting", "relu-1, gain 1", "n", 6400, 1, 1),
    ("shortcut.availability", "nesting", "relu-1, gain 1", "width", 256, 1, None),
    ("shortcut.availability", "nesting", "relu-1, gain 1", "steps", 1600, 1, 0),
    ("shortcut.cues", "preference", "mlp/colour", "epochs", 96, 1, None),
    ("shortcut.cues", "solution", "mlp/colour", "batch", 256, 1, None),
    ("shortcut.cues", "solution", "mlp/colour", "stretch", 400, 1, None),
    ("shortcut.gradients", "blocks", "init=1", "rows", 240, 1, 1),
    ("shortcut.gradients", "blocks", "init=1", "width", 1600, 1, 1),
    ("shortcut.gradients", "blocks", "init=1", "steps", 16000, 1, 0),
]


@pytest.mark.parametrize(
    ("stem", "study", "label", "field", "start", "flops", "held"), EXPONENTS, ids=str
)
def test_counted_costs_grow_as_the_formulas_say(stem, study, label, field, start, flops, held):
    study, _, config, _ = find(stem, study, label)
    found = []
    for value in (start, 2 * start):
        changed = dataclasses.replace(config, **{field: value})
        jaxpr, args, _ = execution.traced_program(study, changed, 1)
        program = programs.block(jaxpr, args, known=(1,), turns=study.turns)
        found.append((op_counts.count(program).total_flops, peak_memory.peak(program)))
    slopes = [math.log2(after / before) for before, after in zip(*found, strict=True)]
    assert slopes[0] == pytest.approx(flops, abs=0.15)
    assert held is None or slopes[1] == pytest.approx(held, abs=0.15)


def test_a_schedule_shares_the_cores():
    schedule = functools.partial(requirements.schedule, shared=True, compiling=2)
    alone = [Call(0, 4.0, "p", 1.0)]
    assert schedule(alone, workers=1, cores=2) == ({0: 5.0}, 5.0)
    # Two programs on two cores, then four seconds of cells on each.
    calls = [Call(0, 4.0, "p", 1.0), Call(1, 4.0, "q", 1.0)]
    assert schedule(calls, workers=2, cores=2) == ({0: 2.5, 1: 2.5}, 5.0)
    same = [Call(0, 1.0, "p", 0.0)] * 6
    assert schedule(same, workers=2, cores=2)[1] == pytest.approx(3.0)
    # On one core two calls at a time take as long as one after the other.
    both = [Call(0, 4.0, "p", 0.0), Call(1, 4.0, "p", 0.0)]
    assert schedule(both, workers=2, cores=1) == ({0: 4.0, 1: 4.0}, 8.0)
    assert schedule([], workers=2, cores=2) == ({}, 0.0)


def test_overrides_can_be_set_together(fake):
    tokens = ["--set", "rates=0.5,2", "width=3", "--seeds", "4"]
    given, overrides = options.parse(fake.EXPERIMENT, tokens, run_options.Run, "twolayer run fake")
    assert given.seeds == 4 and overrides == {"rates": (0.5, 2.0), "width": 3}


SLOW = machine.Balance(op_counts.Work(*[1e-9] * len(dataclasses.fields(op_counts.Work))), 0.01)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(registry.STEMS, "fake", "fake_stem")
    monkeypatch.setattr(machine, "measure", lambda: SLOW)
    return importlib.import_module("fake_stem")


def test_a_plan_computes_and_writes_nothing(fake, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise AssertionError("something was computed")

    monkeypatch.setattr(execution, "results", fail)
    monkeypatch.setattr(execution, "compile_ahead", fail)
    main(["plan", "fake", "--results", str(tmp_path / "results")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["label", "missing", "memory", "flops", "time"]
    assert lines[1].split()[:3] == ["walk/gamma", "0.0", "8/8"]
    assert lines[4].split()[:2] == ["total", "24/24"]
    assert lines[-1].startswith("balance: ")
    assert not list(tmp_path.iterdir())


def test_cells_that_are_there_cost_nothing(fake, tmp_path, capsys):
    main(["run", "fake", "--only", "gamma 0.0", "--work", "1", "--results", str(tmp_path)])
    capsys.readouterr()
    main(["plan", "fake", "--set", "work=1", "--results", str(tmp_path)])
    done, other, *_ = capsys.readouterr().out.splitlines()[1:]
    assert done.startswith("walk/gamma 0.0, work=1 ")
    assert done.split()[-4:] == ["0/8", "-", "-", "-"] and "8/8" in other


def test_a_plan_of_nothing_says_so(fake, tmp_path, capsys):
    command = ["fake", "--only", "gamma 0.0", "--work", "1", "--results", str(tmp_path)]
    main(["run", *command])
    capsys.readouterr()
    main(["plan", *command])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "0/8", "-", "-", "-"]


def test_overrides_and_seeds_change_the_costs_in_proportion(fake, tmp_path):
    def flops(**options):
        planned = plan.plan("fake", "default", tmp_path, only=["gamma 0.5"], **options)
        (need,) = requirements.forecast(planned, SLOW).needs
        return need.work.total_flops

    base = flops()
    assert flops(seeds=16) == pytest.approx(2 * base)
    assert flops(overrides={"work": 4_000_000}) == pytest.approx(2 * base, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "none"], "study must be one of"),
        (["plan", "fake", "--gamma", "x"], "--gamma must be float; got x"),
        (["plan", "fake", "--set", "gamma"], "--set must be followed by NAME=VALUE; got gamma"),
        (["plan", "fake", "--set", "width=1.5"], "--width must be int; got 1.5"),
        (["plan", "fake", "--set", "gama=1"], "options must be among --scale, --seeds"),
        (["plan", "fake", "--processes", "2"], "processes and part are for run"),
        (["plan", "fake", "--scale", "x"], "--scale must be one of smoke, default, paper; got x"),
    ],
)
def test_wrong_input_is_named_in_one_line(fake, tmp_path, refuses, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    refuses(main, arguments, words)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "label", "overrides"),
    [
        ("perturbation.wide", "gauss-b/gamma=0.5", {"n": 2000, "d": 300}),
        ("shortcut.gradients", "init=1", {"steps": 8000, "width": 800}),
        ("mixup.features", "random layout", {}),
        ("mixup.calibration", "mu=0.05", {"d": 600}),
    ],
)
def test_predicted_seconds_of_the_cores_are_within_a_factor_2(tmp_path, stem, label, overrides):
    """Of the cores, as the wall's clock also shows what else the machine is doing."""
    measured = machine.measure()
    planned = plan.plan(stem, folder=tmp_path, only=[label], overrides=overrides, seeds=3)
    (job, *_), *_ = planned.batches()
    *_, compiling = requirements._count(job.study, job.config, 1, measured)
    (need,) = requirements.forecast(planned, measured).needs
    with execution.uncached():
        start = time.process_time()
        planned.execute(progress=False)
        spent = time.process_time() - start
    predicted = measured.seconds(need.work) + compiling
    assert spent / 2 <= predicted <= 2 * spent
