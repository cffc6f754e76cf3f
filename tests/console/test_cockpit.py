"""The cockpit's hand on a migration: what is refused or late never leaves it unwatched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from console.jobs.cockpit import Cockpit
from console.policy.levers import Promise, Settings
from drivers.errors import DriverError, Failed, Refused, TimedOut, Unsupported
from drivers.model.migration import Lever
from drivers.model.vm import JobProgress

MIB = 1 << 20


class Driver:
    """Takes what it is told, or fails as it is told."""

    def __init__(self, *fails: DriverError | None) -> None:
        self.fails = list(fails)
        self.told: list[tuple[int | None, float | None]] = []

    async def tune_migration(
        self,
        uuid: str,
        *,
        bandwidth_mib: int | None = None,
        max_downtime_ms: float | None = None,
    ) -> None:
        self.told.append((bandwidth_mib, max_downtime_ms))
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure

    async def start_post_copy(self, uuid: str, behind_mib: int = 0) -> None:
        self.told.append((behind_mib, None))


def reading(second: float, iteration: int = 1) -> JobProgress:
    return JobProgress(
        "copying memory", second, 1.0, done=int(second * 100 * MIB), total=4096 * MIB,
        remaining=500 * MIB, rate_bps=100.0 * MIB, dirty_bps=150.0 * MIB, iteration=iteration,
    )  # fmt: skip


def cockpit(driver: Driver, settings: Settings, promise: Promise | None = None) -> Cockpit:
    return Cockpit(driver, "u1", settings, promise, lambda: None)  # type: ignore[arg-type]


async def fly(pit: Cockpit, seconds: float, remember: Callable[[str], None] | None = None) -> None:
    """Look and steer each second; every fifth begins another pass."""

    async def keep(told: str) -> None:
        if remember is not None:
            remember(told)

    for second in range(int(seconds)):
        pit.look(reading(float(second), 1 + second // 5))
        await pit.steer(keep)


async def test_a_pause_that_times_out_is_set_at_the_next_look() -> None:
    driver = Driver(TimedOut("no answer"), None)
    await fly(cockpit(driver, Settings(max_downtime_ms=500.0)), 3)
    assert driver.told == [(None, 500.0), (None, 500.0)]


async def test_a_pause_that_is_refused_is_told_and_the_flight_goes_on() -> None:
    driver = Driver(Unsupported("too old a libvirt"))
    pit = cockpit(driver, Settings(max_downtime_ms=500.0))
    await fly(pit, 3)
    assert driver.told == [(None, 500.0)]
    assert any("500 ms was refused" in line for line in pit.log)


async def test_a_pull_that_cannot_be_journaled_is_not_made() -> None:
    driver = Driver()
    pit = cockpit(driver, Settings(100), Promise(600.0, 300.0, (Lever.BANDWIDTH,)))

    def full(told: str) -> None:
        raise Failed("the job journal cannot be written")

    await fly(pit, 15, full)
    assert driver.told == []
    assert any("journal" in line for line in pit.log)


async def test_a_refused_pull_gives_way_to_the_next_lever() -> None:
    driver = Driver(Refused("not now"))
    promise = Promise(600.0, 900.0, (Lever.BANDWIDTH, Lever.DOWNTIME))
    await fly(cockpit(driver, Settings(100), promise), 30)
    assert driver.told[0] == (200, None)
    assert driver.told[1][1] is not None


async def test_after_the_switch_nothing_can_be_aborted() -> None:
    driver = Driver()
    pit = cockpit(driver, Settings(post_copy=True))
    await fly(pit, 3)
    assert not pit.switched
    pit.want(Lever.POST_COPY, 0.0, "anna")
    await fly(pit, 1)
    assert pit.switched
    assert driver.told == [(70, None)]  # of 100 MiB/s: what the guest asks for has room
    await fly(pit, 1)
    with pytest.raises(Refused, match="cancel cannot be pulled"):
        pit.want(Lever.CANCEL, 0.0, "anna")


async def test_before_anything_is_known_a_lever_is_refused() -> None:
    pit = cockpit(Driver(), Settings(100))
    with pytest.raises(Refused, match="nothing is known"):
        pit.want(Lever.BANDWIDTH, 0.0, "anna")
