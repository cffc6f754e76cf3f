"""How fast a guest writes to its memory, as QEMU samples it (virDomainStartDirtyRateCalc)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from drivers.errors import Failed, Unsupported
from drivers.kvm.session import Session
from drivers.kvm.text import clean
from drivers.model.caps import DirtyRate
from drivers.model.host import Protect

_LOOK_S = 0.1
_MEASURED = 2  # VIR_DOMAIN_DIRTYRATE_MEASURED


async def dirty_rate(
    session: Session, uuid: str, name: str, seconds: int, clock: Callable[[], float]
) -> DirtyRate:
    """Measure for ``seconds`` and return the rate.

    Raises:
        Unsupported: This libvirt or QEMU measures none, or the host is read-only.
        Failed: No figure came.
        DriverError: The host did not answer.
    """
    lv, conn = session.lv, session.conn
    if session.spec.protect is Protect.RO:
        raise Unsupported(
            f"the dirty rate of {name} is not measured: {session.spec.name} is read-only",
            'protect = "ro" in its configuration',
        )
    what = f"the dirty rate of {name} could not be measured"
    await session.call(lambda: conn.lookupByUUIDString(uuid).startDirtyRateCalc(seconds, 0), what)

    def look() -> dict[str, Any]:
        domain = conn.lookupByUUIDString(uuid)
        flags = lv.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        found = conn.domainListGetStats([domain], lv.VIR_DOMAIN_STATS_DIRTYRATE, flags)
        return dict(found[0][1]) if found else {}

    loop = asyncio.get_running_loop()
    end = loop.time() + seconds + session.spec.deadline_s
    await asyncio.sleep(seconds)
    while (told := await session.call(look, what)).get("dirtyrate.calc_status") != _MEASURED:
        if loop.time() > end:
            raise Failed(what, f"QEMU is still measuring: {told}")
        await asyncio.sleep(_LOOK_S)
    bps = float(told.get("dirtyrate.megabytes_per_second", 0)) * (1 << 20)
    return DirtyRate(uuid, bps, seconds, clock(), clean(told.get("dirtyrate.calc_mode")))
