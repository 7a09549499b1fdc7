"""Disks that are full or cannot be written."""

import subprocess

import pytest

from tests.robustness.crash import tools
from twolayer.sims.engine import plan


@pytest.fixture(autouse=True)
def no_process_outlives_its_test():
    yield
    for process in tools.STARTED:
        if process.poll() is None:
            process.kill()
            process.communicate()
    tools.STARTED.clear()


class Disk:
    """A small disk of its own, in memory."""

    def __init__(self, path):
        self.path = path

    def mount(self, options):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)],
            check=True,
            capture_output=True,
            text=True,
        )

    def change(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def fill(self):
        """To the last byte, so that files can be made and not written."""
        with open(self.path / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte; the tests of it say so where nothing can be mounted."""
    made = Disk(tmp_path / "disk")
    made.path.mkdir()
    try:
        made.mount("size=1m")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED, as no disk can be mounted here: {error}")
    yield made
    subprocess.run(["umount", "-l", str(made.path)], check=True)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """Results of one stem at the scale of tests."""
    folder = tmp_path_factory.mktemp("results")
    plan.run("perturbation.wide", "smoke", folder, progress=False)
    return folder
