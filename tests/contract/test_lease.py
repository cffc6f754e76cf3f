"""One console at a time works on a host as a whole, and everybody can see who."""

from __future__ import annotations

import asyncio

import pytest

from drivers.errors import Busy, Refused, Unsupported
from drivers.model.host import Protect
from drivers.protocol import HostDriver
from tests.contract.conftest import Case

ANNA = "anna@jump1 since 2026-01-02 03:04 UTC: draining it"
BERT = "bert@jump2 since 2026-01-02 03:05 UTC: upgrading it"
PATIENCE_S = 90.0


async def becomes_free(driver: HostDriver) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await driver.lease_holder():  # noqa: ASYNC110 - a driver is polled
            await asyncio.sleep(0.05)


async def test_one_holds_it_and_others_are_told_who(case: Case, driver: HostDriver) -> None:
    if case.kind == "test":  # no host behind it: that is told, and nothing pretended
        with pytest.raises(Unsupported):
            await driver.hold_lease(ANNA)
        return
    other = case.driver()
    await other.connect()
    try:
        held = await driver.hold_lease(ANNA)
        assert not held.lost.is_set()
        assert await other.lease_holder() == ANNA
        with pytest.raises(Busy) as refused:
            await other.hold_lease(BERT)
        assert refused.value.problem.proof == ANNA
        await held.release()
        await becomes_free(other)
        again = await other.hold_lease(BERT)
        assert await driver.lease_holder() == BERT
        await again.release()
        await becomes_free(driver)
    finally:
        await other.close()


async def test_a_long_name_is_not_left_behind_by_a_short_one(
    case: Case, driver: HostDriver
) -> None:
    if case.kind == "test":
        with pytest.raises(Unsupported):
            await driver.lease_holder()
        return
    held = await driver.hold_lease(ANNA * 3)
    await held.release()
    await becomes_free(driver)
    held = await driver.hold_lease("x")
    assert await driver.lease_holder() == "x"
    await held.release()


async def test_a_read_only_host_gives_no_lease(case: Case) -> None:
    careful = case.driver(Protect.RO)
    await careful.connect()
    try:
        with pytest.raises(Refused):
            await careful.hold_lease(ANNA)
    finally:
        await careful.close()


async def test_the_end_of_a_connection_ends_the_lease(case: Case, driver: HostDriver) -> None:
    """As when its console is killed: the shell that holds the lock ends with its input."""
    if case.kind == "test":
        return  # it gives none: see above
    first = case.driver()
    await first.connect()
    held = await first.hold_lease(ANNA)
    assert await driver.lease_holder() == ANNA
    await first.close()
    await becomes_free(driver)
    async with asyncio.timeout(PATIENCE_S):
        await held.lost.wait()
