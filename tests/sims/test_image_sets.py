"""Which sets of images were read, with several threads reading."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from twolayer.sims.components import image_sets


def test_each_thread_records_its_own_sets():
    """All begin before any records, and end in the order of their beginning."""
    begun, told = Barrier(3), Barrier(3)

    def read(name):
        with image_sets.recorded() as uses:
            begun.wait(10)
            if name:
                image_sets.record(name, None)
            told.wait(10)
        return [use.name for use in uses]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, ["", "digits", ""])) == [[], ["digits"], []]


def test_inner_and_outer_records_hold_both():
    with image_sets.recorded() as outer:
        with image_sets.recorded() as inner:
            image_sets.record("digits", None)
        image_sets.record("mnist", None)
    assert [use.name for use in inner] == ["digits"]
    assert [use.name for use in outer] == ["digits", "mnist"]
