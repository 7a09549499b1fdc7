"""The HTML of the report: one page that needs nothing else, reads on a phone and prints."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

_COLORS = {"held": "good", "HELD": "good", "not held": "bad", "context": "plain"}
_COLORS |= {"not judged": "plain", "none found": "good"}
_CSS = """
body { font-family: system-ui, sans-serif; line-height: 1.45; color: #1b1b1b; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
figure { margin: 1.5rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
figcaption, small, .note { color: #444; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  overflow-wrap: break-word; min-width: 3.5rem; }
th { cursor: pointer; overflow-wrap: normal; vertical-align: bottom; }
th[aria-sort=ascending]::after { content: " ▲"; }
th[aria-sort=descending]::after { content: " ▼"; }
td:nth-child(2) { min-width: 9rem; }
td small { display: block; }
tr { break-inside: avoid; }
.good { color: #00664b; font-weight: 600; }
.bad { color: #b3261e; font-weight: 600; }
.plain { color: #595959; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; } }
"""
# A click on a column's head sorts by it, upwards and then downwards; numbers as numbers.
_SORT = """
for (const head of document.querySelectorAll("th")) {
  const sort = () => {
    const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].textContent.trim();
    const number = text => parseFloat(text.replace(/^[≥≤ ]+/, "").replace("−", "-"));
    const compare = (a, b) => {
      const x = number(a), y = number(b);
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
      return isNaN(x) ? a.localeCompare(b) : x - y;
    };
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)));
    body.append(...(up ? rows : rows.reverse()));
  };
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
"""


def render(title: str, body: Iterable[str]) -> str:
    """The whole page around blocks that are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{_SORT}</script>\n</body>\n</html>\n"
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{text(each)}</th>" for each in heads)
    lines = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table></div>"
    )


def verdict(words: str) -> str:
    """A verdict in its colour, which the words say too."""
    return f'<span class="{_COLORS.get(words, "bad")}">{text(words)}</span>'


def text(value: Any) -> str:
    """Words with HTML's special characters escaped."""
    return html.escape(str(value))
