"""Files of images: the idx format of MNIST, and archives of numpy.

Whatever is wrong with a file is one ``ValueError`` of one line that names the file.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def find(name: str, folder: Path) -> list[Path]:
    """The files of a set that are in a folder: one ``.npz``, or up to four idx files.

    Those of idx may be compressed, and have a dot before ``idx`` in their names.
    """
    npz = folder / f"{name}.npz"
    if os.path.isfile(npz):
        return [npz]
    found = []
    for file in IDX_FILES:
        spellings = (file + ending for file in (file, _dotted(file)) for ending in ("", ".gz"))
        there = [folder / each for each in spellings if os.path.isfile(folder / each)]
        found += there[:1]
    return found


def read(name: str, paths: Sequence[Path]) -> list[np.ndarray]:
    """Images and labels for training, images and labels of the test, of the files of :func:`find`.

    Returns:
      Pixels as float32 in [0, 1], shape ``(n, ...)``, and int64 labels, shape ``(n,)``, twice.

    Raises:
      ValueError: for a file that is missing, damaged or not what its name says, and for arrays
        that are no images and labels, or not as many.
    """
    if paths[0].suffix == ".npz":
        files, arrays = [paths[0]] * 4, _read_npz(paths[0])
    else:
        by_name = {path.name.removesuffix(".gz"): path for path in paths}
        places = [by_name.get(file, by_name.get(_dotted(file))) for file in IDX_FILES]
        if missing := [file for file, path in zip(IDX_FILES, places, strict=True) if path is None]:
            raise ValueError(
                f"data {name!r} in {paths[0].parent} lacks {', '.join(missing)} (or .gz)."
            )
        files = [path for path in places if path is not None]
        arrays = [_read_idx(path) for path in files]
    for i in (0, 2):
        arrays[i], arrays[i + 1] = (
            _pixels(arrays[i], files[i]),
            _labels(arrays[i + 1], files[i + 1]),
        )
        if len(arrays[i]) != len(arrays[i + 1]):
            raise ValueError(
                f"{files[i + 1]} has {len(arrays[i + 1])} labels for the {len(arrays[i])} images "
                f"of {files[i].name}."
            )
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise ValueError(
            f"{files[2]} has images of shape {arrays[2].shape[1:]}, "
            f"but {files[0].name} of shape {arrays[0].shape[1:]}."
        )
    return arrays


def _dotted(file: str) -> str:
    """The other spelling, as in ``train-images.idx3-ubyte``."""
    return file.replace("-idx", ".idx")


def _pixels(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim < 2 or images.size == 0:
        raise ValueError(f"{path} must hold images (n, ...); got shape {images.shape}.")
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    if images.dtype.kind == "f" and np.all((images >= 0) & (images <= 1)):
        return images.astype(np.float32)
    raise ValueError(
        f"{path} must hold pixels as uint8, or as floats in [0, 1]; got {images.dtype}"
        + (" outside of them." if images.dtype.kind == "f" else ".")
    )


def _labels(labels: np.ndarray, path: Path) -> np.ndarray:
    if labels.shape[1:] not in ((), (1,)) or labels.ndim == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{path} must hold a vector of integer labels; "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{path} must hold labels that int64 can; got {labels.max()}.")
    return labels.reshape(-1).astype(np.int64)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    # Of bytes that are something else, readers may make nearly any error: numpy, zipfile and zlib
    # have a dozen kinds, and a header may ask for more memory than there is.
    try:
        yield
    except Exception as error:
        told = " ".join(f"{error or type(error).__name__}".split())
        raise ValueError(f"{path} cannot be read: {told.removesuffix('.')}.") from error


def _read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes: 0, 0, type, number of axes, big-endian lengths, entries."""
    with _naming(path):
        payload = path.read_bytes()
        if path.suffix == ".gz":
            payload = gzip.decompress(payload)
    if len(payload) < 4 or payload[:3] != b"\x00\x00\x08" or payload[3] not in range(1, 5):
        raise ValueError(f"{path} is not an idx file of bytes: it starts with {payload[:4]!r}.")
    start = 4 + 4 * payload[3]
    if len(payload) < start:
        raise ValueError(f"{path} must have a header of {start} bytes; got {len(payload)}.")
    shape = struct.unpack(f">{payload[3]}I", payload[4:start])
    wanted = start + math.prod(shape)
    if len(payload) != wanted:
        raise ValueError(f"{path} must have {wanted} bytes, by its header; got {len(payload)}.")
    return np.frombuffer(payload, np.uint8, offset=start).reshape(shape)


def _read_npz(path: Path) -> list[np.ndarray]:
    with _naming(path):
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive, as numpy.savez writes them")
        with np.load(path, allow_pickle=False) as archive:
            held = archive.files
            arrays = [archive[name] for name in NPZ_ARRAYS if name in held]
    if missing := [name for name in NPZ_ARRAYS if name not in held]:
        raise ValueError(
            f"{path} must hold {', '.join(NPZ_ARRAYS)}; it lacks {', '.join(missing)}."
        )
    for name, array in zip(NPZ_ARRAYS, arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path} must hold arrays of numpy; {name} in it is none.")
    return arrays
