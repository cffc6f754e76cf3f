"""What must not be done to a migration that is past its switch to post-copy, or to a hung call."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.errors import Refused
from drivers.kvm.migrate import abort, end_what_hangs, switch_over
from drivers.kvm.session import Session
from drivers.model.host import HostSpec
from drivers.ssh.desk import Desk
from tests.kvm.test_parting import Nobody

LV = SimpleNamespace(
    VIR_DOMAIN_PAUSED=3,
    VIR_DOMAIN_PAUSED_MIGRATION=2,
    VIR_DOMAIN_PAUSED_POSTCOPY=11,
    VIR_DOMAIN_PAUSED_POSTCOPY_FAILED=12,
    VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY=1,
    libvirtError=RuntimeError,
)


class Domain:
    """Says its state, and counts how often its job was ended."""

    def __init__(self, state: int, reason: int) -> None:
        self._state = [state, reason]
        self.ended = 0

    def state(self) -> list[int]:
        return self._state

    def name(self) -> str:
        return "web1"

    def abortJob(self) -> None:  # noqa: N802 - libvirt's name
        self.ended += 1


@pytest.mark.parametrize("reason", [11, 12], ids=["post-copy", "post-copy failed"])
def test_a_split_guest_is_not_thrown_away(reason: int) -> None:
    domain = Domain(3, reason)
    with pytest.raises(Refused, match="past its switch"):
        abort(LV, domain)
    assert domain.ended == 0


@pytest.mark.parametrize(("state", "reason"), [(1, 1), (1, 11), (3, 1)])
def test_any_other_job_is_ended(state: int, reason: int) -> None:
    domain = Domain(state, reason)
    abort(LV, domain)
    assert domain.ended == 1


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize(("state", "reason", "woken"), [(1, 1, 0), (3, 1, 0), (3, 2, 1)])
def test_a_qemu_that_was_cancelled_as_it_switched_is_woken(
    monkeypatch: pytest.MonkeyPatch, state: int, reason: int, woken: int, refuses: bool
) -> None:
    """It waits for leave to switch, for good; one that does not wait may refuse."""
    told: list[str] = []

    def command(_domain: Domain, words: str, _flags: int) -> str:
        told.append(json.loads(words)["execute"])
        if refuses:
            raise LV.libvirtError("Migration not in expected state: cancelled")
        return ""

    module = SimpleNamespace(qemuMonitorCommand=command)
    monkeypatch.setitem(sys.modules, "libvirt_qemu", cast(Any, module))
    domain = Domain(state, reason)
    abort(LV, domain)
    assert domain.ended == 1
    assert told == ["migrate-continue"] * woken


@pytest.mark.parametrize(("kind", "wakes"), [(4, True), (5, True), (2, False), (3, False)])
async def test_a_migration_that_libvirt_gave_up_is_ended(
    monkeypatch: pytest.MonkeyPatch, kind: int, wakes: bool
) -> None:
    """Its job stays as failed while its QEMU waits; one that goes on is left alone."""
    looks, told = itertools.count(1), asyncio.Event()
    seen = asyncio.Event()

    def stats() -> dict[str, int]:
        if next(looks) >= 4:
            seen.set()
        return {"type": kind}

    async def call(work: Callable[[], object], _what: str) -> object:
        return work()

    module = SimpleNamespace(qemuMonitorCommand=lambda *_: told.set())
    monkeypatch.setitem(sys.modules, "libvirt_qemu", cast(Any, module))
    lv = SimpleNamespace(
        VIR_DOMAIN_JOB_FAILED=4, VIR_DOMAIN_JOB_CANCELLED=5, libvirtError=RuntimeError
    )
    conn = SimpleNamespace(lookupByUUIDString=lambda _uuid: SimpleNamespace(jobStats=stats))
    source = cast(Session, SimpleNamespace(call=call, lv=lv, conn=conn))
    watch = asyncio.create_task(end_what_hangs(source, "u1", every_s=0.0))
    await seen.wait()
    watch.cancel()
    assert told.is_set() is wakes


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_connection_is_not_closed_under_a_call_that_hangs(hangs: bool) -> None:
    """libvirt would free what the call still uses."""
    session = Session(HostSpec("kvm1", "test:///default"), Nobody(), lambda _reason: None, Desk())
    closed: list[bool] = []

    async def second() -> object:
        return SimpleNamespace(close=lambda: closed.append(True))

    known = cast(Any, session)
    known.second, known.lv = second, SimpleNamespace(libvirtError=RuntimeError)
    async with session.extra(in_use=lambda: hangs):
        assert not closed
    assert closed == ([] if hangs else [True])


class Moving:
    """A domain on its way; an old libvirt knows no cap of its own for post-copy."""

    def __init__(self, *, old: bool = False) -> None:
        self._old = old
        self.told: list[object] = []

    def migrateSetMaxSpeed(self, mib: int, flags: int) -> None:  # noqa: N802 - libvirt's name
        if self._old:
            raise RuntimeError("unsupported flags")
        self.told.append((mib, flags))

    def migrateStartPostCopy(self) -> None:  # noqa: N802 - libvirt's name
        self.told.append("switch")


@pytest.mark.parametrize(
    ("domain", "cap", "told"),
    [
        (Moving(), 2, [(2, 1), "switch"]),
        (Moving(), 0, ["switch"]),
        (Moving(old=True), 2, ["switch"]),
    ],
)
def test_room_is_left_on_the_line_before_the_switch(
    domain: Moving, cap: int, told: list[object]
) -> None:
    """What the guest asks for does not wait behind what it did not; the switch comes anyhow."""
    switch_over(LV, domain, cap)
    assert domain.told == told
