"""The paper says nothing that is not looked up, and nothing that is not there to be looked up."""

import dataclasses
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.figures import figure_checks
from twolayer.figures.engine import registry as figures
from twolayer.figures.latex import format, macros
from twolayer.host import checkout
from twolayer.sims.engine import registry as sims
from twolayer.theory.verification import registry as theorems

PAPER = Path(__file__).parents[2] / "paper"
SECTIONS = sorted((PAPER / "sections").glob("*.tex"))
# What may hold digits: the mathematics of statements, listings, marked constants, and arguments
# that are names. Everything else is prose, in which a number is a result.
_MATHEMATICS = r"statement|equation\*?|align\*?|verbatim|longtable"
_NAMES = "const|ref|eqref|label|citep|citet|name|code|drawn|prov|input|rows|fontsize|setlength"
_NAMES += "|measured|expected|within|verdict|theorem|bench|stem|total|run"
_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"

# Claims whose names, or presence, depend on what was measured: made-up results lack them.
DEPENDENT = {
    "hand-over-at-a-ratio-of-2-1-or-more-largest-rare-error-1500-steps-later",
    "flow-near-orthogonal-angle-of-the-gradient-to-the-closed-form-at-s-300",
    "artificial-uniform-l2-along-n-adv-published-sizes-distance-from-the-published-curve-worst-at-1000",
    "ufm-kappa-growth-of-z-i-z-o-at-lambda-1-2-with-log-kappa-log-log",
    "ufm-kappa-z-i-z-j-logit-lambda-at-kappa-1e-plus-12",
    "machine-one-hot-kernel-machines-that-do-not-follow-the-vote-of-360-predictions",
}


def typed_digits(text):
    """What of a section still holds digits where all that may hold them is cut out."""
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = re.sub(rf"\\begin\{{({_MATHEMATICS})\}}.*?\\end\{{\1\}}", " ", text, flags=re.DOTALL)
    # Optional, then braced arguments; names of macros and lengths go with them.
    text = re.sub(rf"\\(?:{_NAMES})\b(?:\[[^\]]*\])*(?:\s*{_GROUP})+", " ", text)
    return re.findall(r"\S*\d\S*", text)


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
def test_no_number_is_typed(path):
    assert typed_digits(path.read_text()) == []


@pytest.mark.parametrize(
    "text, found",
    [
        (r"the error is 0.3 in the worst seed", ["0.3"]),
        (r"it falls by $\tfrac{1}{3}$", [r"$\tfrac{1}{3}$"]),
        (r"at \const{d = 10^4} it is \measured{a.b}{at-d-100} % of 7", []),
        (r"\begin{statement}[A1] $|x| \le 2$ \end{statement} and 4", ["4"]),
        (r"\measured{a.b}{c} of 20", ["20"]),
        (r"\const{\frac{1}{\sqrt{2}}}", []),
    ],
)
def test_typed_digits_are_noticed(text, found):
    assert typed_digits(text) == found


@pytest.fixture(scope="module")
def results():
    """Made-up results of every stem at the default scale, with made-up provenance."""
    stems = {}
    for name in figures.STEMS:
        made = figure_checks.made_up(sims.get(name), "default")
        sidecar = {
            "seconds": 1.0,
            "commit": "0" * 40,
            "npz_sha256": "ab",
            "versions": {"jax": "0.10", "numpy": "2.0", "python": "3.11"},
        }
        entries = {
            key: dataclasses.replace(run, sidecars=[sidecar] * len(run.seeds))
            for key, run in made.entries.items()
        }
        stems[name] = dataclasses.replace(made, entries=entries)
    return stems


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_looked_up_is_there(results):
    known = {
        name: {format.slug(claim.name) for claim in sims.get(name).claims(stem)}
        for name, stem in results.items()
    }
    looked_up = set()
    for path in SECTIONS:
        text = re.sub(r"\s*\n\s*", "", path.read_text())
        for stem, claim in re.findall(
            r"\\(?:measured|expected|within|verdict)\{(.*?)\}\{(.*?)\}", text
        ):
            there = claim in known[stem] | DEPENDENT
            assert there, f"{path.name} looks up a claim of {stem}: {claim}"
            looked_up.add(claim)
        for name in re.findall(r"\\theorem\{(.*?)\}", text):
            assert name in theorems.THEOREMS, f"{path.name} looks up a theorem: {name}"
        for stem, name in re.findall(r"\\drawn\{(.*?)\}\{(.*?)\}", text):
            assert name in figures.get(stem).FIGURES, f"{path.name} shows {stem}/{name}"
        for name in re.findall(r"\\name\{([a-z_]+\.[a-z_]+)\}", text):
            assert name in theorems.THEOREMS or name in figures.STEMS, f"{path.name}: {name}"
    assert len(looked_up) > 100
    assert looked_up >= DEPENDENT


def test_every_stem_has_its_section():
    names = {path.stem for path in SECTIONS}
    assert {stem.replace(".", "_") for stem in figures.STEMS} <= names
    main = (PAPER / "main.tex").read_text()
    written = set(re.findall(r"\\input\{sections/(\w+)\}", main))
    # Those of studies, whose names have an underscore, are found where they lie.
    assert written == {name for name in names if "_" not in name}
    assert "\\input{\\build/studies}" in main


def smoke(results):
    """The same with the name of the scale at which a dash stands for what is not measured."""
    return [dataclasses.replace(stem, scale="smoke") for stem in results.values()]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_follow_the_results(results, tmp_path):
    first = macros.write(smoke(results), tmp_path, tmp_path / "out")
    text = first.path.read_text()
    assert first.missing == (
        "theorems.json is missing",
        "attacks.json is missing",
        "bench.json is missing",
    )
    assert text.count("\n") == first.macros > 1000
    assert r"\twolayerset{total:stems}{\ensuremath{8}}" in text
    assert macros.write(smoke(results), tmp_path, tmp_path / "out").path.read_text() == text
    wide = results["perturbation.wide"]
    run = wide["sweep", "shifted-a/base"]
    other = dataclasses.replace(run, arrays={**run.arrays, "acc": run.arrays["acc"] / 2})
    entries = {**wide.entries, ("sweep", "shifted-a/base"): other}
    changed = {**results, "perturbation.wide": dataclasses.replace(wide, entries=entries)}
    after = macros.write(smoke(changed), tmp_path, tmp_path / "out").path.read_text()
    lines = [(a, b) for a, b in zip(text.splitlines(), after.splitlines(), strict=True) if a != b]
    assert any("accuracy-of-f:measured" in line for line, _ in lines)
    assert all(":perturbation.wide:" in line or "{total:" in line for line, _ in lines)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_missing_is_named(results, tmp_path, rejects):
    with rejects("theorems.json is missing, attacks.json is missing, bench.json is missing"):
        macros.write(list(results.values()), tmp_path, tmp_path)
    assert not (tmp_path / macros.NAME).exists()


def store(folder, code, bench_code):
    """Verdict, attack and comparison as the commands store them."""
    common = {"name": "wide.width", "source": "[derived] W", "statement": "", "code": code}
    counts = {"instances": 10, "vacuous": 4, "violations": 0, "allowed": 0, "seed": 0}
    verdict = {"status": "HELD", "worst_slack": 0.5, "tightness": None, "missed": []}
    attack = {"status": "none", "falsified": False, "restarts": 1, "steps": 9}
    attack |= {"slack": 0.1, "closest": 0.75}
    row = {"name": "decision map", "what": "", "reference_seconds": 2.0, "seconds": 4e-3}
    row |= {"ratio": 500.0, "required_ratio": 40.0, "met": True, "not_judged": "", "note": ""}
    files = {
        "theorems": [common | counts | verdict | {"controls": {"a": 1.0}}],
        "attacks": [common | attack | {"seed": 0}],
        "bench": {"machine": {"cpu": "A & B", "cores": 2}, "code": bench_code, "rows": [row]},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_verdicts_and_speeds_are_looked_up_and_must_be_of_this_code(results, tmp_path, rejects):
    theory, both = (
        checkout.source_digest("theory"),
        checkout.source_digest("theory", "sims"),
    )
    store(tmp_path, theory, both)
    text = macros.write(list(results.values()), tmp_path, tmp_path).path.read_text()
    for macro in (
        r"{theorem:wide.width:vacuous}{\ensuremath{40}\,\%}",
        r"{theorem:wide.width:closest}{\ensuremath{0.750}}",
        r"{bench:decision-map:ratio}{\ensuremath{500}}",
        r"{bench:decision-map:ours}{\ensuremath{4}\,ms}",
        r"{run:cpu}{A \& B}",
    ):
        assert rf"\twolayerset{macro}" in text
    assert "lenient" not in text
    store(tmp_path, "other", both)
    with rejects("theorems.json is of other code than is here now, attacks.json is of other"):
        macros.write(list(results.values()), tmp_path, tmp_path)
    store(tmp_path, theory, "other")
    with rejects("must have all that the paper states: bench.json is of other code"):
        macros.write(list(results.values()), tmp_path, tmp_path)
    assert macros.write(smoke(results), tmp_path, tmp_path).missing[:1] == (
        "bench.json is of other code than is here now",
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_missing_data_leaves_dashes_and_is_named(results, tmp_path):
    store(
        tmp_path,
        checkout.source_digest("theory"),
        checkout.source_digest("theory", "sims"),
    )
    wide = dataclasses.replace(results["perturbation.wide"], left_out=(("sweep", "mnist"),))
    stems = list({**results, "perturbation.wide": wide}.values())
    written = macros.write(stems, tmp_path, tmp_path)
    assert written.missing == ("perturbation.wide mnist: its data is not installed",)
    assert r"\twolayerset{lenient}" in written.path.read_text()


@pytest.mark.parametrize(
    "value, shown",
    [
        (0.41, "0.410"),
        (0.9989, "0.999"),
        (-3.2, "-3.20"),
        (12, "12"),
        (1234.5, "1234"),
        (1e-7, "10^{-7}"),
        (-1.236e-5, r"-1.24\times 10^{-5}"),
        (2.5e9, r"2.5\times 10^{9}"),
        (float("inf"), r"\infty"),
    ],
)
def test_numbers_are_rounded_to_three_digits(value, shown):
    assert format.number(value) == rf"\ensuremath{{{shown}}}"
    assert format.number(None) == format.number(float("nan")) == "--"


def test_keys_and_words():
    assert format.slug("f at d = 1, -40 x (1, 1)") == "f-at-d-1-minus-40-x-1-1"
    assert format.text("a_b <= 5 %") == r"a\_b \ensuremath{\le} 5 \%"


def complaints(log):
    spec = importlib.util.spec_from_file_location("check", PAPER / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.complaints(log)


def test_logs_are_read():
    undefined = "LaTeX Warning: Reference `a' on page 1 undefined on input line 2."
    wide = r"Overfull \hbox (5.1pt too wide) in paragraph at lines 3--4"
    narrow = r"Overfull \hbox (4.9pt too wide) in paragraph at lines 3--4"
    assert complaints(f"a\n{undefined}\n{wide}\n{narrow}\n") == [undefined, wide]


@pytest.mark.skipif(not shutil.which("latexmk"), reason="LaTeX is not installed")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_same_numbers_give_the_same_bytes(results, tmp_path):
    macros.write(smoke(results), tmp_path, tmp_path / "out")

    def build(folder):
        made = subprocess.run(
            ["make", "-C", PAPER, f"OUT={tmp_path / 'out'}", f"BUILD={tmp_path / folder}"],
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return (tmp_path / folder / "twolayer.pdf").read_bytes()

    first = build("first")
    assert build("second") == first
    assert build("first") == first
    text = (tmp_path / "out" / macros.NAME).read_text()
    other = text.replace("{total:cells}{", "{total:cells}{7")
    (tmp_path / "out" / macros.NAME).write_text(other)
    assert build("first") != first


@pytest.mark.skipif(not shutil.which("latexmk"), reason="LaTeX is not installed")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_missing_number_ends_the_build(results, tmp_path):
    path = macros.write(smoke(results), tmp_path, tmp_path / "out").path
    path.write_text(path.read_text().replace("{lenient}", "{strict}"))
    made = subprocess.run(
        ["make", "-C", PAPER, f"OUT={tmp_path / 'out'}", f"BUILD={tmp_path / 'build'}"],
        capture_output=True,
        text=True,
    )
    assert made.returncode != 0
    assert 'numbers.tex has no number "total:theorems"' in made.stdout + made.stderr
