"""``python -m twolayer`` is the command ``twolayer``."""

from twolayer.cli.main import run

if __name__ == "__main__":
    run()
