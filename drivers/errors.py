"""The one error tree of the drivers.

::

    DriverError
    +-- Unreachable        name, route, TCP or SSH transport failed
    +-- AuthFailed         sshd refused every key, password or answer
    +-- HostKeyUnknown     no key on record and nobody has decided
    +-- HostKeyChanged     another key is on record
    +-- Refused            protection, permissions or the hypervisor said no
    +-- Gone               the domain, pool or volume no longer exists
    +-- TimedOut           no answer within the deadline
    +-- Busy               another job holds the domain or pool
    +-- Unsupported        this libvirt, QEMU, kernel or transport cannot do it
    +-- Failed             the operation ran and failed
    +-- Cancelled          stopped on request

libvirtError and asyncssh.Error become one of these once, at the edge of the driver that met them.
"""

from __future__ import annotations

from typing import ClassVar

from drivers.model.problem import Problem


class DriverError(Exception):
    """A failure with a sentence, its proof and a suggested fix."""

    code: ClassVar[str] = "error"

    def __init__(self, what: str, proof: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.problem = Problem(what, proof, fix, self.code)

    def __str__(self) -> str:
        return str(self.problem)


class Unreachable(DriverError):
    """Name resolution, route, TCP or the SSH transport failed."""

    code = "unreachable"


class AuthFailed(DriverError):
    """The server refused every key, password or answer that was offered.

    Attributes:
        answered: Whether a person had a say: typed what was refused, or declined to. False when
            only keys were refused, which an outage of the host's directory looks like as well.
    """

    code = "auth-failed"
    answered: bool = False


class HostKeyUnknown(DriverError):
    """No host key is on record for this address, and nobody has decided to trust this one."""

    code = "host-key-unknown"


class HostKeyChanged(DriverError):
    """The host key differs from the one on record."""

    code = "host-key-changed"


class Refused(DriverError):
    """Protection, permissions or the hypervisor refused; nothing was changed."""

    code = "refused"


class Gone(DriverError):
    """The domain, pool or volume no longer exists there."""

    code = "gone"


class TimedOut(DriverError):
    """No answer within the deadline; whether it took effect is unknown."""

    code = "timed-out"


class Busy(DriverError):
    """Another job holds the domain or the pool."""

    code = "busy"


class Unsupported(DriverError):
    """This libvirt, QEMU, kernel or transport cannot do it."""

    code = "unsupported"


class Failed(DriverError):
    """The operation ran and failed."""

    code = "failed"


class Cancelled(DriverError):
    """The operation was stopped on request."""

    code = "cancelled"
