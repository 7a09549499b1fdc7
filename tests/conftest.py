"""Settings of every test: float64, no silent broadcasting, fixed hypothesis, shape checks."""

import collections
import contextlib
import re

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from theory import runtime

install_import_hook("theory", "beartype.beartype")

runtime.single_threaded()
runtime.configure()

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile(
    "twolayer",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("twolayer")


def pytest_terminal_summary(terminalreporter):
    """How many calls of public functions with drawn arguments gave what (test_fuzz)."""
    found = [
        dict(report.user_properties)["outcomes"]
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call" and "outcomes" in dict(report.user_properties)
    ]
    if found:
        total = sum(map(collections.Counter, found), collections.Counter())
        told = ", ".join(f"{count} {kind}" for kind, count in total.most_common())
        terminalreporter.write_line(f"{len(found)} functions, {total.total()} calls: {told}")


@pytest.fixture(autouse=True, scope="module")
def programs_of_one_module():
    """Compiled programs go when their module is done: thousands of them use up a process's maps.

    [measured] The compiler then ends the process with a segmentation fault.
    """
    yield
    jax.clear_caches()


@pytest.fixture
def rejects():
    """``with rejects("words"):`` the block must raise a ValueError that holds these words.

    Shape annotations are not enforced inside, so that the function's own check is what answers.
    """

    @contextlib.contextmanager
    def check(words: str):
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            with pytest.raises(ValueError, match=re.escape(words)):
                yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return check
