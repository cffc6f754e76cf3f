"""Collection: often and small; full only when memory has grown."""

import gc
import weakref

import pytest

from console.tidy import GROWTH, WARM_UP, Tidy


class Knot:
    """A cycle."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def tidy():
    """A collector over a made-up process size."""
    size = [0]
    made = Tidy(lambda: size[0])
    made.size = size  # type: ignore[attr-defined]
    yield made
    made.restore()


def test_young_cycles_go_at_the_next_round(tidy) -> None:
    """An exception's or a closed dialog's cycle does not pile up."""
    tidy.round()
    gone = weakref.ref(Knot())
    assert gone() is not None
    assert tidy.round() is False
    assert gone() is None


def test_old_cycles_go_once_memory_has_grown(tidy) -> None:
    """A cycle that outlived its round is found by the full search, which growth brings."""
    knot = Knot()
    gone = weakref.ref(knot)
    for _ in range(WARM_UP + 1):
        assert tidy.round() is False
    del knot
    tidy.round()
    assert gone() is not None
    tidy.size[0] += GROWTH + 1
    assert tidy.round() is True
    assert gone() is None
    assert tidy.round() is False


def test_collection_is_left_as_it_was_found() -> None:
    """An ended console leaves the interpreter's own collection running."""
    assert gc.isenabled()
    made = Tidy(lambda: 0)
    assert not gc.isenabled()
    made.restore()
    assert gc.isenabled()
