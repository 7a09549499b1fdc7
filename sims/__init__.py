"""Simulations: pure functions of a key and a config, and their results on disk."""

from twolayer.host import stems

__path__ = stems.extended(__path__, __name__)


class UnsupportedSystem(ImportError):
    """This system lacks what storing results needs; the message says what."""


def check_system() -> None:
    """See that results can be stored on this system."""
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise UnsupportedSystem(
            "twolayer needs Linux or macOS to store results: this Python cannot lock files, for "
            "fcntl is missing; on Windows use the Windows Subsystem for Linux."
        ) from error
