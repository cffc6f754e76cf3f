"""Who did what, when, from where: one entry of the audit ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Deed(StrEnum):
    """What an entry tells.

    REPAIRED: the ledger itself met a line cut short by a crash and took it out.
    """

    BEGUN = "begun"
    ENDED = "ended"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person behind a console.

    Attributes:
        user: Whose rights the console has.
        sudo_user: Who called sudo; empty when nobody did.
        login_user: Who logged in, as the kernel remembers it through su and sudo; empty when the
            kernel does not tell.
        origin: Address the SSH session came from; empty for a session of this machine.
        terminal: The terminal's device; empty without one.
        machine: Name of the machine the console runs on.
        pid: Process id of the console.
    """

    user: str = ""
    sudo_user: str = ""
    login_user: str = ""
    origin: str = ""
    terminal: str = ""
    machine: str = ""
    pid: int = 0

    @property
    def name(self) -> str:
        """The person as far as known: who logged in, who called sudo, or whose rights it has."""
        return self.login_user or self.sudo_user or self.user


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: Position, from 1, without gaps.
        at: When, epoch seconds.
        job: Identity of the job or operation.
        hosts: Hosts involved.
        commands: The equivalent command lines.
        plan: What was going to be done, line by line, for BEGUN.
        outcome: How it ended, for ENDED.
        previous: Hash of the entry before; zeros for the first.
        hash: SHA-256 of this entry's other fields, so that no line can change unseen.
    """

    deed: Deed
    at: float
    actor: Actor
    title: str
    job: str = ""
    vm: str = ""
    vm_name: str = ""
    hosts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    state: str = ""
    outcome: str = ""
    plan: tuple[str, ...] = ()
    seq: int = 0
    previous: str = field(default="")
    hash: str = field(default="")
