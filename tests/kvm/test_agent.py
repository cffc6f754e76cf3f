"""What counts as an answer of a guest agent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.errors import Failed
from drivers.kvm.domain import Domains
from drivers.kvm.session import Session
from drivers.kvm.slow import SlowReader
from drivers.model.host import HostSpec
from drivers.protocol import Prompter
from drivers.ssh.desk import Desk

libvirt = pytest.importorskip("libvirt")

CHANNEL = "<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>"


class Guest:
    """A domain whose agent says this, or fails with this of libvirt's."""

    def __init__(self, xml: str, code: int, words: str) -> None:
        self._xml = xml
        self._code = code
        self._words = words

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
        return self._xml

    def getTime(self, _flags: int) -> dict[str, int]:  # noqa: N802 - libvirt's name
        if not self._words:
            return {"seconds": 1, "nseconds": 0}
        error = libvirt.libvirtError("virDomainGetTime() failed")
        error.err = (self._code, 10, self._words, 2, "", "", "", 0, 0)
        raise error


def domains(guest: Guest) -> Domains:
    spec = HostSpec("kvm1", "qemu:///system")
    session = Session(spec, cast(Prompter, None), lambda _why: None, Desk())
    session.lv = libvirt
    session.conn = SimpleNamespace(lookupByUUIDString=lambda _uuid: guest)
    return Domains(session, cast(SlowReader, SimpleNamespace(vms={})))


UNRESPONSIVE = libvirt.VIR_ERR_AGENT_UNRESPONSIVE
INTERNAL = libvirt.VIR_ERR_INTERNAL_ERROR
DISABLED = (
    "internal error: unable to execute QEMU agent command 'guest-get-time': The command "
    "guest-get-time has been disabled for this instance"
)


@pytest.mark.parametrize(
    ("xml", "code", "words", "answers"),
    [
        (CHANNEL, 0, "", True),
        (CHANNEL, UNRESPONSIVE, "Guest agent is not responding: not connected", False),
        (CHANNEL, INTERNAL, DISABLED, True),
        ("<domain/>", UNRESPONSIVE, "never asked", None),
    ],
    ids=["tells-the-time", "is-not-there", "may-not-tell", "no-channel"],
)
async def test_what_counts_as_an_answer(xml: str, code: int, words: str, answers: Any) -> None:
    """An agent that says that it may not tell the time has answered."""
    assert await domains(Guest(xml, code, words)).agent_answers("u") is answers


async def test_what_is_not_the_agents_fault_is_not_put_on_it() -> None:
    """A host that fails has not asked the guest."""
    guest = Guest(CHANNEL, INTERNAL, "internal error: out of memory")
    with pytest.raises(Failed, match="was not asked"):
        await domains(guest).agent_answers("u")
