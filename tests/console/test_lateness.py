"""How late the console's own loop runs, in virtual time."""

from __future__ import annotations

import asyncio
import types

import pytest

from console.headless import check, lists
from console.poller.lateness import Lateness
from drivers.errors import TimedOut
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostSpec, Link, LinkState
from drivers.model.job import Check, Verdict
from tests.console.fakes import FakeDriver, failing
from tests.console.pollerworld import watching
from tests.console.virtual import VirtualLoop, simulate


def block(seconds: float) -> None:
    """Something keeps the loop from running."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jumping.now += seconds


def test_one_long_delay_is_told_and_forgotten() -> None:
    async def story() -> None:
        lateness = Lateness()
        beating = asyncio.create_task(lateness.run())
        await asyncio.sleep(5.5)
        assert lateness.worst() == 0.0
        block(4.0)
        assert lateness.worst() == pytest.approx(3.5)  # the look that is overdue counts already
        await asyncio.sleep(60)
        assert lateness.worst() == pytest.approx(3.5)
        await asyncio.sleep(60)
        assert lateness.worst() == 0.0
        beating.cancel()

    simulate(story())


def test_short_delays_without_end_add_up_and_jitter_does_not() -> None:
    async def story() -> None:
        lateness = Lateness()
        beating = asyncio.create_task(lateness.run())
        for _ in range(40):
            await asyncio.sleep(0.95)
            block(0.15)
        assert lateness.worst() == 0.0
        for _ in range(20):
            await asyncio.sleep(0.95)
            block(0.5)
        assert lateness.worst() >= 1.0
        beating.cancel()

    simulate(story())


@pytest.mark.parametrize(("blocked", "starved"), [(6.0, True), (0.0, False)])
def test_hosts_that_fail_while_the_loop_stands_make_the_console_the_suspect(
    blocked: float, starved: bool
) -> None:
    async def story() -> None:
        drivers = [FakeDriver(name) for name in "abc"]
        async with watching(*drivers) as fleet:
            await asyncio.sleep(2)
            for driver in drivers:
                driver.on_connect = failing(TimedOut("No answer."))
                driver.emit("", "lost")
            block(blocked)
            await asyncio.sleep(3)
            snapshot = fleet.poller.snapshot
            assert snapshot.all_down
            assert snapshot.starved is starved

    simulate(story())


def test_a_list_says_which_it_suspects(capsys: pytest.CaptureFixture[str]) -> None:
    hosts = tuple(Host(HostSpec(f"kvm{n}", ""), Link(LinkState.DOWN)) for n in (1, 2))
    lists.report_down(FleetSnapshot(1.0, 1, hosts, late_s=4.2))
    told = capsys.readouterr().err
    assert "this console or its machine is overloaded (it ran 4.2 s late)." in told
    assert "network" not in told
    lists.report_down(FleetSnapshot(1.0, 1, hosts))
    assert "suspect the local network." in capsys.readouterr().err


def test_the_doctor_measures_itself_while_it_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe(spec: HostSpec, _prompter: object, _desk: object) -> tuple[Check, ...]:
        await asyncio.sleep(2)
        block(5.0)
        await asyncio.sleep(2)
        return (Check("route", Verdict.BLOCKED, f"{spec.name} did not answer"),)

    monkeypatch.setattr(check, "probe_host", probe)
    monkeypatch.setattr(check, "asyncio", types.SimpleNamespace(
        run=simulate, gather=asyncio.gather, create_task=asyncio.create_task))  # fmt: skip
    specs = (HostSpec("kvm1", ""), HostSpec("kvm2", ""))
    found, late_s = simulate(check._probe_all(specs))
    assert set(found) == {"kvm1", "kvm2"}
    assert late_s >= 5.0
