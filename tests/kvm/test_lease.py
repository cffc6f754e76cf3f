"""The lease's shell, as it runs on a host: who holds it, and what nobody can make it write to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.errors import Busy
from drivers.kvm import lease
from drivers.ssh.wire import Pipes, spawn_local

NOBODY = 65534
"""A login that is not root: it shares /tmp with everybody."""


@pytest.fixture
def ident() -> Iterator[str]:
    """The UUID of a host that is not there; what its lease leaves is removed."""
    name = str(uuid.uuid4())
    yield name
    for folder in ("/tmp", "/run"):
        path = Path(folder) / f"novacron-{name}.lease"
        if path.is_symlink() or path.exists():
            path.unlink()


def as_nobody() -> dict[str, int]:
    return {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}


def ask(ident: str, **login: int) -> str:
    done = subprocess.run(
        ["sh", "-c", lease._WHO, "sh", ident], capture_output=True, text=True, check=False,
        **login,  # type: ignore[call-overload]
    )  # fmt: skip
    return str(done.stdout)


@pytest.fixture
def take() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []

    def run(ident: str, words: str, *left: str, **login: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["sh", "-c", lease._TAKE, "sh", ident, words, f"mark-{words.encode().hex()}", *left],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **login,  # type: ignore[call-overload]
        )  # fmt: skip
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_ends_with_its_input(ident: str, take: Callable[..., subprocess.Popen[str]]) -> None:
    held = take(ident, "anna since noon", **as_nobody())
    assert first_line(held) == "held"
    assert ask(ident, **as_nobody()).split("\n")[1].strip() == "anna since noon"
    assert first_line(take(ident, "bert", **as_nobody())) == "taken"
    held.communicate()
    assert ask(ident, **as_nobody()) == "free\n"


def test_what_a_broken_link_left_behind_is_ended_by_its_mark_alone(
    ident: str, take: Callable[..., subprocess.Popen[str]]
) -> None:
    left = take(ident, "anna since noon", **as_nobody())
    assert first_line(left) == "held"
    assert first_line(take(ident, "bert", b"carl".hex(), **as_nobody())) == "taken"
    again = take(ident, "anna again", b"bert".hex(), b"anna since noon".hex(), **as_nobody())
    assert first_line(again) == "held"
    left.wait(timeout=60)
    assert "anna again" in ask(ident, **as_nobody())


async def test_a_lease_whose_link_broke_is_taken_again_at_once(
    ident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shell still runs there: it has not heard that the link is gone."""
    shells: list[Pipes] = []
    links: list[asyncio.Event] = []

    async def run(_session: object, script: str, *args: str) -> Pipes:
        there, cut = await spawn_local(["sh", "-c", script, "sh", *args]), asyncio.Event()
        shells.append(there)
        links.append(cut)

        async def read(size: int) -> bytes:
            data = asyncio.create_task(there.read(size))
            broken = asyncio.create_task(cut.wait())
            await asyncio.wait((data, broken), return_when=asyncio.FIRST_COMPLETED)
            broken.cancel()
            if not cut.is_set():
                return await data
            data.cancel()
            return b""

        async def close() -> None:
            """Nothing reaches the other side."""

        return Pipes(there.write, read, close)

    async def who(_session: object) -> str:
        return ident

    monkeypatch.setattr(lease, "_run", run)
    monkeypatch.setattr(lease, "_host_id", who)
    session = SimpleNamespace(spec=SimpleNamespace(name="kvm1", deadline_s=60.0))
    mine, others = lease.Leases(), lease.Leases()
    try:
        held = await mine.take(session, "anna")  # type: ignore[arg-type]
        links[0].set()
        await held.lost.wait()
        with pytest.raises(Busy):
            await others.take(session, "bert")  # type: ignore[arg-type]
        again = await mine.take(session, "anna")  # type: ignore[arg-type]
        assert not again.lost.is_set()
        await held.release()
        await again.release()
        await shells[0].write(b"\n")  # heard by what the ended shell had started
        assert await shells[0].read(1) == b""
    finally:
        await asyncio.gather(*(shell.close() for shell in shells))


async def test_a_lease_that_nobody_waits_for_any_more_is_taken_again_at_once(
    ident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its console gave up in the middle of asking, as it does when its operation ends then."""
    shells: list[Pipes] = []
    closed: list[Pipes] = []
    asked = asyncio.Event()

    async def run(_session: object, script: str, *args: str) -> Pipes:
        there = await spawn_local(["sh", "-c", script, "sh", *args])
        shells.append(there)
        first = len(shells) == 1

        async def read(size: int) -> bytes:
            data = await there.read(size)
            if first:
                asked.set()
                await asyncio.Event().wait()
            return data

        async def close() -> None:
            """Nothing reaches the other side."""
            closed.append(there)

        return Pipes(there.write, read, close)

    async def who(_session: object) -> str:
        return ident

    monkeypatch.setattr(lease, "_run", run)
    monkeypatch.setattr(lease, "_host_id", who)
    session = SimpleNamespace(spec=SimpleNamespace(name="kvm1", deadline_s=60.0))
    mine = lease.Leases()
    try:
        asking = asyncio.create_task(mine.take(session, "anna"))  # type: ignore[arg-type]
        await asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert closed == shells
        again = await mine.take(session, "anna again")  # type: ignore[arg-type]
        await again.release()
    finally:
        await asyncio.gather(*(shell.close() for shell in shells))


async def test_a_lease_of_this_machine_is_released_at_once(
    ident: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what its shell waits in, in a process group of its own, ends then."""

    async def run(_session: object, script: str, *args: str) -> Pipes:
        waits = f"timeout {lease.EXPIRES_S} sh -c '"
        patient = script.replace(waits, f"timeout 600 sh -c 'touch {tmp_path}/waits; ")
        assert patient != script
        return await spawn_local(["sh", "-c", patient, "sh", *args])

    async def who(_session: object) -> str:
        return ident

    monkeypatch.setattr(lease, "_run", run)
    monkeypatch.setattr(lease, "_host_id", who)
    session = SimpleNamespace(spec=SimpleNamespace(name="kvm1", deadline_s=60.0))
    held = await lease.Leases().take(session, "anna")  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while not (tmp_path / "waits").exists():  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0)
        await held.release()
    assert ask(ident) == "free\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two logins")
def test_root_and_others_see_each_other(
    ident: str, take: Callable[..., subprocess.Popen[str]]
) -> None:
    held = take(ident, "root since noon")
    assert first_line(held) == "held"
    assert "root since noon" in ask(ident, **as_nobody())
    assert first_line(take(ident, "anna", **as_nobody())) == "taken"
    held.communicate()
    held = take(ident, "anna since one", **as_nobody())
    assert first_line(held) == "held"
    assert "anna since one" in ask(ident)
    assert first_line(take(ident, "root")) == "taken"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_planted_link_or_pipe_is_refused_and_not_written_to(
    ident: str, take: Callable[..., subprocess.Popen[str]], tmp_path: Path, kind: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o666)
    planted = Path("/tmp") / f"novacron-{ident}.lease"
    if kind == "link":
        planted.symlink_to(victim)
    else:
        os.mkfifo(planted)
    assert first_line(take(ident, "anna", **as_nobody())).startswith(str(planted))
    if os.geteuid() == 0:  # root's own lies elsewhere: it neither follows nor waits
        assert first_line(take(ident, "root")) == "held"
    assert victim.read_text() == "precious"
