"""State a theorem once; break it, say how tight it is, certify it, and put it into your paper.

Names are imported when they are first used, so that ``import twolayer`` takes milliseconds.
"""

from pathlib import Path

import lazy_loader

__version__ = "0.1.0"

for _floor in ("theory", "sims", "figures"):
    if not (Path(__file__).parent / _floor).is_dir():
        # An archive, or a system without links, has a text file in its place.
        raise ImportError(
            f"twolayer/{_floor} must be a link to the folder {_floor}; this checkout lacks it: "
            "check it out with symbolic links, or install a wheel, which holds plain folders."
        )

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
