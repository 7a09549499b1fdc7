"""Style, saving, drawing all figures of a stem, and the command."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from twolayer.cli.main import main
from twolayer.figures import draw_all
from twolayer.figures.engine import registry, render, style
from twolayer.figures.perturbation.wide import captions as wide_figures
from twolayer.sims.engine import plan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    plan.run("perturbation.wide", "smoke", folder, progress=False)
    return folder


@style.styled()
def line():
    figure = style.figure(style.COLUMN, 2.0)
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 4, 9], label=r"$x^2$")
    axes.imshow([[0.0, 1.0], [1.0, 0.0]], extent=(1, 3, 1, 9), aspect="auto")
    axes.legend()
    return figure


@pytest.fixture
def two_figures(monkeypatch):
    """The stem has one figure that can be drawn and one whose cells are missing."""

    def absent(results):
        raise registry.Absent(f"scale {results.scale} has no cells of it")

    monkeypatch.setattr(wide_figures, "FIGURES", {"line": lambda results: line(), "gone": absent})
    monkeypatch.setattr(wide_figures, "CAPTIONS", {"line": "A line.", "gone": "Nothing."})


def test_same_figure_same_bytes(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        style.save(line(), tmp_path / folder, "line")
    for ending in ("pdf", "png"):
        first, second = (
            (tmp_path / folder / f"line.{ending}").read_bytes() for folder in ("first", "second")
        )
        assert first == second
        assert len(first) > 1000
    assert b"CreationDate" not in (tmp_path / "first" / "line.pdf").read_bytes()


def test_bytes_do_not_depend_on_the_users_settings(tmp_path):
    _, plain = style.save(line(), tmp_path, "plain")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.bbox": "tight"}):
        _, loud = style.save(line(), tmp_path, "loud")
    assert plain.read_bytes() == loud.read_bytes()


def test_the_users_settings_stay():
    before = dict(matplotlib.rcParams)
    line()
    assert dict(matplotlib.rcParams) == before


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    style.save(line(), tmp_path, "line")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        style.save(line(), tmp_path, "line")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_every_stem_has_figures_with_captions():
    assert registry.STEMS
    for stem in registry.STEMS:
        module = registry.get(stem)
        assert module.FIGURES
        assert list(module.FIGURES) == list(module.CAPTIONS)


def test_draw_all_says_what_is_left_out(smoke, tmp_path, two_figures):
    (stem,) = draw_all(["perturbation.wide"], "smoke", smoke, tmp_path)
    there, gone = stem.figures
    assert there.pdf == tmp_path / "perturbation.wide" / "line.pdf" and there.pdf.is_file()
    assert there.png.is_file()
    assert gone.pdf is None and gone.left_out == "scale smoke has no cells of it"
    lines = render.table([stem]).splitlines()
    assert lines[0].split() == ["figure", "files", "seconds"]
    assert "line.pdf" in lines[1] and "left out: scale smoke" in lines[2]


def test_figures_are_drawn_again_only_when_something_is_missing(smoke, tmp_path, two_figures):
    def draw():
        (stem,) = draw_all(["perturbation.wide"], "smoke", smoke, tmp_path)
        return stem.figures

    there, gone = draw()
    assert not there.kept
    again, still_gone = draw()
    assert again.kept and again.png == there.png and still_gone == gone
    there.png.unlink()
    assert not draw()[0].kept and there.png.is_file()
    whole = there.png.read_bytes()
    there.png.write_bytes(whole[:-1] + b"?")
    assert not draw()[0].kept and there.png.read_bytes() == whole
    (tmp_path / "perturbation.wide" / render.RECORD).write_text("{}")
    assert not draw()[0].kept


def test_the_command_draws(smoke, tmp_path, two_figures, capsys):
    main(
        [
            "draw",
            "perturbation.wide",
            "--scale",
            "smoke",
            "--results",
            str(smoke),
            "--out",
            str(tmp_path),
        ]
    )
    assert "perturbation.wide/line" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        (
            ["draw", "no.stem"],
            f"study must be one of {', '.join(registry.STEMS)}; got 'no.stem'",
        ),
        (["report", "no.stem"], "study must be one of"),
        (["draw", "--scale", "huge"], "scale must be one of smoke, default, paper; got 'huge'"),
        (["draw"], "make them with: twolayer run mixup.calibration"),
        (["draw", "--nonsense"], "Unrecognized options: --nonsense"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(options, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*options, "--results", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(smoke, tmp_path, rejects):
    (tmp_path / "file").write_text("")
    with rejects("out folder"):
        draw_all(("perturbation.wide",), "smoke", smoke, tmp_path / "file")


def test_help_does_not_import_what_is_slow():
    code = (
        "import sys; from twolayer.cli.main import main\n"
        "try: main(['draw', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'jax', 'matplotlib', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: twolayer draw" in done.stdout
