"""Hosts with virtqemud in place of libvirtd: the right socket is found, whatever else is there."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from drivers.kvm import binding
from drivers.kvm.session import Session
from drivers.kvm.sockets import PROBE, choose, system_sockets
from drivers.model.host import HostSpec
from drivers.ssh.desk import Desk
from drivers.uri import parse_uri
from tests.kvm.conftest import Nobody

SPLIT, WHOLE = "virtqemud-sock", "libvirt-sock"


@pytest.fixture
def listening(tmp_path: Path) -> Path:
    """A run-time folder where daemons can listen."""
    (tmp_path / "libvirt").mkdir()
    return tmp_path


def probed(folder: Path, *names: str, uri: str = "qemu+ssh://kvm1/system") -> tuple[str, ...]:
    """What is chosen on a host where these daemons listen, by the very commands run there."""
    place = folder / "libvirt"
    with ExitStack() as stack:
        for name in names:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(place / name))
            listener.listen()
        parsed = parse_uri(uri)
        asked = [str(place / Path(path).name) for path in system_sockets(parsed)]
        told = subprocess.run(
            [*PROBE, *asked],
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = choose(parsed, told.stdout)
    for name in names:
        (place / name).unlink()
    return tuple(path.removeprefix(f"{place}/") for path in found if path.startswith(str(place)))


@pytest.mark.parametrize("path", ["/system", "/session"])
def test_the_daemon_that_is_there_is_asked(listening: Path, path: str) -> None:
    """virtqemud alone, libvirtd alone, both (virtqemud first), or none of them."""
    uri = f"qemu+ssh://kvm1{path}"
    assert probed(listening, SPLIT, uri=uri) == (SPLIT,)
    assert probed(listening, WHOLE, uri=uri) == (WHOLE,)
    assert probed(listening, SPLIT, WHOLE, uri=uri) == (SPLIT, WHOLE)
    assert probed(listening, uri=uri) == ()


def test_a_mode_in_the_uri_decides(listening: Path) -> None:
    """mode=legacy is libvirtd or its proxy, mode=direct is virtqemud, as in libvirt's client."""
    both = (SPLIT, WHOLE)
    assert probed(listening, *both, uri="qemu+ssh://kvm1/system?mode=legacy") == (WHOLE,)
    assert probed(listening, *both, uri="qemu+ssh://kvm1/system?mode=direct") == (SPLIT,)
    assert probed(listening, WHOLE, uri="qemu+ssh://kvm1/system?mode=direct") == ()
    assert probed(listening, *both, uri="test+ssh://kvm1/default") == (WHOLE,)


async def test_a_session_daemon_may_start_the_daemons_of_pools_and_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """virtqemud is preferred, and starts virtstoraged when pools are asked for, if it may."""
    pytest.importorskip("libvirt")
    binding.load()
    assert os.environ["LIBVIRT_AUTOSTART"] == "0"
    told = tmp_path / "told"
    daemon = tmp_path / "virtqemud"
    daemon.write_text(f'#!/bin/sh\necho "$0 $*" > {told}\nenv >> {told}\n')
    daemon.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    session = Session(HostSpec("here", "qemu:///session"), Nobody(), lambda _reason: None, Desk())
    await session._start_daemon()
    first, *environment = told.read_text().splitlines()
    assert first.startswith(f"{daemon} --timeout")
    assert "--daemon" in first
    assert not [line for line in environment if line.startswith("LIBVIRT_AUTOSTART")]
    assert any(line.startswith("PATH=") for line in environment)
