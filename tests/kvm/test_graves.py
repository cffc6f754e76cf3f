"""An object of libvirt never ends in a thread whose loop may have to carry its last words."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from types import SimpleNamespace

from drivers.kvm.graves import Graves

ENDED_S = 20.0


class Laid:
    """A module with one mortal class, laid out by ``Graves``."""

    def __init__(self) -> None:
        self.ends: queue.SimpleQueue[str] = queue.SimpleQueue()
        ends = self.ends

        class Mortal:
            def __del__(self) -> None:
                ends.put(threading.current_thread().name)

        class Plain:
            pass

        self.mortal = Mortal
        Graves().dig(SimpleNamespace(Mortal=Mortal, Plain=Plain, CONSTANT=1))

    def ended(self) -> str:
        return self.ends.get(timeout=ENDED_S)


async def test_in_a_thread_with_a_loop_it_ends_elsewhere() -> None:
    laid = Laid()
    laid.mortal()
    assert laid.ended() == "libvirt-graves"


async def test_so_does_what_a_collection_finds_there() -> None:
    laid = Laid()
    ring = laid.mortal()
    ring.itself = ring  # type: ignore[attr-defined]
    del ring
    gc.collect()
    assert laid.ended() == "libvirt-graves"
    gc.collect()
    assert laid.ends.empty()  # once


def test_without_a_loop_it_ends_at_once_where_it_is() -> None:
    laid = Laid()
    laid.mortal()
    assert laid.ended() == threading.current_thread().name


async def test_a_finalizer_that_waits_for_the_loop_does_not_stop_it() -> None:
    """As a connection's close does, whose answer the loop forwards."""
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()

    class Connection:
        def __del__(self) -> None:
            asyncio.run_coroutine_threadsafe(_answer(answered), loop).result(ENDED_S)

    Graves().dig(SimpleNamespace(Connection=Connection))
    Connection()
    async with asyncio.timeout(ENDED_S):
        await answered.wait()


async def _answer(event: asyncio.Event) -> None:
    event.set()
