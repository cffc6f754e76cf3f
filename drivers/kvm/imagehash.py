"""SHA-256 of what a guest reads from a disk image, whatever format holds it.

Only the standard library and nothing of ours: the same text runs here and, handed to
``python3 -c``, on a host where nothing is installed.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

ReadAt = Callable[[int, int], bytes]  # offset, length -> bytes, short only at the end of the file

_CHUNK = 1 << 20
_MAGIC = 0x514649FB
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_ZERO = 1
_DIRTY, _CORRUPT, _EXTERNAL, _COMPRESSION, _EXTENDED = 1, 2, 4, 8, 16


class NotReadableError(Exception):
    """The image is in a shape that is not read here; the text says which."""


def digest(read: ReadAt, size: int, fmt: str) -> str:
    """Hex SHA-256 of the content.

    Args:
        read: Reads the image file.
        size: Bytes of the image file; the content's length when it is raw.
        fmt: ``raw`` or ``qcow2``.

    Raises:
        NotReadableError: Another format, or a qcow2 with a backing file, encryption or damage.
    """
    whole = hashlib.sha256()
    for piece in _raw(read, size) if fmt in ("raw", "") else _qcow2(read, fmt):
        whole.update(piece)
    return whole.hexdigest()


def _raw(read: ReadAt, size: int) -> Iterator[bytes]:
    for offset in range(0, size, _CHUNK):
        yield _exactly(read, offset, min(_CHUNK, size - offset))


def _exactly(read: ReadAt, offset: int, length: int) -> bytes:
    """Bytes of the image; what lies beyond its end reads as zeros, as QEMU has it."""
    data = read(offset, length)
    return data + bytes(length - len(data))


def _qcow2(read: ReadAt, fmt: str) -> Iterator[bytes]:
    if fmt != "qcow2":
        raise NotReadableError(f"format {fmt} is not read here")
    head = _exactly(read, 0, 112)
    magic, version, backing, _, bits, size, crypt, tables, first = struct.unpack(
        ">IIQIIQIIQ", head[:48]
    )
    features = struct.unpack(">Q", head[72:80])[0] if version >= 3 else 0
    if magic != _MAGIC or version not in (2, 3):
        raise NotReadableError("not a qcow2 image of version 2 or 3")
    if backing or crypt or features & ~_DIRTY:
        raise NotReadableError("a backing file, encryption or a feature that is not read here")
    cluster = 1 << bits
    level1 = struct.unpack(f">{tables}Q", _exactly(read, first, 8 * tables))
    zeros = bytes(cluster)
    left = size
    for entry in level1:
        table = entry & _OFFSET
        level2 = struct.unpack(
            f">{cluster // 8}Q", _exactly(read, table, cluster) if table else zeros
        )
        for place in level2:
            if left <= 0:
                return
            yield _cluster(read, place, bits, zeros)[: min(cluster, left)]
            left -= cluster
    while left > 0:  # a size beyond the tables reads as zeros
        yield zeros[: min(cluster, left)]
        left -= cluster


def _cluster(read: ReadAt, place: int, bits: int, zeros: bytes) -> bytes:
    if place & _COMPRESSED:
        shift = 62 - (bits - 8)
        offset = place & ((1 << shift) - 1)
        sectors = ((place >> shift) & ((1 << (bits - 8)) - 1)) + 1
        packed = read(offset, sectors * 512 - (offset & 511))
        plain = zlib.decompressobj(-12).decompress(packed, 1 << bits)
        return plain + bytes((1 << bits) - len(plain))
    offset = place & _OFFSET
    if place & _ZERO or not offset:
        return zeros
    return _exactly(read, offset, 1 << bits)


def digest_file(path: str, fmt: str) -> str:
    """The digest of an image file or block device on this machine."""
    with Path(path).open("rb") as image:

        def read(offset: int, length: int) -> bytes:
            image.seek(offset)
            return image.read(length)

        return digest(read, image.seek(0, 2), fmt)


if __name__ == "__main__":
    try:
        print(digest_file(sys.argv[1], sys.argv[2]))
    except (NotReadableError, OSError) as problem:
        sys.exit(str(problem))
