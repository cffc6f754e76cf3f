"""The lease's shell, as it runs on a host: who holds it, and what nobody can make it write to."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.kvm import lease

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

    def run(ident: str, words: str, **login: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["sh", "-c", lease._TAKE, "sh", ident, words],
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
