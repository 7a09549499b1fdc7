"""The report page: valid, complete, escaped, and on its own."""

import base64
import dataclasses
import html.parser
import json
import re
import shutil

import pytest

from twolayer.figures import draw_all
from twolayer.figures.report import build
from twolayer.host import checkout
from twolayer.sims.engine import plan, registry
from twolayer.sims.engine.claims import Claim

VOID = {"meta", "img", "br"}
VERDICT = {
    "name": "wide.width",
    "source": "[derived] <W>",
    "statement": "|K_m - K| <= radius & more",
    "status": "HELD",
    "instances": 10,
    "vacuous": 0,
    "violations": 0,
    "allowed": 2,
    "worst_slack": 0.25,
    "tightness": None,
    "controls": {"no bias": 0.5, "one & two": 1.0},
    "missed": ["no bias"],
    "seed": 0,
    "code": "of another day",
}
ATTACK = {
    "name": "wide.width",
    "source": "[derived] <W>",
    "statement": "|K_m - K| <= radius & more",
    "status": "none",
    "falsified": False,
    "restarts": 32,
    "steps": 640,
    "slack": 0.1,
    "closest": 0.875,
    "seed": 0,
    "code": "of another day",
}
SPEED = {
    "name": "decision map",
    "what": "400 x 400 points",
    "reference_seconds": 20.0,
    "seconds": 0.5,
    "ratio": 40.0,
    "required_ratio": 30.0,
    "met": True,
    "not_judged": "",
    "note": "scaled",
}
CLAIMS = [
    Claim("close <script>", "[derived] B4", 1.0, 1.01, tolerance=0.05, note="a & b"),
    Claim("too low", "[measured]", 0.9, 0.5, kind="at_least"),
    Claim("one seed", "[fig]", 0.99, 0.7, kind="context"),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Results, folder of figures and what was drawn."""
    results, out = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("out")
    plan.run("perturbation.wide", "smoke", results, progress=False)
    return results, out, draw_all(("perturbation.wide",), "smoke", results, out)


@pytest.fixture
def page(drawn, tmp_path, monkeypatch):
    """The page of three claims and one theorem, and the figures it is about."""
    results, out, stems = drawn
    experiment = dataclasses.replace(registry.get("perturbation.wide"), claims=lambda _: CLAIMS)
    monkeypatch.setattr(registry, "get", lambda stem: experiment)
    (tmp_path / "theorems.json").write_text(json.dumps([VERDICT]))
    (tmp_path / "attacks.json").write_text(json.dumps([ATTACK]))
    bench = {"machine": {}, "code": checkout.source_digest("theory", "sims"), "rows": [SPEED]}
    (tmp_path / "bench.json").write_text(json.dumps(bench))
    path = build.write(stems, tmp_path, out)
    assert path == out / "report.html"
    return path.read_text(), stems


class Balanced(html.parser.HTMLParser):
    """Sees that every element is closed by its own end tag."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(text):
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return parser


def test_the_page_is_valid_and_needs_no_network(page):
    text, _ = page
    parser = parse(text)
    assert not {"link", "iframe", "object", "embed"} & set(parser.tags)
    assert parser.tags.count("script") == 1 and "<script>" in text
    assert not re.search(r"https?:|//\w", re.sub(r"base64,[^\"]*", "", text))
    assert ("name", "viewport") in parser.attributes
    assert "@media print" in text


def test_every_figure_is_embedded_with_caption_and_link(page, drawn):
    text, stems = page
    _, out, _ = drawn
    figures = [figure for figure in stems[0].figures if figure.png]
    assert len(figures) == text.count("<figure>") > 5
    for figure in figures:
        assert base64.b64encode(figure.png.read_bytes()).decode() in text
        assert html.escape(figure.caption) in text
        link = re.search(rf'href="([^"]*/{figure.name}\.pdf)"', text)[1]
        assert (out / link).is_file()
    for figure in stems[0].figures:
        if not figure.png:
            assert f"{figure.name}: {figure.left_out}" in text


def test_claims_and_verdicts(page):
    text, _ = page
    rows = [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", text)
    ]
    assert ["held", "close &lt;script&gt;", "1 ± 0.05", "1.01", "[derived] B4", "a &amp; b"] in rows
    assert ["not held", "too low", "≥ 0.9", "0.5", "[measured]", ""] in rows
    assert ["context", "one seed", "0.99", "0.7", "[fig]", ""] in rows
    assert rows[1][3:] == ["1", "1", "1", "8 of 15"]
    (theorem,) = (row for row in rows if row[:1] == ["HELD"])
    assert theorem[1].startswith("wide.width [derived] &lt;W&gt;|K_m - K| &lt;= radius &amp; more")
    assert theorem[1].endswith("Caught: no bias (50 %), one &amp; two (100 %).")
    attack = "none found640 stepsclosest 0.875"
    assert theorem[2:] == ["10", "0", "0 of 2", "0.25", "–", "1 of 2", attack]
    speed = ["held", "decision map400 x 400 points", "20", "0.5", "40", "30", "scaled"]
    assert speed in rows
    assert "other code than is here now: theorems.json and attacks.json" in text
    assert '<span class="bad">not held</span>' in text


def test_provenance(page):
    text, stems = page
    sidecar = stems[0].results["sweep", "shifted-a/base"].sidecars[0]
    for words in (f"jax {sidecar['versions']['jax']}", "30 of 14 configs, 1 to 5 seeds", "smoke"):
        assert words in text
    assert "synthetic only" in text


def test_the_same_results_give_the_same_page(drawn):
    results, out, stems = drawn
    first = build.write(stems, results, out).read_bytes()
    assert build.write(stems, results, out).read_bytes() == first
    parse(first.decode())


@pytest.mark.parametrize("text, words", [("{", "must hold JSON"), ('[{"name": 1}]', "--json")])
def test_a_wrong_file_of_verdicts_is_named(drawn, tmp_path, rejects, text, words):
    (tmp_path / "theorems.json").write_text(text)
    with rejects(words):
        build.write(drawn[2], tmp_path, drawn[1])


@pytest.fixture(scope="module")
def browser():
    """A headless browser; the tests that need one say so where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser is installed")
    with playwright.sync_playwright() as engine:
        # Containers often run as root, where the browser's own sandbox refuses to start.
        try:
            started = engine.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"{program} does not start here: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.mark.parametrize("width", [390, 1100])
def test_a_browser_shows_the_page(browser, page, drawn, width):
    _, out, stems = drawn
    tab = browser.new_page(viewport={"width": width, "height": 800})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((out / build.NAME).resolve().as_uri())
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [tab.url]
    shown = "[...document.images].map(each => each.complete && each.naturalWidth > 0)"
    assert tab.evaluate(shown) == [True] * sum(bool(each.png) for each in stems[0].figures)
    # Wide tables scroll by themselves; the page does not.
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert len(tab.pdf()) > 10_000
    tab.close()


def test_tables_sort_by_the_column_that_is_clicked(browser, page, drawn):
    _, out, _ = drawn
    tab = browser.new_page()
    tab.goto((out / build.NAME).resolve().as_uri())
    table = tab.locator("table", has_text="close <script>")

    def column(index):
        return [cell.strip() for cell in table.locator(f"td:nth-child({index})").all_inner_texts()]

    assert column(4) == ["1.01", "0.5", "0.7"]
    table.locator("th", has_text="measured").click()
    assert column(4) == ["0.5", "0.7", "1.01"]
    table.locator("th", has_text="measured").click()
    assert column(4) == ["1.01", "0.7", "0.5"]
    table.locator("th", has_text="claim").press("Enter")
    assert column(2) == ["close <script>", "one seed", "too low"]
    tab.close()
