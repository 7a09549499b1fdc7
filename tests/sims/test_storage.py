import contextlib
import dataclasses
import hashlib
import io
import os
import shutil
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twolayer.host import atomic_io
from twolayer.sims.engine import provenance, storage
from twolayer.sims.engine.index import Index


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    gamma: float = 0.5
    rates: tuple[float, ...] = (1.0, 0.1)
    loss: str = "identity"
    balanced: bool = True
    width: int | None = None


ARRAYS = {
    "curve": np.linspace(0, 1, 5, dtype=np.float32),
    "count": np.array(3),
    "signs": np.array([[True, False]]),
    "none": np.zeros((0, 2)),
}


def identity(**changes):
    given = {"stem": "s", "study": "t", "version": 1, "config": Config(), "seed": 0, "data": None}
    return storage.identity(**{**given, **changes})


@pytest.fixture
def stored(tmp_path):
    """A folder with one cell, and the cell's name."""
    storage.write(tmp_path, identity(), ARRAYS, {"seconds": 1.5, "dims": {"curve": ("x",)}})
    return tmp_path, storage.cell_name(identity())


def assert_damaged(folder, name, file):
    with pytest.warns(UserWarning, match=f"{file} is damaged"):
        assert storage.read(folder, name) is None


def test_what_is_read_is_what_was_written(stored):
    cell = storage.read(*stored)
    for name, array in ARRAYS.items():
        assert cell.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(cell.arrays[name], array, strict=True)
    assert cell.sidecar["cell"] == identity()
    assert cell.sidecar["seconds"] == 1.5 and cell.sidecar["dims"] == {"curve": ["x"]}


def test_a_cell_that_is_not_there_is_none_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert storage.read(tmp_path, "0" * 32) is None


def test_bytes_depend_on_the_arrays_alone(stored, tmp_path_factory, monkeypatch):
    folder, name = stored
    monkeypatch.setattr(time, "time", lambda: 2e9)
    other = tmp_path_factory.mktemp("other")
    storage.write(other, identity(), dict(reversed(ARRAYS.items())), {"seconds": 7})
    assert (other / f"{name}.npz").read_bytes() == (folder / f"{name}.npz").read_bytes()


def test_names_tell_all_components_apart_and_equal_numbers_together():
    changes = [
        {},
        {"stem": "u"},
        {"study": "u"},
        {"version": 2},
        {"seed": 1},
        {"data": "abc"},
        *(
            {"config": Config(**changed)}
            for changed in (
                {"gamma": 0.0},
                {"rates": (1.0,)},
                {"loss": "logistic"},
                {"balanced": False},
                {"width": 1},
            )
        ),
    ]
    assert len({storage.cell_name(identity(**change)) for change in changes}) == len(changes)
    assert identity(config=Config(gamma=0)) == identity(config=Config(gamma=-0.0))
    assert storage.cell_name(identity(config=Config(rates=(1, 0.1)))) == storage.cell_name(
        identity(config=Config(rates=(np.float64(1.0), 0.1)))
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_config_that_has_no_exact_text_is_rejected(value):
    with pytest.raises(ValueError, match="config field gamma must be"):
        identity(config=Config(gamma=value))


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a"]), np.zeros(2, jnp.bfloat16)])
def test_only_numbers_are_stored(tmp_path, array):
    with pytest.raises(ValueError, match="result odd must hold numbers; got dtype"):
        storage.write(tmp_path, identity(), {"odd": array}, {})
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_is_noticed(stored):
    folder, name = stored
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ending in ("json", "npz"):
            path = folder / f"{name}.{ending}"
            intact = path.read_bytes()
            for position in range(len(intact)):
                damaged = bytearray(intact)
                damaged[position] ^= 1 << (position % 8)
                path.write_bytes(damaged)
                assert storage.read(folder, name) is None, (ending, position)
            path.write_bytes(intact)
    assert storage.read(folder, name) is not None


@pytest.mark.parametrize("ending", ["json", "npz"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_truncated_files_are_named(stored, ending, kept):
    folder, name = stored
    path = folder / f"{name}.{ending}"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert_damaged(folder, name, path.name)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b"{}", b"null", b"[" * 100_000])
def test_a_sidecar_of_something_else_is_named(stored, content):
    folder, name = stored
    (folder / f"{name}.json").write_bytes(content)
    assert_damaged(folder, name, f"{name}.json")


def test_added_white_space_and_exchanged_files_are_noticed(stored):
    folder, name = stored
    sidecar = folder / f"{name}.json"
    intact = sidecar.read_bytes()
    sidecar.write_bytes(intact + b"\n")
    assert_damaged(folder, name, f"{name}.json")
    (folder / "0123.json").write_bytes(intact)
    assert_damaged(folder, "0123", "0123.json")
    sidecar.write_bytes(intact)
    (folder / f"{name}.npz").unlink()
    assert_damaged(folder, name, f"{name}.npz")


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_write_that_fails_anywhere_leaves_no_wrong_cell(tmp_path, monkeypatch, function):
    """The power goes at the n-th call: the cell is absent, or it is intact."""
    real = getattr(os, function)
    name = storage.cell_name(identity())
    seen = []
    for fatal in range(6):
        calls = iter(range(100))

        def call(*args, fatal=fatal, calls=calls, **kwargs):
            if next(calls) == fatal:
                raise OSError("power cut")
            return real(*args, **kwargs)

        folder = tmp_path / str(fatal)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(os, function, call)
            try:
                storage.write(folder, identity(), ARRAYS, {})
            except OSError:
                pass
        seen.append(storage.read(folder, name) is not None)
        storage.write(folder, identity(), ARRAYS, {})
        assert storage.read(folder, name) is not None
        assert not list(folder.glob(".*"))
    assert seen == sorted(seen) and seen[-1] and not seen[0]


@pytest.mark.parametrize("function", ["open", "fsync", "replace", "unlink"])
def test_a_replacement_that_fails_anywhere_leaves_the_old_cell_or_the_new_one(
    stored, tmp_path_factory, monkeypatch, function
):
    real = getattr(os, function)
    folder, name = stored
    new = {**ARRAYS, "curve": np.arange(3.0)}
    seen = []
    for fatal in range(9):
        calls = iter(range(100))

        def call(*args, fatal=fatal, calls=calls, **kwargs):
            if next(calls) == fatal:
                raise OSError("power cut")
            return real(*args, **kwargs)

        copy = tmp_path_factory.mktemp("copy") / "cells"
        shutil.copytree(folder, copy)
        with monkeypatch.context() as patch, contextlib.suppress(OSError):
            patch.setattr(os, function, call)
            storage.write(copy, identity(), new, {"seconds": 9}, is_stale=lambda sidecar: True)
        found = storage.read(copy, name)
        is_new = found.sidecar["seconds"] == 9
        np.testing.assert_array_equal(found.arrays["curve"], (new if is_new else ARRAYS)["curve"])
        seen.append(is_new)
        storage.settle(copy)
        assert storage.read(copy, name).sidecar == found.sidecar
        storage.write(copy, identity(), new, {"seconds": 10}, is_stale=lambda sidecar: True)
        assert storage.read(copy, name).sidecar["seconds"] == 10
        assert sorted(path.suffix for path in copy.iterdir()) == [".json", ".npz"]
    assert seen[-1] and (not seen[0] or function == "unlink")


def test_a_stale_cell_that_is_replaced_twice_is_the_first_replacement(stored):
    """Who comes second sees that it is stale no more."""
    folder, name = stored

    def is_stale(sidecar):
        return sidecar["seconds"] == 1.5

    for seconds in (9, 10):
        storage.write(folder, identity(), ARRAYS, {"seconds": seconds}, is_stale=is_stale)
    assert storage.read(folder, name).sidecar["seconds"] == 9


def test_an_object_array_is_named_though_its_hash_is_right(stored):
    """Reading it would run what the file says."""
    folder, name = stored
    buffer = io.BytesIO()
    np.savez(buffer, odd=np.array([{}], dtype=object))
    (folder / f"{name}.npz").write_bytes(buffer.getvalue())
    sidecar = storage._read_sidecar(folder / f"{name}.json")
    del sidecar["digest"]
    sidecar["npz_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    (folder / f"{name}.json").write_bytes(storage._render(atomic_io.signed(sidecar)))
    assert_damaged(folder, name, f"{name}.npz")


def test_a_file_that_cannot_be_read_is_named(stored):
    folder, name = stored
    (folder / f"{name}.npz").unlink()
    (folder / f"{name}.npz").mkdir()
    assert_damaged(folder, name, f"{name}.npz")


def test_of_two_who_write_a_cell_the_first_ones_stays(stored):
    folder, name = stored
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    storage.write(folder, identity(), {"curve": np.zeros(3)}, {"seconds": 9})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / f"{name}.npz").write_bytes(b"half")
    storage.write(folder, identity(), ARRAYS, {"seconds": 9})
    assert storage.read(folder, name).sidecar["seconds"] == 9


def test_index_finds_by_identity_and_warns_of_damage(stored):
    folder, name = stored
    (folder / "0123.json").write_text("{")
    with pytest.warns(UserWarning, match="0123.json is damaged"):
        index = Index(folder)
    assert index.find(identity()).arrays["count"] == 3
    assert index.find(identity(seed=1)) is None
    (folder / f"{name}.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match="npz is damaged"):
        assert index.find(identity()) is None


def test_index_finds_without_the_data_unless_it_changed(tmp_path):
    storage.write(tmp_path, identity(data="a" * 64), ARRAYS, {})
    assert Index(tmp_path).find(identity()) is not None
    storage.write(tmp_path, identity(data="b" * 64), ARRAYS, {})
    with pytest.raises(ValueError, match="versions of the data, checksums (aaa|bbb)"):
        Index(tmp_path).find(identity())


def test_provenance_says_what_computed():
    told = provenance.here()
    assert told["versions"]["jax"] == jax.__version__
    assert told["versions"]["numpy"] == np.__version__
    assert told["backend"] == jax.default_backend() and told["device"] and told["x64"] is True
    assert told["commit"] is None or len(told["commit"].removesuffix("-dirty")) == 40
