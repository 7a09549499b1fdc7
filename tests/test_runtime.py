"""Work in processes: order, errors, and where it is done."""

import math
import multiprocessing
import os

import pytest

from theory import runtime


def _process(_):
    return os.getpid()


def _root(number):
    return math.sqrt(number)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_results_come_in_order_with_their_seconds(two_cores):
    found = list(runtime.in_processes(math.factorial, [5, 3, 4]))
    assert [result for result, _ in found] == [120, 6, 24]
    assert all(seconds >= 0 for _, seconds in found)


def test_only_a_single_item_is_worked_on_here(two_cores):
    ((here, _),) = runtime.in_processes(_process, [0])
    assert here == os.getpid()
    assert os.getpid() not in {process for process, _ in runtime.in_processes(_process, [0, 1])}


def test_errors_arrive(two_cores):
    with pytest.raises(ValueError, match="math domain"):
        list(runtime.in_processes(_root, [1.0, -1.0]))


def test_no_process_outlives_the_results_or_an_error(two_cores):
    # Python's own end would stumble over processes that are just ending.
    list(runtime.in_processes(_process, [0, 1]))
    assert not multiprocessing.active_children()
    with pytest.raises(ValueError, match="math domain"):
        list(runtime.in_processes(_root, [-1.0, 1.0]))
    assert not multiprocessing.active_children()


def test_one_core_is_enough(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    found = [result for result, _ in runtime.in_processes(_process, [0, 1])]
    assert found == [os.getpid()] * 2
