"""What a login may be tried with: agent entries, key files and certificates, in ssh's order.

A passphrase is asked for only once the server has said that it would accept the key.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.public_key import SSHKeyPair, SSHLocalKeyPair

from drivers.ssh.config import Target
from drivers.ssh.desk import Desk

# A live agent answers at once; a stale SSH_AUTH_SOCK may accept and then say nothing for ever.
_AGENT_S = 1.5
_PASSPHRASE_TRIES = 3

AskPassphrase = Callable[[str, bool], Awaitable[str | None]]


@dataclass(slots=True)
class Offer:
    """One key or agent entry and what became of it.

    Attributes:
        label: Where it comes from and its fingerprint.
        outcome: ``not tried``, ``offered``, ``refused``, ``accepted`` or why it cannot be used.
    """

    label: str
    outcome: str = "not tried"
    pair: SSHKeyPair | None = field(default=None, repr=False)
    path: str = ""


@dataclass(slots=True)
class Identities:
    """The offers in order, and the agent that signs for some of them."""

    offers: list[Offer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    agent: asyncssh.SSHAgentClient | None = None

    def close(self) -> None:
        """Hang up on the agent."""
        if self.agent is not None:
            self.agent.close()
            self.agent = None


class LockedKeyPair(SSHKeyPair):
    """A key whose private half is still encrypted; it is opened when a signature is needed."""

    _key_type = "local"

    def __init__(
        self,
        public: asyncssh.SSHKey,
        certificate: asyncssh.SSHCertificate | None,
        open_key: Callable[[], Awaitable[asyncssh.SSHKey]],
    ) -> None:
        super().__init__(
            public.algorithm,
            public.algorithm,
            public.sig_algorithms,
            public.sig_algorithms,
            public.public_data,
            None,
            certificate,
        )
        self._open_key = open_key

    async def sign_async(self, data: bytes) -> bytes:
        """Ask for the passphrase, open the key and sign.

        Raises:
            ValueError: Nobody gave the right passphrase.
        """
        key = await self._open_key()
        return key.sign(data, self.sig_algorithm)


async def gather(target: Target, desk: Desk, ask: AskPassphrase, *, first: str = "") -> Identities:
    """Collect what ``target`` may be tried with.

    Args:
        target: The resolved hop.
        desk: Keeps keys that were already opened.
        ask: ``(path, again)`` to a passphrase, or None when nobody answers.
        first: Key file of the URI: tried before anything else.
    """
    found = Identities()
    files: list[Offer] = []
    for path in dict.fromkeys(target.identities):
        files += await _from_file(path, target, desk, ask, found.notes, wanted=path == first)
    entries = await _from_agent(target, found) if target.agent else []
    listed = {o.pair.key_public_data for o in files if o.pair} | _public_only(target)
    mine = [o for o in files if first and o.path == first]
    known = [o for o in entries if o.pair and o.pair.key_public_data in listed]
    rest = [o for o in entries if o not in known and not target.identities_only]
    seen: set[bytes] = set()
    for offer in (*mine, *known, *rest, *files):
        data = offer.pair.public_data if offer.pair else offer.label.encode()
        if data not in seen:
            seen.add(data)
            found.offers.append(offer)
    return found


def _public_only(target: Target) -> set[bytes]:
    """Public keys that stand for agent entries: ``IdentityFile`` may name a .pub file."""
    data: set[bytes] = set()
    for path in target.identities:
        for place in (path, path + ".pub"):
            try:
                data.add(asyncssh.read_public_key(place).public_data)
            except (OSError, ValueError):
                continue
    return data


async def _from_agent(target: Target, found: Identities) -> list[Offer]:
    try:
        async with asyncio.timeout(_AGENT_S):
            agent = await asyncssh.connect_agent(target.agent)
            found.agent = agent
            pairs = await agent.get_keys()
    except TimeoutError:
        found.notes.append(f"agent {target.agent} did not answer within {_AGENT_S:g} s")
        found.close()
        return []
    except (OSError, ValueError) as error:
        found.notes.append(f"agent {target.agent} cannot be used: {error}")
        found.close()
        return []
    return [Offer(f"agent entry {_name(pair)}", pair=pair) for pair in pairs]


def _name(pair: SSHKeyPair) -> str:
    comment = pair.get_comment(errors="replace") or ""
    kind = pair.get_algorithm()
    shown = "".join(c for c in comment if c.isprintable())
    return f"{shown} ({kind})" if shown else kind


async def _from_file(
    path: str, target: Target, desk: Desk, ask: AskPassphrase, notes: list[str], *, wanted: bool
) -> list[Offer]:
    try:
        mode = Path(path).stat().st_mode  # noqa: ASYNC240 - one small local file
        data = Path(path).read_bytes()  # noqa: ASYNC240 - one small local file
    except OSError as error:
        if wanted or not isinstance(error, FileNotFoundError):
            notes.append(f"{path} cannot be read: {error.strerror}")
        return []
    if data.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        return []  # a public key: it only selects agent entries
    if stat.S_IMODE(mode) & 0o077:
        notes.append(f"{path} is not used: others may read it (chmod 600 {path})")
        return []
    public, private = _open(path, data, desk)
    if public is None and private is None:
        notes.append(f"{path} holds no key that can be read")
        return []
    return _offers(path, public, private, target, _Opener(path, data, desk, ask))


def _open(
    path: str, data: bytes, desk: Desk
) -> tuple[asyncssh.SSHKey | None, asyncssh.SSHKey | None]:
    """(public, private) halves; private is None while a passphrase guards it."""
    if path in desk.opened:
        return desk.opened[path], desk.opened[path]
    try:
        private = asyncssh.import_private_key(data)
    except asyncssh.KeyImportError:
        for source in (data, _bytes(path + ".pub")):
            try:
                return asyncssh.import_public_key(source), None
            except asyncssh.KeyImportError:
                continue
        return None, None
    return private, private


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _offers(
    path: str,
    public: asyncssh.SSHKey | None,
    private: asyncssh.SSHKey | None,
    target: Target,
    opener: _Opener,
) -> list[Offer]:
    """The file's key, with each certificate made for it in front."""
    half = private or public
    if half is None:
        return []
    offers: list[Offer] = []
    for certificate in [*_certificates(path, target, half), None]:
        pair: SSHKeyPair = (
            SSHLocalKeyPair(private, None, certificate, None)
            if private
            else LockedKeyPair(half, certificate, opener)
        )
        kind = "certificate for" if certificate else "key"
        offers.append(Offer(f"{kind} {path} ({half.get_fingerprint()})", pair=pair, path=path))
    return offers


def _certificates(
    path: str, target: Target, key: asyncssh.SSHKey
) -> Sequence[asyncssh.SSHCertificate]:
    found: list[asyncssh.SSHCertificate] = []
    for place in dict.fromkeys((*target.certificates, path + "-cert.pub")):
        try:
            certificate = asyncssh.read_certificate(place)
        except (OSError, ValueError):
            continue
        if certificate.key.public_data == key.public_data:
            found.append(certificate)
    return found


class _Opener:
    """Opens one encrypted key, once for the whole console."""

    def __init__(self, path: str, data: bytes, desk: Desk, ask: AskPassphrase) -> None:
        self._path = path
        self._data = data
        self._desk = desk
        self._ask = ask

    async def __call__(self) -> asyncssh.SSHKey:
        async with self._desk.question(self._path):
            if self._path in self._desk.opened:
                return self._desk.opened[self._path]
            for attempt in range(_PASSPHRASE_TRIES):
                passphrase = await self._ask(self._path, attempt > 0)
                if passphrase is None:
                    raise ValueError("no passphrase was given")
                try:
                    # Key derivation is slow on purpose: it must not hold the loop.
                    key = await asyncio.to_thread(
                        asyncssh.import_private_key, self._data, passphrase
                    )
                except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                    continue
                self._desk.opened[self._path] = key
                return key
        raise ValueError("the passphrase was wrong")
