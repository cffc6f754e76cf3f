"""An upgrade that reboots the console's own host says so before it begins, and wants a choice."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from console.headless.choices import choices_for_all
from console.jobs.owner import this_boot
from console.policy.upgrade.here import THIS_CONSOLE
from drivers.errors import Refused
from drivers.model.job import Verdict
from drivers.model.operation import Choice, OperationState
from tests.console.opsworld import OpsConsole
from tests.console.upgradeworld import upgrade_fleet


async def test_the_consoles_own_host_reboots_by_choice_alone():
    """Both tell the same boot; `all` is meant for VMs, so the console is chosen by its name."""
    world = upgrade_fleet()
    world.console_boot = world.boot("kvm2")
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(("kvm1", "kvm2"))
    (stuck,) = plan.undecided
    assert stuck.why.what == "this console runs on kvm2, and a reboot there ends it"
    assert "both tell boot kvm2-0" in stuck.why.proof
    assert stuck.choices == (Choice.LEAVE,)
    assert choices_for_all(argparse.Namespace(leave=["all"]), plan, Choice.LEAVE) == {}
    with pytest.raises(Refused, match="a choice is needed for this-console"):
        await console.operations.start(plan)
    chosen = {THIS_CONSOLE: Choice.LEAVE}
    plan = await console.operations.plan_upgrade(("kvm1", "kvm2"), "", chosen)
    assert plan.upgrade is not None
    assert not plan.undecided
    assert [c.verdict for c in plan.upgrade.checks] == [Verdict.WARN]
    assert "this console runs on kvm2: its reboot ends the console" in plan.upgrade.checks[0].text
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE, operation.problem
    await console.close()


@pytest.mark.parametrize(
    ("boot", "hosts", "verdicts"),
    [
        ("kvm2-0", ("kvm2",), [Verdict.WARN]),
        ("kvm2-0", ("kvm1", "kvm3"), []),
        ("", ("kvm2",), [Verdict.NOT_TESTED]),
    ],
)
async def test_without_a_reboot_it_is_told_alone(
    boot: str, hosts: tuple[str, ...], verdicts: list[Verdict]
):
    """Nothing is asked: what is run may spare the console. Another host's upgrade says nothing."""
    world = upgrade_fleet(reboot=False, expect_kernel="")
    world.console_boot = boot
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(hosts)
    assert plan.upgrade is not None
    assert [c.verdict for c in plan.upgrade.checks] == verdicts
    assert not plan.undecided
    await console.close()


def test_the_boot_is_the_one_that_hosts_tell(tmp_path: Path):
    """As the kernel writes it; nothing where it does not."""
    told = tmp_path / "proc/sys/kernel/random/boot_id"
    told.parent.mkdir(parents=True)
    told.write_text("3f2a\n")
    assert this_boot(tmp_path) == "3f2a"
    assert this_boot(tmp_path / "none") == ""
