"""State a theorem once; break it, say how tight it is, certify it, and put it into your paper.

Names are imported when they are first used, so that ``import twolayer`` takes milliseconds.
"""

from pathlib import Path

__version__ = "0.1.0"


def _check_links() -> None:
    """Where links were checked out as text files, name the way that works."""
    for floor in ("theory", "sims", "figures"):
        if not (Path(__file__).parent / floor).is_dir():
            raise ImportError(
                f"twolayer/{floor} must be a link to the folder {floor}; this checkout lacks it: "
                "install the wheel instead, which holds plain folders: pip install twolayer."
            )


_check_links()
