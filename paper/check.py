"""What a log of LaTeX must not say: undefined or repeated references, boxes far too wide."""

import re
import sys
from pathlib import Path

WIDE = 5.0  # points


def complaints(log: str) -> list[str]:
    """Lines of a log that a reader of the paper would notice."""
    found = re.findall(r"^.*Warning: .*(?:undefined|multiply defined).*$", log, re.MULTILINE)
    for box, points in re.findall(
        r"^(Overfull \\hbox \(([\d.]+)pt too wide\).*)$", log, re.MULTILINE
    ):
        if float(points) > WIDE:
            found.append(box)
    return found


if __name__ == "__main__":
    lines = complaints(Path(sys.argv[1]).read_text(errors="replace"))
    print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
    sys.exit(bool(lines))
