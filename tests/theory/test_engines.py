"""From Python, whatever JAX's settings, engines find what the command line finds, to the digit."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.host import jax_setup
from twolayer.theory.verification import (
    certify,
    evaluation,
    falsify,
    registry,
    verify,
    worker,
)

ROOT = Path(__file__).parents[2]
CHEAP = "wide.flip_mass"
# Nothing of what pytest has set; then what is hostile.
SETTINGS = (
    {},
    {
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_RANDOM_SEED_OFFSET": "5",
        "JAX_ENABLE_X64": "0",
    },
)
FROM_PYTHON = f"""
import json, math, jax
from twolayer.theory.verification import certify, falsify, registry, verify, worker
statement, key = registry.THEOREMS["{CHEAP}"], worker.key("{CHEAP}", 5)
verdict = verify.verify(statement, key, 4)
decided = certify.certify(statement, key, 4)
attack = falsify.falsify(statement, key, proceed=lambda: False)
assert not jax.config.jax_enable_x64  # nothing is changed for the user
print(json.dumps([
    verdict.status, verdict.worst_slack, verdict.tightness, dict(verdict.controls),
    {{word.value: number for word, number in decided.items()}},
    attack.status, attack.slack, attack.closest, attack.steps,
]))
"""


def _environment(variables):
    return {**os.environ, **variables}


@pytest.fixture(scope="module")
def commanded(tmp_path_factory):
    """What the commands write, of both."""
    folder = tmp_path_factory.mktemp("rows")

    def row(*options):
        path = folder / "row.json"
        command = [sys.executable, "-m", "twolayer", *options, CHEAP, "--seed", "5"]
        subprocess.run([*command, "--json", path], cwd=ROOT, check=True, capture_output=True)
        return json.loads(path.read_text())[0]

    return row("verify", "--instances", "4", "--certified"), row("falsify", "--budget", "0")


@pytest.mark.parametrize("variables", SETTINGS)
def test_python_finds_what_the_command_finds(commanded, variables):
    command = [sys.executable, "-c", FROM_PYTHON]
    found = subprocess.check_output(command, cwd=ROOT, env=_environment(variables), text=True)
    verified, attacked = commanded
    decided = {word: number for word, number in verified["certified"].items() if number}
    assert json.loads(found) == [
        *(verified[name] for name in ("status", "worst_slack", "tightness", "controls")),
        decided,
        *(attacked[name] for name in ("status", "slack", "closest", "steps")),
    ]


def test_commands_do_not_depend_on_variables_of_the_environment(commanded, tmp_path):
    command = [sys.executable, "-m", "twolayer", "verify", CHEAP, "--instances", "4", "--seed", "5"]
    path = tmp_path / "row.json"
    done = subprocess.run(
        [*command, "--json", path], cwd=ROOT, env=_environment(SETTINGS[1]), capture_output=True
    )
    assert done.returncode == 0
    (row,) = json.loads(path.read_text())
    for name in ("worst_slack", "tightness", "controls", "ratios"):
        assert row[name] == commanded[0][name]


@pytest.mark.parametrize(
    "make",
    [
        jax.random.key,
        jax.random.PRNGKey,
        lambda seed: jax.random.key(seed, impl="rbg"),
        lambda seed: np.asarray(jax.random.PRNGKey(seed)),
    ],
)
def test_keys_and_numbers_of_other_settings_will_do(make, unannotated):
    """In float32 and another generator: verdicts, instances and outcomes are the same."""
    statement = registry.THEOREMS[CHEAP]
    size = statement.sizes[0]
    expected = verify.verify(statement, jax.random.key(3), 16, block=16)
    with jax.enable_x64(False), jax.default_prng_impl("rbg"):
        key = make(3) if make is not jax.random.key else jax_setup.key(3)
        assert verify.verify(statement, key, 16, block=16) == expected
        keys = jax.random.split(key, 16) if isinstance(key, jax.Array) else np.stack([key] * 16)
        parameters = {
            name: jnp.full(16, low, jnp.float32) for name, (low, _) in statement.parameters.items()
        }
        instances = evaluation.sample_many(statement, size, keys, parameters)
        floats = [x for x in jax.tree.leaves(instances) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert floats and {x.dtype for x in floats} == {np.dtype(float)}
        for outcome in (
            evaluation.examine_many(statement, instances),
            evaluation.judge(statement, size, keys, parameters),
        ):
            assert outcome.slack.dtype == float and not np.any(outcome.violated)


def test_a_counterexample_is_float64_also_after_the_search():
    statement = registry.THEOREMS[CHEAP]
    control = statement.controls["3.9 in place of 4"]
    false = dataclasses.replace(statement, conclusions=control.conclusions)
    with jax.enable_x64(False):
        found = falsify.falsify(false, worker.key(CHEAP, 0), restarts=8, rounds=4).counterexample
        bound = found.conclusions["mean"]
        assert bound.slack.dtype == float and np.any(np.asarray(bound.slack) < 0)
        assert all(each.dtype != np.float32 for each in found.arrays().values())


def test_what_is_no_key_is_named(rejects):
    for wrong in (3, None, jnp.ones(2)):
        with rejects("key must be"):
            verify.verify(registry.THEOREMS[CHEAP], wrong, 1)
    with rejects("key must be one key"):
        verify.verify(registry.THEOREMS[CHEAP], jax.random.split(jax.random.key(0)), 1)


def test_numbers_of_instances_in_any_integer(unannotated):
    """The negative of an unsigned integer is none."""
    flip = registry.THEOREMS[CHEAP]
    found = verify.verify(flip, jax_setup.key(0), np.uint8(64), block=np.uint8(64))
    assert found == verify.verify(flip, jax_setup.key(0), 64)


def test_engines_take_a_theorem_and_not_its_name(rejects):
    for call in (verify.verify, certify.certify, lambda *args: falsify.falsify(*args[:2])):
        with rejects(f"theorem must be a Theorem; got '{CHEAP}'"):
            call(CHEAP, jax_setup.key(0), 8)
