"""Which changes of code are made, and what is run to notice them: see tests/robustness/mutation."""

import json

import pytest

pytest.importorskip("cosmic_ray")

from tests.robustness.mutation import __main__ as command
from tests.robustness.mutation import changes, equivalent, judge, trials
from twolayer.host import checkout

SOURCE = '''"""Text with 3 numbers and a < b."""

def scaled(x: Literal[-5], *, factor: float = 2.0) -> Literal[6]:
    return -x * factor if x < 1 else x

TABLE: dict[Literal[7], int]
'''


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    return path


def test_changes_are_those_of_what_is_run(module):
    found = [
        (spec.start_pos[0], spec.operator_name.partition("_")[2] or "number")
        for spec in changes.of(module)
    ]
    assert sorted(found) == [
        (3, "number"),
        (3, "number"),
        (4, "Delete_USub"),
        (4, "Lt_GtE"),
        (4, "Lt_LtE"),
        (4, "Mul_Div"),
        (4, "number"),
        (4, "number"),
    ]


def test_a_larger_sample_has_the_smaller_one_in_it(module):
    possible = changes.of(module)
    assert changes.sample(possible, 3, seed=1) == changes.sample(possible, 5, seed=1)[:3]
    assert changes.sample(possible, 3, seed=1) != changes.sample(possible, 3, seed=2)
    assert len(changes.sample(possible, 100, seed=0)) == len(possible)


def test_theorems_and_tests_of_a_module():
    names = judge.theorems("twolayer.theory.perturbation.wide.theorems.threshold")
    assert names and all(name.startswith("wide.") for name in names)
    assert "availability.linear_early" in judge.theorems(
        "twolayer.theory.shortcut.availability.theorems.linear"
    )
    assert judge.tests("twolayer.theory.geometry")[0] == "tests/theory/test_geometry.py"
    users = judge.theorems("twolayer.theory.mixup.collapse.dual")
    assert users and all(name.startswith("collapse.") for name in users)


def outcome(module, noticed, line=1):
    return trials.Outcome(module, line, "f", "-a\n+b", noticed)


def test_the_table_counts_by_what_noticed(monkeypatch):
    monkeypatch.setattr(equivalent, "EQUIVALENT", {("n", "a", "b"): "the same"})
    table = command._table(
        [
            outcome("m", "verify a: VIOLATED"),
            outcome("m", "tests FAILED b"),
            outcome("m", None),
            outcome("n", None),
            outcome("n", "tests FAILED b"),
        ],
        {"m": 10, "n": 20},
    )
    rows = [line.split() for line in table.splitlines()]
    assert rows[1:] == [
        ["m", "10", "3", "1", "1", "0", "1", "0.67"],
        ["n", "20", "2", "0", "1", "1", "0", "0.50"],
        ["all", "30", "5", "1", "2", "1", "1", "0.60"],
    ]


def test_what_is_said_to_change_nothing_is_a_change_of_today():
    for (module, removed, put), _ in equivalent.EQUIVALENT.items():
        source = (trials.ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
        assert removed in source.splitlines() and removed != put


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["theory.kernel"], "MODULE must be one of"),
        (["--changes", "0"], "--changes must be at least 1; got 0"),
    ],
)
def test_wrong_arguments(arguments, words, refuses):
    refuses(command.main, arguments, words)


@pytest.mark.slow
def test_a_change_that_matters_is_noticed_and_the_score_decides(tmp_path, capsys):
    file = tmp_path / "mutants.json"
    code = command.main(["twolayer.theory.kernels.angles", "--changes", "4", "--json", str(file)])
    outcomes = json.loads(file.read_text())["modules"]["twolayer.theory.kernels.angles"]["outcomes"]
    assert len(outcomes) == 4 and any(each["noticed"] for each in outcomes)
    assert code == 0 and "twolayer.theory.kernels.angles" in capsys.readouterr().out


@pytest.fixture
def tried(monkeypatch):
    """The changes that are tried, by module; the first of each survives its first try."""
    tries, seen = [], set()

    def tried(lacking):
        tries.append({module: len(specs) for module, specs in lacking.items()})
        for module, specs in lacking.items():
            first = None if module not in seen else "tests FAILED a"
            seen.add(module)
            noticed = [first, *["verify a: VIOLATED"] * (len(specs) - 1)]
            lines = [spec.start_pos[0] for spec in specs]
            yield module, list(map(outcome, [module] * len(specs), noticed, lines))

    monkeypatch.setattr(trials, "tried", tried)
    return tries


def test_what_was_tried_is_not_tried_again_unless_the_code_has_changed(
    tried, tmp_path, monkeypatch, capsys
):
    both = [
        "twolayer.theory.shortcut.cues.theorems.accuracy",
        "twolayer.theory.shortcut.gradients.theorems.max_margin",
        "--changes",
        "3",
    ]
    both += ["--json", str(tmp_path / "file.json")]
    command.main(["twolayer.theory.shortcut.cues.theorems.accuracy", *both[2:]])
    command.main(both)
    assert command.main(both) == 1
    assert tried == [
        {"twolayer.theory.shortcut.cues.theorems.accuracy": 3},
        {"twolayer.theory.shortcut.gradients.theorems.max_margin": 3},
        {},
    ]
    assert capsys.readouterr().out.splitlines()[-1].split()[2:] == ["6", "4", "0", "0", "2", "0.67"]
    monkeypatch.setattr(checkout, "source_digest", "other {}".format)
    command.main(both)
    assert tried[3:] == [
        {
            "twolayer.theory.shortcut.cues.theorems.accuracy": 3,
            "twolayer.theory.shortcut.gradients.theorems.max_margin": 3,
        }
    ]


def test_what_survived_is_tried_again_with_other_tests(tried, tmp_path, monkeypatch, capsys):
    arguments = [
        "twolayer.theory.shortcut.cues.theorems.accuracy",
        "--changes",
        "3",
        "--json",
        str(tmp_path / "file.json"),
    ]
    assert command.main(arguments) == 1
    digest = checkout.digest_of
    monkeypatch.setattr(
        checkout,
        "digest_of",
        lambda root, names: "more" if names == ["tests"] else digest(root, names),
    )
    assert command.main(arguments) == 0
    assert tried == [
        {"twolayer.theory.shortcut.cues.theorems.accuracy": 3},
        {"twolayer.theory.shortcut.cues.theorems.accuracy": 1},
    ]
    assert capsys.readouterr().out.splitlines()[-1].split()[2:] == ["3", "2", "1", "0", "0", "1.00"]
