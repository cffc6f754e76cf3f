"""Whatever arrives on the socket: a value or one clear error, never anything else."""

from __future__ import annotations

import json
import socket
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.model.event import Event
from drivers.model.history import HistoryQuery, StoreStatus
from drivers.model.job import Job
from store.plain import from_plain
from store.sample import HostBatch
from store.wire import WireError, batch_from_plain, batch_to_plain, receive

WORDS = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "plan", "kind", "at", "state", "request"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.sampled_from([Job, Event, HistoryQuery, StoreStatus]), JSON)
def test_any_json_is_a_value_or_a_refusal(kind: type, data: object) -> None:
    """Decoding knows one way to fail."""
    try:
        assert isinstance(from_plain(kind, data), kind)
    except ValueError:
        return


@settings(max_examples=300)
@given(JSON | st.lists(JSON, min_size=6, max_size=6))
def test_any_json_is_a_batch_or_a_refusal(data: object) -> None:
    """Samples from another console are checked before they are queued."""
    try:
        assert isinstance(batch_from_plain(data), HostBatch)
    except ValueError:
        return


@settings(max_examples=100)
@given(
    st.floats(0, 2**31),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.lists(st.floats(width=32, allow_nan=False), min_size=13, max_size=13),
)
def test_a_batch_survives_the_socket(at: float, name: str, figures: list[float]) -> None:
    """What one console measured is what the other writes."""
    batch = HostBatch(at, name, array("f"), ((name, name, "running"),), array("f", figures))
    assert batch_from_plain(json.loads(json.dumps(batch_to_plain(batch)))) == batch


@settings(max_examples=150)
@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_an_end(raw: bytes) -> None:
    """No bytes hang or break the reader of frames."""
    left, right = socket.socketpair()
    with left, right:
        right.settimeout(2)
        left.sendall(raw)
        left.shutdown(socket.SHUT_WR)
        try:
            receive(right, 1000, 1.0)
        except WireError:
            return


def test_a_frame_that_trickles_is_cut_off() -> None:
    """A peer that starts a frame and stops holds its thread for the deadline only."""
    left, right = socket.socketpair()
    with left, right:
        right.settimeout(5)
        left.sendall(b"\0")
        with pytest.raises(WireError, match="slowly"):
            receive(right, 1000, 0.1)
