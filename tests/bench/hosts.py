"""Hosts to measure on: libvirt's test driver, practice hosts with paused guests, and far ones."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.model.host import HostSpec
from tests.kvm.daemon import Daemon, until
from tests.labs import RunFolder, sweep_leftovers

DOMAINS = 50
"""Of a host of the test driver."""
GUESTS = 10
"""Of a practice host: two disks and a card each, paused."""
RTT_MS = 80.0


def fleet_xml(path: Path) -> None:
    """A description of a host for libvirt's test driver, with running domains."""
    domains = "".join(
        f"<domain type='test'><name>vm{i}</name><uuid>{uuid.UUID(int=i + 1)}</uuid>"
        "<memory>262144</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>"
        for i in range(DOMAINS)
    )
    path.write_text(f"<node>{domains}</node>")
    path.chmod(0o644)


@contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """A real libvirtd of its own; yields its socket's path."""
    made = Daemon(folder, 1)
    try:
        made.start()
        yield str(made.socket)
    finally:
        made.stop()


@contextmanager
def practice(hosts: int, guests: int = 0) -> Iterator[LabFleet]:
    """Real hosts behind real sshd, gone afterwards; those of killed runs are removed first."""
    sweep_leftovers()
    folder = RunFolder()
    try:
        lab = LabFleet(folder.new(), hosts=hosts, guests=guests)
        lab.up()
        yield lab
    finally:
        folder.close()


@contextmanager
def far(listen: str, target: str) -> Iterator[None]:
    """``target`` at ``listen`` as well, RTT_MS away."""
    proxy = Path(__file__).with_name("delay_proxy.py")
    argv = [sys.executable, str(proxy), listen, target, str(RTT_MS / 2)]
    process = subprocess.Popen(argv)
    try:
        until(lambda: _listens(listen))
        yield
    finally:
        process.kill()
        process.wait()


def _listens(place: str) -> bool:
    if place.startswith("/"):
        return Path(place).is_socket()
    address, _, port = place.rpartition(":")
    try:
        socket.create_connection((address, int(port)), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def far_config(folder: Path, spec: HostSpec, port: int) -> str:
    """An ssh_config by which the host is reached through the proxy at ``port``."""
    config = folder / "far_config"
    config.write_text(
        f"Host {spec.name}\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias {spec.name}\n"
        f"Include {spec.ssh_config}\n"
    )
    return str(config)


def stock_uri(uri: str, folder: Path, config: str) -> str:
    """The URI for libvirt's own client, which runs ``ssh`` with an ssh_config of ours."""
    wrapper = folder / f"ssh-{Path(config).name}"
    wrapper.write_text(f'#!/bin/sh\nexec ssh -F {shlex.quote(config)} "$@"\n')
    wrapper.chmod(0o700)
    return f"{uri}{'&' if '?' in uri else '?'}command={wrapper}&no_tty=1"


def add_paused(lab: LabFleet) -> None:
    """Start the paused guests of every host: what is measured is the reading, not their load."""
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(_add_paused, lab.hosts))


def _add_paused(host: LabHost) -> None:
    for number in range(GUESTS):
        for letter in "ab":
            with (host.pool_folder("hot") / f"bench{number}{letter}.raw").open("wb") as file:
                file.truncate(1 << 20)
        text = host.pool_folder("hot") / f"bench{number}.xml"
        text.write_text(_guest_xml(host, number))
        host.virsh("create", f"{host.pool_path('hot')}/bench{number}.xml", "--paused")


def _guest_xml(host: LabHost, number: int) -> str:
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        f"<source file='{host.pool_path('hot')}/bench{number}{letter}.raw'/>"
        f"<target dev='vd{letter}' bus='virtio'/></disk>"
        for letter in "ab"
    )
    return (
        f"<domain type='qemu'><name>bench{number}</name><memory unit='MiB'>16</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
        f"<devices>{disks}<interface type='user'/><memballoon model='virtio'/></devices></domain>"
    )
