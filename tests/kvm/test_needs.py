"""What cannot be counted is not taken for nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from drivers.kvm.needs import read_needs

UUID = "11111111-2222-3333-4444-555555555555"


class OneDomain:
    """A session with one domain, whose snapshot count fails with a libvirt error code."""

    lv = libvirt

    def __init__(self, code: int) -> None:
        self._code = code
        self.conn = SimpleNamespace(lookupByUUIDString=lambda _uuid: self)

    async def call(self, ask: Callable[[], Any], _what: str) -> Any:
        return ask()

    def snapshotNum(self) -> int:  # noqa: N802 - as libvirt calls it
        error = libvirt.libvirtError("no")
        error.err = (self._code, libvirt.VIR_FROM_RPC, "no", 2, "", "", "", -1, -1)
        raise error

    def listAllCheckpoints(self, _flags: int) -> list[object]:  # noqa: N802
        return [object()]

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        return f"<domain type='kvm'><uuid>{UUID}</uuid></domain>"

    def isActive(self) -> bool:  # noqa: N802
        return False

    def autostart(self) -> bool:
        return False

    def hasManagedSaveImage(self, _flags: int) -> int:  # noqa: N802
        return 1

    def isPersistent(self) -> bool:  # noqa: N802
        return True


async def test_only_a_libvirt_that_cannot_count_leaves_it_open() -> None:
    """The count is then not known, and the other one still is."""
    session: Any = OneDomain(libvirt.VIR_ERR_NO_SUPPORT)
    needs = await read_needs(session, UUID, "web1", lambda: 1.0, stuck=False)
    assert (needs.snapshots, needs.checkpoints, needs.saved) == (None, 1, True)


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_RPC])
async def test_a_question_that_failed_is_an_error(code: int) -> None:
    """A VM with snapshots must not look like one without."""
    session: Any = OneDomain(code)
    with pytest.raises(libvirt.libvirtError):
        await read_needs(session, UUID, "web1", lambda: 1.0, stuck=False)
