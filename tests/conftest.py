"""Settings of every test: float64, checked shapes and indices, fixed hypothesis."""

import collections
import contextlib
import os
import re
import subprocess
import sys

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from twolayer.host import jax_setup, program_memory

install_import_hook("twolayer.theory", "beartype.beartype")

# A notebook's, which may not be installed here.
os.environ.pop("MPLBACKEND", None)
jax_setup.single_threaded()
jax_setup.configure()

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
# Else an index beyond the end is taken for the last.
jax.config.update("jax_check_static_indices", True)

settings.register_profile(
    "twolayer",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("twolayer")


def pytest_terminal_summary(terminalreporter):
    """What tests have counted by ``record_property("counted calls", {"result": 3, ...})``."""
    totals, tests = collections.defaultdict(collections.Counter), collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, counts in report.user_properties:
                if name.startswith("counted "):
                    totals[name] += collections.Counter(counts)
                    tests[name] += 1
    for name, total in totals.items():
        told = ", ".join(f"{count} {kind}" for kind, count in total.most_common())
        what = name.removeprefix("counted ")
        terminalreporter.write_line(f"{total.total()} {what} in {tests[name]} tests: {told}")


@pytest.fixture(autouse=True, scope="module")
def programs_of_one_module():
    """Compiled programs go when their module is done."""
    yield
    program_memory.forget_programs()


@pytest.fixture(autouse=True)
def programs_within_memory():
    """Compiled programs go when they take too much memory."""
    yield
    program_memory.relieve()


@contextlib.contextmanager
def _as_called_by_a_user():
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def unannotated():
    """Shape annotations are not enforced: the functions' own checks are what answers."""
    with _as_called_by_a_user():
        yield


@pytest.fixture
def rejects():
    """``with rejects("words"):`` the block must raise a ValueError that holds these words.

    Shape annotations are not enforced inside, so that the function's own check is what answers.
    """

    @contextlib.contextmanager
    def check(words: str):
        with _as_called_by_a_user(), pytest.raises(ValueError, match=re.escape(words)):
            yield

    return check


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def refuses(capsys):
    """``refuses(command, arguments, words)``: one line on stderr that holds the words, status 2."""

    def check(command, arguments, words):
        with pytest.raises(SystemExit) as end:
            command(arguments)
        told = capsys.readouterr()
        assert end.value.code == 2
        assert told.out == "" and told.err.startswith("error: ") and told.err.count("\n") == 1
        assert words in told.err

    return check
