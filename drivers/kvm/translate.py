"""libvirtError to the driver's own tree: once, here, with cause, proof and fix."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.errors import (
    AuthFailed,
    Busy,
    Cancelled,
    DriverError,
    Failed,
    Gone,
    HostKeyUnknown,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from drivers.kvm.text import clean

T = TypeVar("T")

# virErrorNumber without its VIR_ERR_ prefix; a name this binding lacks is skipped.
_BY_CODE: dict[type[DriverError], tuple[str, ...]] = {
    Gone: ("NO_DOMAIN", "NO_STORAGE_POOL", "NO_STORAGE_VOL", "NO_NETWORK", "NO_DOMAIN_METADATA"),
    AuthFailed: ("AUTH_FAILED", "AUTH_CANCELLED", "AUTH_UNAVAILABLE"),
    Refused: (
        "ACCESS_DENIED",
        "OPERATION_DENIED",
        "OPERATION_INVALID",
        "MIGRATE_UNSAFE",
        "CPU_INCOMPATIBLE",
        "DOM_EXIST",
        "STORAGE_VOL_EXIST",
        "XML_ERROR",
        "XML_DETAIL",
        "INVALID_ARG",
    ),
    Unsupported: (
        "NO_SUPPORT",
        "CONFIG_UNSUPPORTED",
        "ARGUMENT_UNSUPPORTED",
        "OPERATION_UNSUPPORTED",
        "NO_CONNECT",
    ),
    Busy: ("RESOURCE_BUSY", "BLOCK_COPY_ACTIVE", "AGENT_UNSYNCED"),
    TimedOut: ("OPERATION_TIMEOUT", "AGENT_COMMAND_TIMEOUT"),
    Cancelled: ("OPERATION_ABORTED",),
    Unreachable: ("INVALID_CONN", "RPC"),
}

# libvirt's text decides where its code does not; the first pattern that matches wins.
_BY_TEXT: tuple[tuple[str, type[DriverError], str], ...] = (
    (
        r"state change lock|another job|pool has asynchronous jobs|already in a block job"
        r"|already active",
        Busy,
        "wait for the other job to end, or cancel it",
    ),
    (
        r"cancell?ed by client|job: (?:cancell?ed|aborted)|migration.*cancell?ed",
        Cancelled,
        "",
    ),
    (
        r"Host key verification failed",
        HostKeyUnknown,
        "libvirt's own client reads ~/.ssh/known_hosts alone: ssh to the host once, or use "
        'transport = "auto"',
    ),
    (
        r"Permission denied \(|Too many authentication failures",
        AuthFailed,
        "libvirt's own client needs a key or an agent that works without questions",
    ),
    (
        r"socket.*Permission denied|authentication unavailable|polkit",
        Refused,
        "add the login to the libvirt group on the host, or log in as root",
    ),
    (
        r"Failed to connect socket|Cannot recv data|client socket is closed|Connection refused"
        r"|Connection reset|End of file while reading|keepalive|invalid connection pointer"
        r"|connection closed|internal error: client socket",
        Unreachable,
        "check that libvirtd (or virtqemud) runs on the host: systemctl status libvirtd",
    ),
    (
        r"Migration without shared storage is unsafe",
        Refused,
        "copy the disks along, or put them on storage that both hosts reach",
    ),
    (
        r"pre-creat|Unable to find storage pool|no storage pool with matching target path",
        Failed,
        "define and start a pool on the destination whose target is the disk's folder",
    ),
    (r"No space left", Failed, "free space in the pool, or choose another one"),
    (
        r"guest CPU doesn't match|not.*compatible with host CPU|missing features",
        Refused,
        "choose a target with these CPU features, or a baseline CPU model for the guest",
    ),
    (
        r"Cannot access storage file|Could not open .*No such file",
        Failed,
        "the disk is not there on this host: check the path and the pool",
    ),
    (
        r"unable to connect to server at|Unable to resolve address|hostname on destination",
        Failed,
        "the hosts must reach each other on the migration ports (49152-49215): set migrate_uri",
    ),
    (r"domain is not running", Refused, "it is off: nothing to do"),
    (r"domain is already running", Refused, "it runs: nothing to do"),
    (
        r"no console devices|character device .*(?:not|null)|cannot find character device",
        Unsupported,
        "give the domain a <console type='pty'/> device",
    ),
    (r"Active console session exists", Busy, "somebody else has it open: open it with force"),
    (
        r"Failed to get \"write\" lock|Failed to get shared|lock on|is in use",
        Busy,
        "another process has the image open",
    ),
)


def translate(error: Any, what: str, libvirt: Any) -> DriverError:
    """The DriverError for a libvirtError met while doing ``what``.

    Args:
        error: A ``libvirt.libvirtError``.
        what: The sentence's beginning, such as ``web1 could not be started``.
        libvirt: The loaded binding, for its error numbers.
    """
    said = clean(str(error.get_error_message() or error)).strip()
    for pattern, kind, fix in _BY_TEXT:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(what, said, fix)
    code = error.get_error_code()
    for kind, names in _BY_CODE.items():
        if any(code == getattr(libvirt, f"VIR_ERR_{name}", None) for name in names):
            return kind(what, said, _fix_of(kind))
    return Failed(what, said)


def _fix_of(kind: type[DriverError]) -> str:
    if kind is Unreachable:
        return "check that libvirtd (or virtqemud) runs on the host: systemctl status libvirtd"
    if kind is AuthFailed:
        return "add the login to the libvirt group on the host, or log in as root"
    if kind is Gone:
        return "it was removed meanwhile: refresh"
    return ""


def guarded(call: Callable[[], T], what: str, libvirt: Any) -> Callable[[], T]:
    """``call`` with libvirtError translated, to be run in a lane."""

    def run() -> T:
        try:
            return call()
        except libvirt.libvirtError as error:
            raise translate(error, what, libvirt) from None

    return run
