"""Questions only a person can answer while connecting: secrets and host keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyDecision(StrEnum):
    """What a person decided about a host key."""

    REFUSE = "refuse"
    ONCE = "once"
    REMEMBER = "remember"


@dataclass(frozen=True, slots=True)
class HostKeyQuestion:
    """An unknown or changed host key.

    Attributes:
        host: Host (or jump host) in this fleet or route.
        address: What was dialled, ``name:port``.
        algorithm: Such as ``ssh-ed25519``.
        fingerprint: SHA256 fingerprint of the key offered now.
        known: Fingerprints on record for this address, empty when it is unknown.
        known_hosts: File a remembered key goes to.
    """

    id: str
    host: str
    address: str
    algorithm: str
    fingerprint: str
    known: tuple[str, ...] = ()
    known_hosts: str = ""

    @property
    def changed(self) -> bool:
        """True when another key is on record: possibly somebody in the middle."""
        return bool(self.known)


@dataclass(frozen=True, slots=True)
class SecretQuestion:
    """A password, a key's passphrase or keyboard-interactive prompts (2FA).

    Attributes:
        title: Such as ``Password for root@kvm1``.
        text: The server's own instructions, already stripped of control characters.
        fields: (prompt, echo) pairs; echo False hides what is typed.
    """

    id: str
    host: str
    title: str
    text: str
    fields: tuple[tuple[str, bool], ...]


Question = HostKeyQuestion | SecretQuestion
