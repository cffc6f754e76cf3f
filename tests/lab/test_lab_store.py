"""The network disk store alone: an export lives as long as its lab, whoever comes and goes."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from drivers.errors import Failed
from drivers.lab.model import Mode
from drivers.lab.nbd import NetworkStore
from drivers.lab.plan import STORE_PORTS, LabPlan, free_ports, token_of
from drivers.lab.processes import marked

pytestmark = pytest.mark.lab

CLIENTS = 20
"""More than any lab has of one disk."""


class Here:
    """This machine, as a place for the store."""

    def __init__(self, lab: Path) -> None:
        self.lab = lab

    def command(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def environment(self) -> dict[str, str]:
        return marked(self.lab)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NetworkStore]:
    token = token_of(tmp_path)
    plan = LabPlan(Mode.USER, token, 0, 0, first_port=free_ports(token, STORE_PORTS))
    store = NetworkStore(tmp_path, plan, Here(tmp_path))
    yield store
    for name in store.exports():
        store.forget(name)


def client(store: NetworkStore, name: str) -> socket.socket:
    """One that has opened a disk, by the NBD protocol's own words."""
    address = store.plan.store_address, store.exports()[name]
    opened = socket.create_connection(address, timeout=60.0)
    assert opened.recv(18, socket.MSG_WAITALL).startswith(b"NBDMAGICIHAVEOPT")
    asked = struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)
    go = struct.pack(">8sII", b"IHAVEOPT", 7, len(asked)) + asked
    opened.sendall(struct.pack(">I", 3) + go)
    assert opened.recv(20, socket.MSG_WAITALL)
    return opened


def test_clients_that_never_leave_do_not_use_an_export_up(store: NetworkStore) -> None:
    """As those of hosts that were killed: the next one reads the disk all the same."""
    name, _, place = store.ensure("disk", 1).partition("@")
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(client(store, name))
        shown = subprocess.run(
            ["qemu-img", "info", f"nbd://{place}/{name}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "1 MiB" in shown.stdout
    assert store.healthy()


def test_a_disk_that_cannot_be_exported_is_forgotten(store: NetworkStore) -> None:
    """Its port is somebody else's: that is told, and the store stays whole."""
    store.ensure("disk", 1)
    taken = store.plan.store_port + 1
    holder = socket.socket()
    holder.bind(("127.0.0.1", taken))  # bound and not listening: nobody answers there
    with holder, pytest.raises(Failed, match="could not export other"):
        store.ensure("other", 1)
    assert list(store.exports()) == ["disk"]
    assert not store.image("other").exists()
    assert store.healthy()
    store.ensure("other", 1)
    assert store.healthy()
