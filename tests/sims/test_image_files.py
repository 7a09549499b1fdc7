"""Files of images: damaged ones, ones that are something else, and other spellings."""

import zipfile

import numpy as np
import pytest

from tests.sims.test_data import idx, tiny, write_idx, write_npz
from twolayer.sims.components import data


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("file", data.IDX_FILES)
@pytest.mark.parametrize("kept", [0, 3, 6, -1])
def test_truncated_idx_files_are_named(tmp_path, ending, file, kept):
    path = write_idx(tmp_path, ending=ending) / f"{file}{ending}"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=path.name):
        data.load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b"\x01" + b[1:], "is not an idx file of bytes"),
        (lambda b: b[:2] + b"\x0d" + b[3:], "is not an idx file of bytes"),
        (lambda b: b + b"\x00", "must have 46 bytes, by its header; got 47"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "must have 7922816"),
        (lambda b: b[:3] + b"\xff" + b[4:], "is not an idx file of bytes"),
        (lambda b: idx(np.zeros(30)), "must hold images (n, ...); got shape (30,)"),
        (lambda b: idx(np.zeros((0, 3, 2))), "must hold images (n, ...); got shape (0, 3, 2)"),
        (lambda b: idx(np.zeros((4, 3, 2))), "has 5 labels for the 4 images of train-images"),
        (lambda b: idx(np.zeros((5, 2, 3))), "has images of shape (3, 2), but"),
    ],
)
def test_wrong_idx_files_are_named(tmp_path, rejects, damage, words):
    path = write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with rejects(words):
        data.load_images("mnist", tmp_path)


def test_a_flipped_bit_in_a_compressed_file_is_noticed(tmp_path):
    path = write_idx(tmp_path, ending=".gz") / "train-images-idx3-ubyte.gz"
    intact = path.read_bytes()
    expected = data.load_images("mnist", tmp_path)
    noticed = 0
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            assert data.load_images("mnist", tmp_path).checksum == expected.checksum, position
        except ValueError as error:
            assert path.name in str(error)
            noticed += 1
    # What goes unnoticed changes nothing: gzip's header has a time, and padding ends the stream.
    assert noticed >= len(intact) - 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.full((5, 3, 2), 1.5)}, "pixels as uint8, or as floats in [0, 1]; got"),
        ({"x_train": np.full((5, 3, 2), np.nan)}, "got float64 outside of them"),
        ({"x_train": np.ones((5, 3, 2), np.int64)}, "floats in [0, 1]; got int64."),
        ({"y_train": np.ones((5, 2), int)}, "must hold a vector of integer labels; got int64 of"),
        ({"y_train": np.array(3)}, "must hold a vector of integer labels; got int64 of shape ()"),
        (
            {"y_test": np.full(4, 2**63, np.uint64)},
            "own.npz must hold labels that int64 can; got 9",
        ),
        ({"y_train": np.ones(5)}, "must hold a vector of integer labels; got float64"),
        ({"y_test": np.ones(3, int)}, "has 3 labels for the 4 images"),
        ({"x_test": np.array([{}] * 4)}, "cannot be read"),
    ],
)
def test_wrong_npz_files_are_named(tmp_path, rejects, changes, words):
    write_npz(tmp_path, **changes)
    with rejects(words):
        data.load_images("own", tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"not a zip file"])
def test_unreadable_npz_files_are_named(tmp_path, rejects, content):
    (tmp_path / "own.npz").write_bytes(content)
    with rejects("own.npz cannot be read"):
        data.load_images("own", tmp_path)
    np.savez(tmp_path / "own.npz", x_train=np.ones(2))
    with rejects("own.npz must hold x_train, y_train, x_test, y_test"):
        data.load_images("own", tmp_path)


def raw_members(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in zip(data.NPZ_ARRAYS, tiny(), strict=True):
            archive.writestr(name, array.tobytes())


def larger_than_memory(path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 1000000), }".ljust(
        117
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00\x76\x00" + header + b"\n")


def encrypted(path):
    write_npz(path.parent)
    raw = bytearray(path.read_bytes())
    # The bit that says so, of every member and of its entry in the list at the end.
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = raw.find(mark)
        while place >= 0:
            raw[place + at] |= 1
            place = raw.find(mark, place + 4)
    path.write_bytes(raw)


def of_another_compression(path):
    write_npz(path.parent)
    raw = bytearray(path.read_bytes())
    place = raw.find(b"PK\1\2")
    raw[place + 10] = 99
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "cannot be read: it is no archive"),
        (encrypted, "cannot be read: File 'x_train.npy' is encrypted"),
        (of_another_compression, "cannot be read: That compression method is not supported"),
        (raw_members, "must hold arrays of numpy; x_train in it is none."),
        (larger_than_memory, "cannot be read: Unable to allocate"),
    ],
)
def test_archives_that_are_not_what_they_say_are_named(tmp_path, write, words):
    write(tmp_path / "own.npz")
    with pytest.raises(ValueError) as error:
        data.load_images("own", tmp_path)
    told = str(error.value)
    assert told.startswith(f"{tmp_path / 'own.npz'} ") and words in told and "\n" not in told


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_with_a_dot_and_links_to_other_names(tmp_path, ending):
    expected = data.load_images("mnist", write_idx(tmp_path / "plain", ending=ending))
    for file in data.IDX_FILES:
        path = tmp_path / "plain" / f"{file}{ending}"
        (tmp_path / "dotted").mkdir(exist_ok=True)
        path.rename(tmp_path / "dotted" / path.name.replace("-idx", ".idx"))
    dotted = data.load_images("mnist", tmp_path / "dotted")
    assert dotted.checksum == expected.checksum
    # As stores do that name files by their content.
    (tmp_path / "linked").mkdir()
    for place, path in enumerate(sorted((tmp_path / "dotted").iterdir())):
        (tmp_path / "linked" / path.name).symlink_to(path.rename(tmp_path / f"content {place}"))
    assert data.load_images("mnist", tmp_path / "linked").checksum == expected.checksum


def test_labels_may_be_a_column(tmp_path):
    expected = data.load_images("own", write_npz(tmp_path / "a"))
    changes = {"y_train": tiny()[1][:, None].astype(">u8"), "y_test": tiny()[3][:, None]}
    found = data.load_images("own", write_npz(tmp_path / "b", **changes))
    assert found.checksum == expected.checksum and found.train_y.shape == (5,)
