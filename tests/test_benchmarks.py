"""Benchmarks at tiny sizes: both sides agree, and the command says what was missed."""

import json

import jax
import jaxtyping
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import (
    availability,
    availability_grid,
    calibration,
    collapse,
    features,
    flows,
    gate_kernels,
    maps,
    mesh,
    orthogonal,
    seeds,
    training,
)
from tests.benchmarks.measure import Check, Row

TINY = dict(repeats=1)
TINY_BENCHMARKS = {
    "maps": lambda: maps.run(
        n=12, d=6, width=5, resolution=8, gate_samples=7, block=16, dense_blocks=2,
        exact_points=20, **TINY,
    ),
    "training": lambda: training.wide_data(n=6, d=20, width=5, steps=4, reference_steps=2, **TINY),
    "square": lambda: training.square_data(n=6, d=6, width=5, steps=4, **TINY),
    "automatic": lambda: training.automatic(n=6, d=3, width=5, steps=4, **TINY),
    "kernels": lambda: gate_kernels.run(n=6, d=3, gate_samples=5, **TINY),
    "seeds": lambda: seeds.run(num_seeds=2, n=6, d=3, width=5, steps=4, **TINY),
    "flows": lambda: flows.run(n=6, d=3, **TINY),
    "limit": lambda: orthogonal.limit(n=4, d=200, width=4, weight_steps=1, **TINY),
    "cell": lambda: orthogonal.cell(n=6, n_adv=8, d=40, width=4, steps=2),
    "lengths": lambda: orthogonal.lengths(n=6, d=30, values=3, **TINY),
    "pairs": lambda: features.reduced(dim=250, steps=3, pair_steps=1, **TINY),
    "weights": lambda: features.grid(seeds=1, steps=10, lams=2, dispatched=2),
    "optima": lambda: collapse.run(number=60, newton=20, **TINY),
    "networks": lambda: availability_grid.run(
        seeds=2, rhos=1, ratios=2, n=20, width=4, steps=4, **TINY
    ),
    "temperature": lambda: calibration.temperature(n=50, k=3, **TINY),
    "population": lambda: availability.population(n_quad=4, n_probe=4, **TINY),
    "prediction": lambda: calibration.prediction(n=20, k=4, queries=40, **TINY),
    "devices": lambda: mesh.run(n=7, d=3, rounds=1, **TINY),
}  # fmt: skip
# What is judged by the clock.
TIMED = {"solutions a second", "seconds of the grid", "seconds of a cell"}


# The others compile for many seconds.
QUICK = {"square", "kernels", "prediction", "temperature"}


def test_every_benchmark_is_tried():
    assert TINY_BENCHMARKS.keys() == command.found().keys()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
        for name in TINY_BENCHMARKS
    ],
)
def test_a_benchmark_reports_correct_results_in_a_table(name, tmp_path, capsys, monkeypatch):
    file = tmp_path / "new" / "bench.json"
    # Lowering builds networks whose leaves describe arrays, which annotations do not allow.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    command.main(["--json", str(file)], {name: TINY_BENCHMARKS[name]})
    table = json.loads(file.read_text())
    assert table["machine"]["cores"] >= 1 and table["machine"]["jax"] == jax.__version__
    assert table["rows"]
    for row in table["rows"]:
        assert row["ratio"] == pytest.approx(row["reference_seconds"] / row["seconds"])
        for check in row["checks"]:
            assert check["met"] or check["name"] in TIMED, (row["name"], check)
    assert len(capsys.readouterr().out.splitlines()) == len(table["rows"]) + 1


@pytest.mark.parametrize(
    "row, met",
    [
        (Row("a", "twice as fast", 2.0, 1.0, required=2.0), True),
        (Row("a", "too slow", 1.9, 1.0, required=2.0), False),
        (Row("a", "nothing asked", 0.1, 1.0), True),
        (Row("a", "other hardware", 1.9, 1.0, required=2.0, hardware="needs more"), True),
        (Row("a", "inexact", 3.0, 1.0, 2.0, (Check("error", 2.0, at_most=1.0),)), False),
        (Row("a", "few", 3.0, 1.0, 2.0, (Check("share", 0.5, at_least=0.9),)), False),
    ],
)
def test_a_missed_requirement_fails_the_command(row, met, capsys):
    assert row.met == met
    assert command.main(["a"], {"a": lambda: [row]}) == (0 if met else 1)
    assert ("MISSED" in capsys.readouterr().out) == (not met)


def test_unknown_benchmarks_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["map"])
    assert "NAME must be one of population, networks" in capsys.readouterr().err
