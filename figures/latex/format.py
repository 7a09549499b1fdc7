"""Numbers and words as LaTeX has them."""

from __future__ import annotations

import math
import re

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    "*": r"\ensuremath{*}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "→": r"\ensuremath{\to}",
    "∞": r"\ensuremath{\infty}",
    "²": r"\ensuremath{^2}",
    "ȳ": r"\ensuremath{\bar y}",
    "Φ": r"\ensuremath{\Phi}",
    **{
        letter: rf"\ensuremath{{\{name}}}"
        for letter, name in zip(
            "αβγδεηθκλμνπρστφω",
            "alpha beta gamma delta varepsilon eta theta kappa lambda mu nu pi rho sigma tau phi "
            "omega".split(),
            strict=True,
        )
    },
}


def slug(name: str) -> str:
    """A name as a key of small letters, digits and hyphens; signs of numbers stay known."""
    text = re.sub(r"(?<!\w)[-−](?=[\d.])", "minus ", name.lower()).replace("e+", "e plus ")
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def text(words: object) -> str:
    """Words with LaTeX's special characters escaped, ``<=`` and ``>=`` as signs."""
    plain = str(words).replace("<=", "≤").replace(">=", "≥")
    return "".join(_SPECIAL.get(character, character) for character in plain)


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits; a dash for none or NaN.

    Whole numbers below a million are written out.
    """
    if value is None or math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"\ensuremath{\infty}" if value > 0 else r"\ensuremath{-\infty}"
    if value == int(value) and abs(value) < 1e6:
        return rf"\ensuremath{{{int(value)}}}"
    if 1e-3 <= abs(value) < 1e6:
        # With the zeros that were measured.
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return rf"\ensuremath{{{value:.{decimals}f}}}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    factor = "" if mantissa in ("1", "-1") else rf"{mantissa}\times "
    sign = "-" if mantissa == "-1" else ""
    return rf"\ensuremath{{{sign}{factor}10^{{{int(exponent)}}}}}"
