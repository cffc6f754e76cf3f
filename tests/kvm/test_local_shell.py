"""A shell on this machine, given to a terminal that may be slow."""

from __future__ import annotations

import asyncio

import pytest

from drivers.kvm.shell import open_local_shell


async def test_a_shell_that_floods_waits_for_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output nobody takes yet holds the shell up; all of it arrives, whole and in order."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    shell = await open_local_shell(80, 24, "dumb")
    try:
        await shell.write(b"stty -echo; seq 1 900000; echo end-of-it; exit\n")
        await asyncio.wait_for(_first(shell.read, b"1\r\n2\r\n"), 20)
        seen = await asyncio.wait_for(_first(shell.read, b"end-of-it"), 60)
        assert b"\r\n500000\r\n500001\r\n" in seen
        assert b"\r\n900000\r\n" in seen
    finally:
        await shell.close()


async def _first(read: object, mark: bytes) -> bytes:
    assert callable(read)
    seen = bytearray()
    while mark not in seen[-100_000:]:
        data = await read()
        assert data, seen[-200:]
        seen += data
    return bytes(seen)


async def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood stops at the bound, not at the end of memory, and a hang-up still gets through."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    stream = await open_local_shell(80, 24, "dumb")
    shell = stream.read.__self__  # type: ignore[attr-defined]
    waiting = shell._incoming
    await stream.write(b"yes\n")
    async with asyncio.timeout(60):
        while not shell._held:  # noqa: ASYNC110 - the flood fills it, nothing tells of it
            await asyncio.sleep(0.01)
    full = waiting.qsize()
    await asyncio.sleep(0)
    assert waiting.qsize() == full < waiting.maxsize
    await stream.close()
    assert waiting.full()
