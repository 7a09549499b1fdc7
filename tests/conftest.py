"""Settings of every test: float64, no silent broadcasting, fixed hypothesis, shape checks."""

import contextlib
import re

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from theory import runtime

install_import_hook("theory", "beartype.beartype")

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


@pytest.hookimpl(tryfirst=True)  # before the workers read the groups
def pytest_collection_modifyitems(items):
    """With several workers, tests that share compiled code go to one: a file, or a theorem."""
    for item in items:
        group = item.path.name
        if group == "test_catalogue.py" and hasattr(item, "callspec"):
            group = item.callspec.params.get("name", group)
        item.add_marker(pytest.mark.xdist_group(group))


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
