"""Real hosts are upgraded one after another: their daemons go down and come back, no guest does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.errors import Refused
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.lab.netns import OPERATOR, NetnsHost
from drivers.lab.processes import wait_until
from drivers.model.host import HostSpec
from drivers.model.upgrade import HostTask, TaskState
from tests.contract.conftest import Nobody
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, running_on, still_counts, sweep

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

HOSTS = ("kvm2", "kvm3")
GUESTS = {"up-a": "kvm2", "up-b": "kvm3"}
RAN = "/run/upgrade-ran"


@pytest.fixture
def guests(mended: LabFleet) -> Iterator[dict[str, str]]:
    """One counting guest on each host to upgrade; name to UUID."""
    if not isinstance(mended.host("kvm2"), NetnsHost):
        pytest.skip("needs hosts whose daemons can be told apart from inside: root and namespaces")
    usual = {"shared": True, "write_counter": True, "counter_ms": 100, "disk_mib": 16}
    yield {
        name: mended.define_guest(GuestSpec(name, **usual), on=host)  # type: ignore[arg-type]
        for name, host in GUESTS.items()
    }
    for name in GUESTS:
        mended.remove_guest(name)
        sweep(mended, name)


def script(host: LabHost) -> Path:
    """What stands for a reboot where the kernel cannot restart: all daemons end and begin anew."""
    log = host.inside(host.folder / "log" / "sshd.log")
    sshd = host.inside(host.folder / "ssh" / "sshd_config")
    libvirtd = host.inside(host.folder / "etc" / "libvirtd.conf")
    path = host.folder / "restart.sh"
    path.write_text(
        f"echo once >> {RAN}\n"
        "old=$(cat /run/libvirtd.pid); kill -9 $old\n"
        "for d in /proc/[0-9]*; do\n"
        '  case "$(cat $d/comm 2>/dev/null)" in sshd*) kill -9 ${d#/proc/};; esac\n'
        "done\n"
        f"/usr/sbin/sshd -E {log} -f {sshd} && libvirtd -d -f {libvirtd} && echo all is back\n"
    )
    return path


def test_daemons_restart_one_host_at_a_time_and_a_killed_console_is_followed(
    mended: LabFleet, guests: dict[str, str], tmp_path: Path
) -> None:
    """The console is killed while the canary's command runs; resume ends it, nothing runs twice."""
    scripts = {name: mended.host(name).inside(script(mended.host(name))) for name in HOSTS}
    cli = Cli(tmp_path, mended.specs())
    line = f"case $(hostname) in {' '.join(f'{n}) sh {p};;' for n, p in scripts.items())} esac"
    told = {"commands": [line], "health": ["virsh -q uri"], "expect_kernel": "*"}
    words = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    more = ["[upgrade]", *words, "reboot = false", 'back_deadline = "2m"', ""]
    cli.config.write_text(cli.config.read_text() + "\n".join(more))
    mine = set(guests.values())
    rest = [u for n in HOSTS for u in mended.host(n).domains(running=True) if u not in mine]
    leave = [word for uuid in rest for word in ("--leave", uuid)]
    dry = cli("upgrade", "--hosts", *HOSTS, *leave, "--dry-run", "--json")
    assert dry.status == 0, dry.err
    assert [h["host"] for h in dry.json()["upgrade"]["hosts"]] == list(HOSTS)
    assert line in dry.err
    with cli.begun("upgrade", "--hosts", *HOSTS, *leave, "--yes", "--json") as process:
        assert process.stdout is not None
        for text in process.stdout:
            stages = json.loads(text)["stages"]
            if any(s["stage"] == "command" and s["state"] == "running" for s in stages):
                break
        else:
            raise AssertionError((cli.folder / "stderr").read_text())
    ident = next(r["id"] for r in cli("jobs", "--json").json() if r["action"] == "upgrade")
    resumed = cli("jobs", "resume", ident, "--json")
    assert resumed.status == 0, resumed.err + resumed.out
    ended = resumed.last()
    assert ended["progress"].endswith("2 of 2 hosts done; safe to stop: yes.")
    assert {s["state"] for s in ended["stages"]} == {"done"}
    assert all("back after" in s["note"] for s in ended["stages"] if s["stage"] == "wait")
    for name in HOSTS:
        assert mended.host(name).run(["cat", RAN]).stdout.split() == ["once"], name
        mended.host(name).run(["rm", RAN])
        left = mended.host(name).run(["sh", "-c", "ls -d /run/novacron-task-*"], check=False)
        assert left.stdout == ""
    for name, home in GUESTS.items():
        assert wait_until(lambda n=name, h=home: running_on(mended, guests[n]) == [h], PATIENCE_S)
        still_counts(mended, name)
    assert cli("cordon", "--json").json() == []


STAND_IN = "/run/stand-in"
ALLOWED = f"{STAND_IN}/allowed"
SUDO = f"""#!/bin/sh
[ "$1" = -n ] && shift && [ -e {ALLOWED} ] || {{ echo "sudo: a password is required" >&2; exit 1; }}
exec {STAND_IN}/become --reuid 0 --regid 0 --clear-groups -- "$@"
"""


@pytest.fixture
def operated(mended: LabFleet) -> Iterator[HostSpec]:
    """kvm2, reached as a login that is not root and finds the stand-in for sudo."""
    host = mended.host("kvm2")
    if not isinstance(host, NetnsHost):
        pytest.skip("needs a host with a login of its own: root and namespaces")
    text = host.folder / "sudo"
    text.write_text(SUDO)
    keys = host.inside(mended.folder / "ssh" / "authorized_keys")
    host.run(["mkdir", STAND_IN])
    host.run(["install", "-m", "755", host.inside(text), f"{STAND_IN}/sudo"])
    host.run(["sh", "-c", f"install -m 4755 $(command -v setpriv) {STAND_IN}/become"])
    host.run(["install", "-m", "644", keys, "/run/operator/keys"])
    path = f"PATH={STAND_IN}:/usr/local/bin:/usr/bin:/bin"
    host.reconfigure_sshd({"AuthorizedKeysFile": "/run/operator/keys", "SetEnv": path})
    yield replace(host.spec(), uri=f"qemu+ssh://{OPERATOR}@kvm2/system")
    host.run(["rm", "-r", STAND_IN])


async def test_a_login_that_is_not_root_upgrades_through_sudo(
    mended: LabFleet, operated: HostSpec, tmp_path: Path
) -> None:
    """Where sudo wants a password, nothing is begun, and its words and the fix are told.

    A stand-in plays sudo here, which test machines mostly lack: it refuses in sudo's words, or
    becomes root as sudo does. Login, sshd and commands are real.
    """
    host = mended.host("kvm2")
    cli = Cli(tmp_path, [mended.host("kvm1").spec(), operated])
    told = {"commands": [f"id -u >>{RAN}"], "health": ["true"], "expect_kernel": "*"}
    words = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    more = ["[upgrade]", *words, "reboot = false", "keep_spare = false", ""]
    cli.config.write_text(cli.config.read_text() + "\n".join(more))
    leave = [word for uuid in host.domains(running=True) for word in ("--leave", uuid)]
    upgrade = ("upgrade", "--hosts", "kvm2", *leave)

    refused = await asyncio.to_thread(cli, *upgrade, "--yes", "--json")
    assert refused.status != 0
    assert "commands need root on kvm2, and the login operator is not" in refused.err
    assert "sudo: a password is required" in refused.err
    assert "NOPASSWD" in refused.err
    host.run(["test", "!", "-e", RAN])

    host.run(["touch", ALLOWED])
    done = await asyncio.to_thread(cli, *upgrade, "--yes", "--json")
    assert done.status == 0, done.err + done.out
    assert host.run(["cat", RAN]).stdout.split() == ["0"]
    host.run(["rm", RAN])

    await _sudo_lost_midway(host, operated)


async def _sudo_lost_midway(host: LabHost, spec: HostSpec) -> None:
    """Its refusal is told for what it is; allowed again, what was begun is found, once."""
    driver = KvmDriver(spec, Nobody())
    await driver.connect()
    try:
        standing = await driver.tasks.standing()
        assert (standing.user, standing.root) == (OPERATOR, True)
        task = HostTask("sudo.1", f"echo once >>{RAN}", root=True, boot=standing.boot)
        await driver.tasks.begin(task)
        host.run(["rm", ALLOWED])
        with pytest.raises(Refused, match="refuses root to the login: sudo: a password") as lost:
            await driver.tasks.look(task.token, root=True)
        assert "NOPASSWD" in lost.value.problem.fix
        standing = await driver.tasks.standing()
        assert (standing.root, standing.denied) == (False, "sudo: a password is required")
        host.run(["touch", ALLOWED])
        while (look := await driver.tasks.begin(task)).state is TaskState.RUNNING:
            assert look.status is None
        assert (look.state, look.status) == (TaskState.ENDED, 0)
        await driver.tasks.forget(task.token, root=True)
    finally:
        await driver.close()
    assert host.run(["cat", RAN]).stdout.split() == ["once"]
    left = host.run(["sh", "-c", "ls -d /run/novacron-task-*"], check=False)
    assert left.stdout == ""
    host.run(["rm", RAN])
