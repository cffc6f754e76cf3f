"""What the remote reader says: its greeting, its frames, and the files inside them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.ssh.words import finite, is_count

# Started through the login shell: says which reader it wants fed, then becomes it.
BOOT = """exec 2>/dev/null
if [ "$2" != sh ] && command -v python3 >/dev/null && \
python3 -I -S -c 'import sys; sys.exit(sys.version_info < (3, 6))'; then
echo "$1 want python"
exec python3 -I -S -c 'import sys; b = sys.stdin.buffer; exec(b.read(int(b.readline())))' "$1"
fi
echo "$1 want sh"
exec sh -s "$1"
"""
_HEADER = re.compile(r"^==> (/\S+) <==\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hello:
    """The reader's greeting: which one it is, and constants of its kernel.

    ``page`` is None where the host cannot tell; ``at`` is its clock in epoch seconds.
    """

    reader: str
    hz: int = 100
    page: int | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One answer: the host's clocks (None where it did not say) and the text."""

    number: int
    at: float | None
    monotonic: float | None
    text: str

    def files(self) -> dict[str, str]:
        """Path to text of each file in the answer."""
        return split_files(self.text)


def parse_hello(line: str) -> Hello | None:
    """The greeting after its nonce, such as ``hello python 100 4096 1700000000.5``."""
    words = line.split()
    if len(words) < 4 or words[0] != "hello":
        return None
    hz = int(words[2]) if is_count(words[2]) and words[2] != "0" else 100
    page = int(words[3]) if is_count(words[3]) and words[3] != "0" else None
    return Hello(words[1], hz, page, number(words[4]) if len(words) > 4 else None)


def parse_frame(nonce: str, text: str) -> Frame | None:
    """One frame without its end line; None when it does not begin as one."""
    first, _, body = text.partition("\n")
    words = first.split()
    if len(words) != 5 or words[0] != nonce or words[1] != "begin" or not is_count(words[2]):
        return None
    return Frame(int(words[2]), number(words[3]), number(words[4]), body)


def number(word: str) -> float | None:
    """A number the host printed; busybox's date leaves ``%N`` in place of the fraction."""
    try:
        return finite(word.partition(".%")[0])
    except ValueError:
        return None


def split_files(text: str) -> dict[str, str]:
    """Path to text of several files under ``==> path <==`` headers, as head prints them."""
    pieces = _HEADER.split(text)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def request(verb: str, number: int | None = None, words: tuple[str, ...] = ()) -> bytes:
    """One request line."""
    head = verb if number is None else f"{verb} {number}"
    return " ".join((head, *words)).encode() + b"\n"
