"""What the tests of the unprivileged lab do as an ordinary user: ``python -m`` with a verb.

Needs the standard library alone, as the interpreter may be the system's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from drivers.errors import DriverError
from drivers.lab.fleet import LabFleet
from drivers.lab.ground import default_folder
from drivers.lab.guests import wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.lab.processes import send, wait_until


def fleet_in(folder: str) -> LabFleet:
    return LabFleet(Path(folder), hosts=2, guests=2)


def up(folder: str, hosts: str = "2", guests: str = "2") -> Any:
    LabFleet(Path(folder), hosts=int(hosts), guests=int(guests)).up()
    return status(folder)


def status(folder: str) -> Any:
    return fleet_in(folder).status().as_dict()


def down(folder: str) -> Any:
    fleet_in(folder).down()
    return None


def default() -> Any:
    return str(default_folder())


def refusal(folder: str, mode: str) -> Any:
    """What, proof and fix of the error that ``up`` meets."""
    try:
        LabFleet(Path(folder), mode=mode).up()
    except DriverError as error:
        return [error.problem.what, error.problem.proof, error.problem.fix]
    return None


def no_down(folder: str) -> Any:
    """What the error says that ``down`` meets."""
    try:
        fleet_in(folder).down()
    except DriverError as error:
        return error.problem.what
    return ""


def pids(folder: str) -> Any:
    found: list[int | None] = []
    for host in fleet_in(folder).hosts:
        found += [host.libvirtd_pid, host.sshd_pid]
        found += [host.qemu_pid(vm) for vm in host.domains(running=True).values()]
    return found


def breakdown(folder: str) -> Any:
    """Kill a guest, a libvirtd and an sshd; returns whether the fleet calls itself healthy."""
    fleet = fleet_in(folder)
    fleet.where("db1").qemu_kill("db1")
    fleet.hosts[0].libvirtd_kill()
    fleet.hosts[1].sshd_kill()
    return status(folder)["healthy"]


def orphan_probe(folder: str) -> Any:
    """Kill libvirtd while a QEMU tells it what it can do; returns how many are left."""
    host = fleet_in(folder).hosts[0]
    while not _killed_as_it_asked(host):  # it may have been told all just before
        continue
    return len(host.probes())


def _killed_as_it_asked(host: LabHost) -> bool:
    """The QEMU is stopped first: one that had told all is being killed by libvirtd, and goes."""
    host.libvirtd_kill()
    known = host.folder / "d" / "cache" / "libvirt" / "qemu" / "capabilities"
    shutil.rmtree(known, ignore_errors=True)
    argv = ["libvirtd", "-d", "-f", str(host.folder / "etc" / "libvirtd.conf")]
    subprocess.run(argv, env=host.environment(), stdin=subprocess.DEVNULL, check=True)
    asking = ["virsh", "-c", host.direct_uri, "capabilities"]
    with subprocess.Popen(asking, env=host.environment(), stdout=subprocess.DEVNULL):
        wait_until(lambda: bool(host.probes()), 60, 0.001)
        held = [probe for probe in host.probes() if send(probe, signal.SIGSTOP)]
        host.libvirtd_kill()
    return bool([probe for probe in held if send(probe, signal.SIGCONT)])


def migrate_shared(folder: str) -> Any:
    """Move ``db1`` with the stock client, as peers; returns how that ended."""
    fleet = fleet_in(folder)
    source = fleet.where("db1")
    target = next(host for host in fleet.hosts if host is not source)
    before = wait_for_count(source.disk_file("db1"), 1).newest
    words = ["--live", "--p2p", "--persistent", "--undefinesource"]
    source.virsh("migrate", *words, "db1", target.peer_uri, target.migrate_uri)
    return _outcome(fleet, source, "db1", before)


def migrate_copied(folder: str) -> Any:
    """Move a guest with its disk, which has another path on the other host."""
    fleet = fleet_in(folder)
    source, target = fleet.hosts
    fleet.define_guest(GuestSpec("copied", write_counter=True, counter_ms=100), on=source.name)
    before = wait_for_count(source.disk_file("copied"), 3).newest
    target.virsh("vol-create-as", "hot", "copied.raw", "32MiB", "--format", "raw")
    text = source.virsh("dumpxml", "--migratable", "copied")
    path = fleet.folder / source.name / "etc" / "copied.xml"
    path.write_text(text.replace(source.pool_path("hot"), target.pool_path("hot")))
    words = ["--live", "--p2p", "--copy-storage-all", "--persistent", "--undefinesource"]
    words += ["--listen-address", "127.0.0.1", "--xml", str(path), "--persistent-xml", str(path)]
    source.virsh("migrate", *words, "copied", target.peer_uri, target.migrate_uri)
    return _outcome(fleet, source, "copied", before)


def _outcome(fleet: LabFleet, source: LabHost, name: str, before: int) -> Any:
    now = fleet.where(name)
    counter = wait_for_count(now.disk_file(name), before + 3)
    return {
        "moved": now.name != source.name,
        "state": now.virsh("domstate", name),
        "left": name in source.domains().values(),
        "lost": counter.lost,
    }


def shutdown(folder: str) -> Any:
    """Ask ``db1``, which is up for sure, to shut down and wait until it is off."""
    fleet = fleet_in(folder)
    host = fleet.where("db1")
    wait_for_count(host.disk_file("db1"), fleet.counter("db1").newest + 1)
    host.virsh("shutdown", "db1")
    return wait_until(lambda: host.virsh("domstate", "db1") == "shut off", 90)


def ssh(folder: str, host: str, command: str) -> Any:
    """What a command prints when the stock client runs it on a host."""
    argv = ["ssh", "-F", str(fleet_in(folder).ssh_config), "-o", "BatchMode=yes", host, command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() or done.stderr.strip()


def forward(folder: str) -> Any:
    """Leave a connection behind that forwards a socket and runs nothing, and its sshd killed."""
    fleet = fleet_in(folder)
    host = fleet.hosts[0]
    socket = Path.home() / "fwd"
    argv = ["ssh", "-F", str(fleet.ssh_config), "-f", "-N", "-o", "ExitOnForwardFailure=yes"]
    argv += ["-L", f"{socket}:{host.folder}/r/libvirt/libvirt-sock", host.name]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    uri = f"qemu+unix:///session?socket={socket}"
    listed = subprocess.run(
        ["virsh", "-q", "-c", uri, "list", "--name"], capture_output=True, check=False
    )
    host.sshd_kill()
    return listed.stdout.decode().split()


VERBS = (
    up,
    status,
    down,
    default,
    refusal,
    no_down,
    pids,
    breakdown,
    orphan_probe,
    migrate_shared,
    migrate_copied,
    shutdown,
    ssh,
    forward,
)

if __name__ == "__main__":
    os.umask(0o077)
    print(json.dumps({verb.__name__: verb for verb in VERBS}[sys.argv[1]](*sys.argv[2:])))
