"""What can happen to files: each kind of damage changes at least one byte of what it is given."""

import dataclasses
import random
from collections.abc import Callable


def truncated(draw, payload):
    return payload[: draw.randrange(len(payload))]


def flipped(draw, payload):
    """One bit."""
    place = draw.randrange(8 * len(payload))
    changed = bytearray(payload)
    changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)


def zeroed(draw, payload):
    """A block, as of a disk's sector that was never written."""
    start = draw.randrange(len(payload))
    size = min(draw.choice([1, 16, 512, 4096]), len(payload) - start)
    return payload[:start] + bytes(size) + payload[start + size :]


def emptied(draw, payload):
    return b""


def extended(draw, payload):
    return payload + draw.randbytes(draw.choice([1, 7, 512]))


def repeated(draw, payload):
    """Some bytes come twice."""
    start = draw.randrange(len(payload))
    stop = min(len(payload), start + draw.choice([1, 16, 512]))
    return payload[:stop] + payload[start:]


KINDS = (truncated, flipped, zeroed, emptied, extended, repeated)


@dataclasses.dataclass(frozen=True)
class Damage:
    """The kind, and the new bytes of one file or two."""

    kind: str
    files: dict[str, bytes]


def random_damage(draw: random.Random, files: dict[str, bytes]) -> Damage:
    """Of one of the files, or of two of a kind whose contents are exchanged."""
    while True:
        kind: Callable | None = draw.choice([*KINDS, None])
        name = draw.choice(sorted(files))
        if kind is None:
            other = draw.choice([each for each in files if each[-4:] == name[-4:]])
            found = Damage("exchanged", {name: files[other], other: files[name]})
        else:
            found = Damage(kind.__name__, {name: kind(draw, files[name])})
        if all(files[name] != payload for name, payload in found.files.items()):
            return found
