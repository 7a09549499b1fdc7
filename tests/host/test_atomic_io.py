"""Files are written whole, and what dead processes have left is removed."""

import errno
import os
import time

import pytest

from twolayer.host import atomic_io


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_replaces_what_was_there(tmp_path):
    for content in (b"one", b"two"):
        atomic_io.write(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert listed(tmp_path) == ["file"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "make room on its disk"), (errno.EROFS, "name another")]
)
def test_a_write_that_fails_says_where_why_and_what_to_do(
    tmp_path, monkeypatch, function, number, hint
):
    (tmp_path / "file").write_bytes(b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(atomic_io.NotWritten) as error:
        atomic_io.write(tmp_path / "file", b"new")
    words = f"{tmp_path} cannot be written: {os.strerror(number)}; {hint}"
    assert str(error.value).startswith(words)
    assert listed(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"old"


def test_prepare_removes_files_of_dead_processes_whatever_the_clock_says(tmp_path, dead):
    names = {
        f".{dead}-01234567@{atomic_io._host()}.tmp": (0.0, False),
        f".{os.getpid()}-01234567@{atomic_io._host()}.tmp": (2 * atomic_io.STALE, True),
        ".1-01234567@elsewhere.tmp": (2 * atomic_io.STALE, False),
        ".2-01234567@elsewhere.tmp": (0.0, True),
        ".3-01234567@elsewhere.tmp": (-1e8, True),  # written before the clock was set back
        ".someone.else.tmp": (2 * atomic_io.STALE, True),
    }
    for name, (age, _) in names.items():
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    atomic_io.prepare("folder", tmp_path)
    assert listed(tmp_path) == sorted(name for name, (_, stays) in names.items() if stays)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        # Below a regular file nobody can write, whatever their rights.
        ("file/x", "file/x cannot be written: Not a directory."),
        ("file", "file cannot be written: File exists."),
        ("x" * 300, "cannot be written: File name too long."),
        ("a\0b", "folder must be a path; got "),
    ],
)
def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path, rejects, folder, words):
    (tmp_path / "file").touch()
    with rejects(words):
        atomic_io.prepare("folder", tmp_path / folder)


def test_a_link_below_the_folder_leads_nowhere(tmp_path, rejects):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "stem").symlink_to(tmp_path / "elsewhere")
    with rejects("stem must not be a link"):
        atomic_io.prepare("results folder", tmp_path / "results", "stem")
    (tmp_path / "link").symlink_to(tmp_path / "results")
    atomic_io.prepare("results folder", tmp_path / "link", "other")
    assert (tmp_path / "results" / "other").is_dir() and not listed(tmp_path / "elsewhere")


def test_a_target_must_be_a_file_in_a_folder_that_is_there(tmp_path, rejects):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    # As /dev/stdout is one: replacing it would take the stream from every other process.
    (tmp_path / "stream").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    before = listed(tmp_path)
    for name in (".", "none/file", "x" * 300, "circle", "stream", "pipe", "\0"):
        with rejects("--json must be a file in a writable folder; got "):
            atomic_io.target("--json", tmp_path / name)
    # The link of an open pipe leads to a name that no file has.
    ends = os.pipe()
    (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{ends[1]}")
    with pytest.raises(ValueError, match="--json must be a file in a writable folder; got"):
        atomic_io.target("--json", tmp_path / "stdout")
    (tmp_path / "stdout").unlink()
    for end in ends:
        os.close(end)
    assert atomic_io.target("--json", tmp_path / "file") == tmp_path / "file"
    assert listed(tmp_path) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_target_is_where_links_lead(tmp_path, there):
    (tmp_path / "real").mkdir()
    if there:
        (tmp_path / "real" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/file")
    atomic_io.write(atomic_io.target("--json", tmp_path / "link"), b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new"


@pytest.mark.parametrize(
    "holder", [None, [], {}, {"host": 1}, {"process": "1"}, "x", {"host": "elsewhere"}]
)
def test_who_is_no_process_of_this_machine_is_unknown(holder):
    assert atomic_io.lives(holder) is None
    assert atomic_io.lives({"host": atomic_io._host(), "process": -1}) is None
    assert atomic_io.lives(atomic_io.holder()) is True


def test_a_signed_object_knows_its_damage():
    signed = atomic_io.signed({"b": [1, 2.5], "a": None})
    assert atomic_io.is_intact(signed) and atomic_io.is_intact(dict(reversed(signed.items())))
    assert not atomic_io.is_intact({**signed, "a": 0}) and not atomic_io.is_intact(
        {**signed, "c": 0}
    )
