"""The audit ledger: JSON lines that are only ever added, each holding the hash of the one before.

A file of its own rather than a table: every console appends by itself under a lock, it outlives a
damaged database, and any tool can read it. The hash of the newest entry is also kept beside it, so
that lines cut off at the end are missed. Whoever may write both files can still forge both: copy
the newest hash elsewhere (``novacron audit verify`` prints it) to be safe from that too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.model.audit import Deed, Entry
from store.api import StoreError
from store.plain import from_plain, to_plain

_FIRST = "0" * 64
_TAIL = 1 << 16


def ledger_path(database: Path) -> Path:
    """Where the ledger of a history file lies."""
    return database.with_name("audit.jsonl")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the ledger; ``line`` counts from 1, 0 for the whole."""

    line: int
    what: str
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the whole ledger found: nothing wrong when ``findings`` is empty."""

    entries: int
    newest: str
    findings: tuple[Finding, ...] = ()


class Ledger:
    """One ledger file.

    Args:
        path: Made at the first entry, for its user alone. The newest hash lies beside it, in
            ``PATH.head``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = path.with_name(path.name + ".head")

    def append(self, entry: Entry, *, once: bool = False) -> Entry:
        """Add an entry and return it with number and hashes, once it is durable. Blocks.

        Args:
            once: One of that deed, job and title that is there already is returned instead.

        Raises:
            StoreError: It could not be written; the file is as it was.
        """
        try:
            with self._locked() as fd:
                last = self._mend(fd, entry)
                if once and (known := self._known(entry)) is not None:
                    return known
                return self._write(fd, entry, last)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the audit ledger {self.path} cannot be written",
                str(error),
                "make room or mend its permissions: without it nothing is done",
                "audit",
            ) from error

    def entries(self) -> Iterator[Entry]:
        """Every readable entry, oldest first; what cannot be read is left to ``verify``."""
        for _, text in self._lines():
            with suppress(ValueError):
                yield _parse(text)

    def verify(self) -> Verified:
        """Read the whole file and find any change, deletion or reorder.

        Raises:
            StoreError: It cannot be read.
        """
        findings: list[Finding] = []
        last: Entry | None = None
        hashes: dict[int, str] = {}
        count = 0
        for number, text in self._lines():
            try:
                fields = json.loads(text)
                entry = from_plain(Entry, fields)
            except ValueError as error:
                findings.append(Finding(number, "this line is not an entry", str(error)))
                continue
            count += 1
            findings.extend(_faults(number, entry, _digest(fields), last))
            hashes[entry.seq] = entry.hash
            last = entry
        findings.extend(self._cut_off(hashes))
        return Verified(count, last.hash if last else _FIRST, tuple(findings))

    def _cut_off(self, hashes: dict[int, str]) -> list[Finding]:
        """Whether the entry that was last is still there."""
        try:
            seq, _, digest = self.head.read_text(encoding="ascii").strip().partition(" ")
        except FileNotFoundError:
            if hashes:
                return [Finding(0, f"{self.head.name} is missing: it held the newest hash")]
            return []
        except (OSError, ValueError) as error:
            return [Finding(0, f"{self.head.name} cannot be read", str(error))]
        found = hashes.get(int(seq)) if seq.isdecimal() and len(seq) < 20 else None
        if found == digest:
            return []
        told = f"entry {seq} was {digest[:12]}..., the file has {(found or 'none')[:12]}"
        return [Finding(0, "entries at the end are gone or were changed", told)]

    def _lines(self) -> Iterator[tuple[int, str]]:
        try:
            with self.path.open(encoding="utf-8", errors="replace", newline="\n") as file:
                yield from enumerate((line.rstrip("\n") for line in file), 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"the audit ledger {self.path} cannot be read", str(error), code="audit"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _known(self, entry: Entry) -> Entry | None:
        """The entry that tells the same deed of the same job; only lines of that job are parsed."""
        named = json.dumps(entry.job)
        for _, text in self._lines():
            with suppress(ValueError):
                found = _parse(text) if named in text else None
                same = found and (found.deed, found.job, found.title)
                if same == (entry.deed, entry.job, entry.title):
                    return found
        return None

    def _mend(self, fd: int, entry: Entry) -> tuple[int, str]:
        """Number and hash of the last entry; a line that a crash cut short is taken out first."""
        size = os.fstat(fd).st_size
        whole, torn = _tail(fd, size)
        last = self._last(whole)
        if torn:
            os.ftruncate(fd, size - len(torn))
            digest = hashlib.sha256(torn).hexdigest()
            told = Entry(
                Deed.REPAIRED,
                entry.at,
                entry.actor,
                "a line that was cut short was taken out",
                outcome=f"{len(torn)} bytes, SHA-256 {digest}",
            )
            mended = self._write(fd, told, last)
            return mended.seq, mended.hash
        return last

    def _last(self, line: bytes) -> tuple[int, str]:
        """Where the chain goes on: from the last line, if it is the one that was last.

        After lines that were cut off or spoilt it goes on from what the head remembers: that
        stops nobody at work, and the gap stays for ``verify`` to tell of.
        """
        remembered = self._remembered()
        last: Entry | None = None
        with suppress(ValueError):
            last = _parse(line.decode()) if line else None
        if last is None:
            return remembered or (0, _FIRST)
        found = last.seq, last.hash
        if remembered is None or found == remembered:
            return found
        # A crash between line and head leaves the head one behind.
        follows = (last.seq - 1, last.previous) == remembered
        return found if follows else remembered

    def _remembered(self) -> tuple[int, str] | None:
        with suppress(OSError, ValueError):
            seq, _, digest = self.head.read_text(encoding="ascii").strip().partition(" ")
            return int(seq), digest
        return None

    def _write(self, fd: int, entry: Entry, last: tuple[int, str]) -> Entry:
        entry = replace(entry, seq=last[0] + 1, previous=last[1], hash="")
        entry = replace(entry, hash=_digest(to_plain(entry)))
        line = (_canonical(to_plain(entry)) + "\n").encode()
        size = os.fstat(fd).st_size
        try:
            written = os.write(fd, line)
            if written < len(line):
                raise OSError("the disk is full")
            os.fsync(fd)
            self._remember(entry)
        except OSError:
            os.ftruncate(fd, size)
            raise
        return entry

    def _remember(self, entry: Entry) -> None:
        beside = self.head.with_name(self.head.name + ".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{entry.seq} {entry.hash}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        beside.replace(self.head)


def _tail(fd: int, size: int) -> tuple[bytes, bytes]:
    """The last whole line, and what follows it without an end."""
    length = min(_TAIL, size)
    while True:
        tail = os.pread(fd, length, size - length)
        whole, newline, torn = tail.rpartition(b"\n")
        before = whole.rfind(b"\n")
        if length == size or before >= 0:
            return (whole[before + 1 :] if newline else b""), torn
        length = min(length * 4, size)


def _faults(number: int, entry: Entry, digest: str, last: Entry | None) -> Iterator[Finding]:
    if entry.hash != digest:
        told = f"it says {entry.hash[:12]}..., its words give {digest[:12]}..."
        yield Finding(number, "this entry was changed", told)
    expected = last.seq + 1 if last else 1
    if entry.seq != expected:
        yield Finding(
            number,
            "entries before this one are missing or out of order",
            f"it is number {entry.seq}, expected {expected}",
        )
    elif entry.previous != (last.hash if last else _FIRST):
        yield Finding(number, "this entry does not follow the one before it")


def _parse(text: str) -> Entry:
    return from_plain(Entry, json.loads(text))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(fields: Mapping[str, object]) -> str:
    """Hash over all that a line says but its own hash, fields of newer versions included."""
    body = {name: value for name, value in fields.items() if name != "hash"}
    return hashlib.sha256(_canonical(body).encode()).hexdigest()
