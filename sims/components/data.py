"""Data sets: two synthetic distributions, and images from scikit-learn or from files.

Nothing is downloaded and nothing stands in for missing data: the error says what to install or
where to point. Files are in the idx format (http://yann.lecun.com/exdb/mnist, optionally gzipped)
or one ``<name>.npz`` with ``x_train, y_train, x_test, y_test``, see
:mod:`twolayer.sims.components.image_files`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from twolayer.sims.components import image_files, image_sets
from twolayer.sims.components.image_files import IDX_FILES, NPZ_ARRAYS
from twolayer.sims.components.image_sets import DATA_VARIABLE, MissingData
from twolayer.theory import precision, validation

# The folder of Debian's package dataset-fashion-mnist, and the checksum of its arrays.
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_CHECKSUM = "814790f7e963cb8e6ef269aed0385a65f9179672b3facc69052c6f580481bdb8"
CLASSES = 10


def shifted_gauss(
    key: Array, n: int, d: int, mu: float | Array = 0.3, dtype: DTypeLike = jnp.float32
) -> tuple[Array, Array]:
    """Two Gaussian classes: n/2 samples of N(+mu 1, I), y = +1, then n/2 of N(-mu 1, I), y = -1.

    Returns:
      x of shape ``(n, d)`` and y of shape ``(n,)``, both of the given dtype.

    Raises:
      ValueError: if n is odd, or n or d are not positive integers.

    Source: the wide-network paper's synthetic data, mu = 0.3 [code].
    """
    n, d = validation.integer("n", n, low=2), validation.integer("d", d)
    if n % 2:
        raise ValueError(f"n must be even, for classes of one size; got {n}.")
    validation.scalar("mu", mu)
    # Short floats are made of numbers that are drawn and shifted in float32.
    wide = precision.wider(dtype)
    y = jnp.repeat(jnp.array([1, -1], wide), n // 2)
    x = jax.random.normal(validation.key("key", key), (n, d), wide) + y[:, None] * jnp.asarray(
        mu, wide
    )
    return x.astype(dtype), y.astype(dtype)


def gauss(key: Array, n: int, d: int, dtype: DTypeLike = jnp.float32) -> tuple[Array, Array]:
    """Structureless data: x ~ N(0, I) of shape ``(n, d)``, y = +-1 uniform and independent of x."""
    n, d = validation.integer("n", n), validation.integer("d", d)
    key_x, key_y = jax.random.split(validation.key("key", key))
    x = jax.random.normal(key_x, (n, d), precision.wider(dtype)).astype(dtype)
    return x, jax.random.rademacher(key_y, (n,), dtype)


def train_test(x: Array, y: Array, n: int) -> tuple[Array, Array, Array]:
    """One draw as n training samples, their labels, and the other inputs.

    Training takes n/2 from either half of the rows, so that both sets hold both classes of
    :func:`shifted_gauss` in equal parts.

    Raises:
      ValueError: if n or the number of rows is odd, or n exceeds the number of rows.
    """
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            f"x and y must be of shapes (N, d) and (N,); got shapes {x.shape} and {y.shape}."
        )
    total, d = x.shape
    n = validation.integer("n", n, low=2)
    if n % 2 or total % 2 or n > total:
        raise ValueError(f"n must be even and at most the even number of rows {total}; got {n}.")
    halves, signs = x.reshape(2, total // 2, d), y.reshape(2, total // 2)
    train_x, test_x = halves[:, : n // 2], halves[:, n // 2 :]
    return train_x.reshape(n, d), signs[:, : n // 2].reshape(n), test_x.reshape(total - n, d)


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images as rows: ``train_x``, ``test_x`` are float32 in [0, 1], shape ``(n, prod(shape))``.

    ``train_y``, ``test_y`` are int64 classes; ``checksum`` is the SHA-256 of the four arrays.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    shape: tuple[int, ...]
    checksum: str
    source: str


def load_images(name: str, path: str | Path | None = None) -> Images:
    """A set of images by name, with read-only arrays; loaded once per process.

    Args:
      name: ``"digits"`` (8 x 8, embedded in scikit-learn, every fourth sample a test sample),
        ``"fashion-mnist"``, ``"mnist"``, or any name of a folder of your own.
      path: where the files are: the folder itself or the parent of a folder ``name``. Without it,
        the environment variable ``TWOLAYER_DATA`` in the same way; Fashion-MNIST is also found
        where Debian's package puts it.

    Raises:
      MissingData: if the data is not there, naming the places.
      ValueError: if the name is none of a file; if a file is damaged, naming it.
    """
    # A config's word must not lead out of the folder that the user has named.
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise ValueError(f"name of images must be of letters, digits, '_', '-', '.'; got {name!r}.")
    if name == "digits":
        image_sets.record(name, None)
        return _digits()
    given = path or os.environ.get(DATA_VARIABLE)
    folders = [Path(given) / name, Path(given)] if given else []
    if name == "fashion-mnist" and not path:
        folders.insert(1, FASHION_FOLDER)
    for folder in folders:
        if files := image_files.find(name, folder):
            image_sets.record(name, folder)
            stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files)
            return _from_files(name, tuple(path.absolute() for path in files), stamps)
    install = "install Debian's dataset-fashion-mnist, or " if name == "fashion-mnist" else ""
    looked = f"; looked in {', '.join(map(str, folders))}" if folders else ""
    raise MissingData(
        f"data {name!r} not found{looked}: {install}set --data, or the environment variable "
        f"TWOLAYER_DATA, to a folder with {name}.npz ({', '.join(NPZ_ARRAYS)}) or the idx files "
        f"{', '.join(IDX_FILES)} (or .gz), or to the parent of such a folder called {name}.",
        name,
    )


def load_ten_classes(name: str, *, num_train: int = 0, num_test: int = 0) -> Images:
    """:func:`load_images` of classes 0 to 9, for a study that takes a part of them.

    Raises:
      ValueError: as :func:`load_images`; for other classes, or fewer images than asked for.
    """
    loaded = load_images(name)
    for argument, wanted, there in (
        ("num_train", num_train, len(loaded.train_x)),
        ("num_test", num_test, len(loaded.test_x)),
    ):
        if wanted > there:
            raise ValueError(f"{argument} must be at most {there} for {name}; got {wanted}.")
    if not set(np.unique(loaded.train_y)) <= set(range(CLASSES)):
        raise ValueError(f"dataset must have classes 0 to {CLASSES - 1}; {name} has not.")
    return loaded


def binary_task(
    images: Images, positive: int, negative: int, centre: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two classes as +1 and -1, in the order of the images: ``train_x, train_y, test_x, test_y``.

    ``centre`` is subtracted from every pixel; everything is float32.

    Raises:
      ValueError: if the classes are the same, or one has no image in training or test set.
    """
    if positive == negative:
        raise ValueError(f"positive and negative must be different classes; got {positive} twice.")
    validation.number("centre", centre)
    result = []
    for split, x, y in (
        ("training", images.train_x, images.train_y),
        ("test", images.test_x, images.test_y),
    ):
        for argument, label in (("positive", positive), ("negative", negative)):
            if not np.any(y == label):
                raise ValueError(
                    f"{argument} must be a class of the {split} images, one of "
                    f"{np.unique(y).tolist()}; got {label!r}."
                )
        chosen = (y == positive) | (y == negative)
        signs = np.where(y[chosen] == positive, 1, -1).astype(np.float32)
        result += [x[chosen] - np.float32(centre), signs]
    return result[0], result[1], result[2], result[3]


@functools.cache
def _digits() -> Images:
    import sklearn
    from sklearn.datasets import load_digits

    data = load_digits()
    is_test = np.arange(len(data.target)) % 4 == 3
    x = data.images / 16
    return _images(
        (x[~is_test], data.target[~is_test], x[is_test], data.target[is_test]),
        source=f"digits of scikit-learn {sklearn.__version__}",
    )


# Two sets of the size of MNIST take half a gigabyte. The stamps notice files that were replaced.
@functools.lru_cache(maxsize=2)
def _from_files(name: str, paths: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> Images:
    folder = paths[0].parent
    loaded = _images(image_files.read(name, paths), source=f"{name} in {folder}")
    # The two sets have files of the same names and sizes, and are easily taken for each other.
    if name in ("mnist", "fashion-mnist") and (name == "mnist") == (
        loaded.checksum == FASHION_CHECKSUM
    ):
        raise ValueError(f"the files in {folder} are not those of {name}, going by their checksum.")
    return loaded


def _images(arrays: Sequence[np.ndarray], source: str) -> Images:
    train_x, train_y, test_x, test_y = arrays
    shape = train_x.shape[1:]
    flat = (
        train_x.reshape(len(train_x), -1).astype(np.float32),
        train_y.astype(np.int64),
        test_x.reshape(len(test_x), -1).astype(np.float32),
        test_y.astype(np.int64),
    )
    digest = hashlib.sha256()
    for array in flat:
        array.flags.writeable = False
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return Images(*flat, shape=shape, checksum=digest.hexdigest(), source=source)
