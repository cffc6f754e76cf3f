"""known_hosts files: what is on record for an address, and how a decision is recorded.

Format and matching follow sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: plain, wildcard, negated and
hashed names, ``[host]:port``, ``@revoked`` and ``@cert-authority``.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import asyncssh

_MARKERS = ("@cert-authority", "@revoked")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that matches an address: its file, marker (or empty) and key."""

    file: str
    line: str
    marker: str
    key: asyncssh.SSHKey


@dataclass(frozen=True, slots=True)
class OnRecord:
    """All that the files say of one address.

    Attributes:
        keys: Trusted keys of the address itself.
        portless: Keys of the same name without a port, which ssh accepts when they match.
        authorities: Keys that may sign host certificates.
        revoked: Keys never to be accepted.
    """

    keys: tuple[Entry, ...] = ()
    portless: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()

    @property
    def trusted(self) -> list[asyncssh.SSHKey]:
        """Every key that is accepted as the address's own."""
        return [e.key for e in (*self.keys, *self.portless)]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Algorithm and SHA256 fingerprint of each key of the address."""
        return tuple(
            dict.fromkeys(f"{e.key.get_algorithm()} {e.key.get_fingerprint()}" for e in self.keys)
        )


def matches(field: str, name: str) -> bool:
    """Whether a line's host field names ``name`` (lower case, ``[host]:port`` for other ports)."""
    if field.startswith("|"):
        parts = field.split("|")
        if len(parts) != 4 or parts[1] != "1":
            return False
        try:
            salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
        except ValueError:
            return False
        return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
    found = False
    for pattern in field.lower().split(","):
        if fnmatchcase(name, _literal_brackets(pattern.removeprefix("!"))):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _literal_brackets(pattern: str) -> str:
    """OpenSSH knows * and ? only; fnmatch would read [ as a set."""
    return pattern.replace("[", "[[]")


def parse_line(line: str) -> tuple[str, str, str] | None:
    """(marker, host field, key text) of one line; None for blanks, comments and nonsense."""
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0] in _MARKERS else ""
    if len(words) < 3 or words[0].startswith("@"):
        return None
    return marker, words[0], " ".join(words[1:3])


def search(file: str, text: str, name: str) -> Iterator[Entry]:
    """Lines of ``text`` (content of ``file``) that match ``name`` and hold a readable key."""
    for line in text.splitlines():
        parsed = parse_line(line)
        if parsed is None or not matches(parsed[1], name):
            continue
        try:
            yield Entry(file, line, parsed[0], asyncssh.import_public_key(parsed[2]))
        except asyncssh.KeyImportError:
            continue


def look_up(files: Sequence[str], name: str) -> OnRecord:
    """What ``files`` have on record for ``name``; files that are not there are skipped."""
    found: list[Entry] = []
    portless: list[Entry] = []
    bare = name[1:].partition("]")[0] if name.startswith("[") else ""
    for file in files:
        try:
            text = Path(file).read_text(errors="replace")
        except OSError:
            continue
        found += search(file, text, name)
        if bare:
            # A wildcard line names the host with and without its port: once is enough.
            portless += [e for e in search(file, text, bare) if e not in found]
    return OnRecord(
        keys=tuple(e for e in found if not e.marker),
        portless=tuple(e for e in portless if not e.marker),
        authorities=tuple(e for e in (*found, *portless) if e.marker == "@cert-authority"),
        revoked=tuple(e for e in (*found, *portless) if e.marker == "@revoked"),
    )


def hashed(name: str) -> str:
    """``name`` as HashKnownHosts writes it."""
    salt = secrets.token_bytes(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def without(text: str, name: str) -> str:
    """``text`` with ``name`` taken out of every trusted line that lists it by name or hash.

    Lines that also name other hosts keep those; wildcard lines and marked lines stay.
    """
    kept: list[str] = []
    for line in text.splitlines():
        parsed = parse_line(line)
        if parsed is None or parsed[0] or not matches(parsed[1], name):
            kept.append(line)
            continue
        field = parsed[1]
        if field.startswith("|"):
            continue
        others = [n for n in field.split(",") if n.lower() != name]
        if len(others) == len(field.split(",")):
            kept.append(line)
        elif others:
            kept.append(line.replace(field, ",".join(others), 1))
    return "".join(f"{line}\n" for line in kept)


def remember(file: str, name: str, key: asyncssh.SSHKey, *, hash_name: bool, replace: bool) -> None:
    """Put ``key`` on record for ``name`` in ``file``, under a lock, readable by its owner only.

    Args:
        file: The user's known_hosts.
        name: ``host`` or ``[host]:port``.
        key: What the host showed and a person accepted.
        hash_name: Write the name hashed.
        replace: Take the keys on record for ``name`` out first, keeping the file as ``.old``.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(os.path.realpath(file))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path.parent):
        text = path.read_text(errors="surrogateescape") if path.exists() else ""
        if any(e.key == key and not e.marker for e in search(file, text, name)) and not replace:
            return
        public = key.export_public_key("openssh").decode().split()
        line = f"{hashed(name) if hash_name else name} {public[0]} {public[1]}\n"
        if replace and text:
            _write(path.with_name(path.name + ".old"), text)
            text = without(text, name)
        elif text and not text.endswith("\n"):
            text += "\n"
        _write(path, text + line)


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, so that no reader ever sees half of it."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode & 0o644 | 0o600)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: the file itself is replaced, so a lock on it would guard nothing."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
