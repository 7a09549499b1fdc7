import gzip
import importlib.util
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.sims.components import data

shifted_gauss = jax.jit(data.shifted_gauss, static_argnums=(1, 2, 4))


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TWOLAYER_DATA", raising=False)


# Synthetic data.


def test_shifted_gauss_has_its_moments():
    n, d, mu = 4000, 50, 0.3
    x, y = shifted_gauss(jax.random.key(0), n, d, mu)
    assert x.shape == (n, d) and x.dtype == y.dtype == jnp.float32
    assert y.tolist() == [1] * (n // 2) + [-1] * (n // 2)
    centred = np.asarray(x, float) - mu * np.asarray(y, float)[:, None]
    # Five standard errors of means of nd, and for one class nd/2, numbers; of squares, sqrt(2).
    for part in (centred, centred[: n // 2], centred[n // 2 :]):
        assert abs(part.mean()) < 5 / np.sqrt(part.size)
    assert abs((centred**2).mean() - 1) < 5 * np.sqrt(2 / centred.size)
    covariance = centred.T @ centred / n
    assert np.abs(covariance - np.eye(d)).max() < 6 * np.sqrt(2 / n)


def test_shifted_gauss_takes_a_traced_shift_and_a_dtype():
    x0, _ = shifted_gauss(jax.random.key(1), 6, 2, 0.0, jnp.float64)
    x, y = shifted_gauss(jax.random.key(1), 6, 2, 1.5, jnp.float64)
    assert x.dtype == jnp.float64
    np.testing.assert_allclose(x - x0, np.repeat(1.5 * np.asarray(y)[:, None], 2, axis=1))


def test_gauss_has_labels_that_are_uniform_and_independent():
    n, d = 4000, 50
    x, y = jax.jit(data.gauss, static_argnums=(1, 2))(jax.random.key(2), n, d)
    assert x.shape == (n, d) and y.shape == (n,) and x.dtype == y.dtype == jnp.float32
    assert set(np.unique(y)) == {-1, 1}
    assert abs(float(y.mean())) < 5 / np.sqrt(n)
    assert np.abs(np.asarray(x * y[:, None]).mean(axis=0)).max() < 5 / np.sqrt(n)
    assert abs(float((x**2).mean()) - 1) < 5 * np.sqrt(2 / x.size)


def test_synthetic_arguments_are_checked(rejects):
    key = jax.random.key(0)
    with rejects("n must be even, for classes of one size; got 5"):
        data.shifted_gauss(key, 5, 2)
    with rejects("n must be at least 2; got 0"):
        data.shifted_gauss(key, 0, 2)
    with rejects("d must be at least 1; got 0"):
        data.gauss(key, 5, 0)
    with rejects("n must be an integer; got 2.5"):
        data.gauss(key, 2.5, 1)


# Files that the tests write.


def idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny():
    draw = np.random.default_rng(0)
    return (
        draw.integers(0, 256, (5, 3, 2), dtype=np.uint8),
        np.array([0, 1, 2, 1, 0], np.uint8),
        draw.integers(0, 256, (4, 3, 2), dtype=np.uint8),
        np.array([2, 1, 0, 0], np.uint8),
    )


def write_idx(folder, arrays=None, ending=""):
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in zip(data.IDX_FILES, arrays or tiny(), strict=True):
        payload = idx(array)
        (folder / f"{file}{ending}").write_bytes(gzip.compress(payload) if ending else payload)
    return folder


def write_npz(folder, name="own", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = dict(zip(data.NPZ_ARRAYS, tiny(), strict=True))
    np.savez(folder / f"{name}.npz", **{**arrays, **changes})
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "mnist"])
def test_idx_files_by_path_or_variable(tmp_path, monkeypatch, ending, below):
    write_idx(tmp_path / below, ending=ending)
    images = data.load_images("mnist", tmp_path)
    train_x, train_y, test_x, test_y = tiny()
    assert images.shape == (3, 2) and images.train_x.dtype == np.float32
    np.testing.assert_allclose(images.train_x, train_x.reshape(5, 6) / 255.0, rtol=1e-7)
    np.testing.assert_allclose(images.test_x, test_x.reshape(4, 6) / 255.0, rtol=1e-7)
    assert images.train_y.tolist() == train_y.tolist() and images.train_y.dtype == np.int64
    assert images.test_y.tolist() == test_y.tolist()
    assert not images.train_x.flags.writeable
    monkeypatch.setenv("TWOLAYER_DATA", str(tmp_path))
    assert data.load_images("mnist") is images


def test_checksum_is_of_the_content(tmp_path):
    first = data.load_images("own", write_idx(tmp_path / "a"))
    assert data.load_images("own", write_npz(tmp_path / "b")).checksum == first.checksum
    arrays = list(tiny())
    arrays[3] = arrays[3][::-1]
    changed = data.load_images("own", write_idx(tmp_path / "c", arrays))
    assert changed.checksum != first.checksum


def test_npz_files_may_hold_floats(tmp_path):
    draw = np.random.default_rng(1)
    x = draw.uniform(size=(5, 2, 2, 3))
    images = data.load_images("own", write_npz(tmp_path, x_train=x, x_test=x[:4]))
    assert images.shape == (2, 2, 3)
    np.testing.assert_allclose(images.train_x, x.reshape(5, 12), rtol=1e-6)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "own"])
def test_missing_data_says_what_to_do(tmp_path, monkeypatch, rejects, name):
    monkeypatch.setattr(data, "FASHION_FOLDER", tmp_path / "not installed")
    with rejects(f"data '{name}' not found"):
        data.load_images(name)
    with pytest.raises(ValueError) as error:
        data.load_images(name, tmp_path)
    assert str(tmp_path) in str(error.value) and "TWOLAYER_DATA" in str(error.value)
    assert ("dataset-fashion-mnist" in str(error.value)) == (name == "fashion-mnist")


def test_an_incomplete_folder_says_what_it_lacks(tmp_path, rejects):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with rejects("lacks t10k-labels-idx1-ubyte (or .gz)"):
        data.load_images("mnist", tmp_path)


def test_replaced_files_are_loaded_anew(tmp_path):
    first = data.load_images("mnist", write_idx(tmp_path))
    arrays = list(tiny())
    arrays[0] = 255 - arrays[0]
    again = data.load_images("mnist", write_idx(tmp_path, arrays))
    np.testing.assert_allclose(again.train_x, 1 - first.train_x, atol=1e-6)


def test_another_set_is_not_taken_for_fashion_mnist(tmp_path, rejects):
    with rejects("are not those of fashion-mnist, going by their checksum"):
        data.load_images("fashion-mnist", write_idx(tmp_path))


# Sets that may be installed.


def test_digits():
    pytest.importorskip("sklearn", reason="scikit-learn, which has the digits, is not installed")
    images = data.load_images("digits")
    assert images.shape == (8, 8)
    assert images.train_x.shape == (1348, 64) and images.test_x.shape == (449, 64)
    assert images.train_x.min() == 0 and images.train_x.max() == 1
    # The first sample is a zero, with these grey levels of 16 in its second row.
    assert images.train_y[:3].tolist() == [0, 1, 2] and images.test_y[0] == 3
    assert (images.train_x[0, 8:16] * 16).tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    expected = "d692ccc79a2c01797fb648d45b1eafdeef91adb9ec7db4690143e07395e9d5c4"
    assert images.checksum == expected


def test_fashion_mnist():
    if not data.FASHION_FOLDER.is_dir():
        pytest.skip(f"Debian's dataset-fashion-mnist is not installed in {data.FASHION_FOLDER}")
    images = data.load_images("fashion-mnist")
    assert images.train_x.shape == (60000, 784) and images.test_x.shape == (10000, 784)
    assert images.shape == (28, 28) and images.checksum == data.FASHION_CHECKSUM
    assert np.bincount(images.train_y).tolist() == [6000] * 10
    assert np.bincount(images.test_y).tolist() == [1000] * 10
    assert images.train_y[0] == 9  # an ankle boot
    # The published mean of the training pixels.
    assert images.train_x.mean(dtype=float) == pytest.approx(0.2860, abs=5e-5)
    train_x, train_y, _, test_y = data.binary_task(images, 0, 9, 0.2860)
    assert train_x.shape == (12000, 784) and test_y.shape == (2000,)
    assert train_y.sum() == 0


def test_fashion_mnist_is_not_taken_for_mnist(rejects):
    if not data.FASHION_FOLDER.is_dir():
        pytest.skip(f"Debian's dataset-fashion-mnist is not installed in {data.FASHION_FOLDER}")
    with rejects("are not those of mnist, going by their checksum"):
        data.load_images("mnist", data.FASHION_FOLDER)


# Two classes of them.


def test_binary_task(tmp_path):
    images = data.load_images("own", write_idx(tmp_path))
    train_x, train_y, test_x, test_y = data.binary_task(images, 1, 0, 0.25)
    assert train_y.tolist() == [-1, 1, 1, -1] and test_y.tolist() == [1, -1, -1]
    np.testing.assert_allclose(train_x, images.train_x[[0, 1, 3, 4]] - 0.25)
    np.testing.assert_allclose(test_x, images.test_x[[1, 2, 3]] - 0.25)
    assert {a.dtype for a in (train_x, train_y, test_x, test_y)} == {np.dtype(np.float32)}


def test_binary_task_checks_its_classes(tmp_path, rejects):
    images = data.load_images("own", write_idx(tmp_path))
    with rejects("positive and negative must be different classes; got 1 twice"):
        data.binary_task(images, 1, 1, 0.0)
    with rejects("negative must be a class of the training images, one of [0, 1, 2]; got 7"):
        data.binary_task(images, 1, 7, 0.0)
    with rejects("centre must be in (-inf, inf); got nan"):
        data.binary_task(images, 1, 0, float("nan"))
    arrays = list(tiny())
    arrays[3] = np.array([2, 2, 0, 0])
    images = data.load_images("own", write_idx(tmp_path / "b", arrays))
    with rejects("positive must be a class of the test images, one of [0, 2]; got 1"):
        data.binary_task(images, 1, 0, 0.0)


def test_scikit_learn_is_not_needed_for_files(tmp_path, monkeypatch):
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed anyway")
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    assert data.load_images("own", write_npz(tmp_path)).shape == (3, 2)
