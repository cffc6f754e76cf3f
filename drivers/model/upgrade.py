"""What is done to a host between its drain and its return, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class UpgradeRules:
    """How hosts are upgraded, as the fleet file says it.

    Attributes:
        name: Of ``[upgrades.NAME]``; empty for ``[upgrade]``.
        commands: Lines for the host's own shell, in order.
        reboot: Whether the host is rebooted after them.
        reboot_command: The line that does it.
        expect_kernel: What must run afterwards: a release, the beginning of one ending in ``*``,
            ``changed``, or empty for any.
        health: Lines that must succeed before VMs come back; run again until they do.
        root: The lines need root: the login's own, or through ``sudo -n``.
        max_out: Hosts that may be out at a time.
        canary: The host that goes first, alone; empty: the first one named.
        keep_spare: Refuse when one more host could not be lost while hosts are out.
        command_s: Seconds each command may take.
        back_s: Seconds until the host must be back and healthy.
    """

    name: str = ""
    commands: tuple[str, ...] = ()
    reboot: bool = True
    reboot_command: str = "systemctl reboot"
    expect_kernel: str = ""
    health: tuple[str, ...] = ()
    root: bool = True
    max_out: int = 1
    canary: str = ""
    keep_spare: bool = False
    command_s: float = 3600.0
    back_s: float = 900.0


class StageVerb(StrEnum):
    """One thing that is done to a host on its way through an upgrade, in this order."""

    DRAIN = "drain"
    COMMAND = "command"
    REBOOT = "reboot"
    WAIT = "wait"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of an upgrade.

    Attributes:
        id: Unique within the operation.
        text: What it is, for people.
        command: The line that is run, for COMMAND and REBOOT.
        limit_s: Seconds it may take; 0 for no limit of its own.
    """

    id: str
    host: str
    verb: StageVerb
    text: str
    command: str = ""
    limit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a host says of itself over SSH, just now.

    Attributes:
        boot: Id of this boot (/proc/sys/kernel/random/boot_id).
        kernel: Release that runs.
        user: Whose login it is.
        root: Whether that login may act as root without being asked for a password.
        denied: What sudo said where it may not.
    """

    boot: str
    kernel: str
    user: str = ""
    root: bool = False
    denied: str = ""


class TaskState(StrEnum):
    """How a command on a host stands.

    LOST: it was begun, and ended without telling how.
    """

    ABSENT = "absent"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class HostTask:
    """A command to be begun once.

    Attributes:
        token: Its name; a second command of the same name is never begun.
        command: A line for the host's shell.
        root: Run it as root.
        boot: The boot it belongs to: it is not begun in another one.
    """

    token: str
    command: str
    root: bool
    boot: str


@dataclass(frozen=True, slots=True)
class TaskLook:
    """A command as its host shows it.

    Attributes:
        status: Exit status once it ended.
        output: The last of what it printed, on both streams.
        boot: Id of the boot that answered.
    """

    state: TaskState
    boot: str
    status: int | None = None
    output: str = ""
