"""What looks like a secret is run, and neither kept nor shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.headless.progress import print_plan
from drivers.errors import Refused
from drivers.model.job import Verdict
from drivers.model.operation import OperationState
from screens.prose import wrap
from screens.render.upgrade import upgrade_plan_text
from tests.console.opsworld import OpsConsole
from tests.console.upgradeworld import UPGRADE, UpgradeWorld, go_on, upgrade_fleet

SECRET = "hunter2-Xy"
LOGIN = f"register --password={SECRET}"
CHECK = f"curl -u ops:{SECRET} https://mirror/ok"


def secret_fleet() -> UpgradeWorld:
    """Hosts whose upgrade begins with a login, and whose health is asked for with another."""
    return upgrade_fleet(commands=(LOGIN, UPGRADE), health=(CHECK,), reboot=False, expect_kernel="")


async def test_a_secret_is_run_and_not_recorded(capsys: pytest.CaptureFixture[str]):
    """Not in the plan, the store, the ledger, the events or the output; the dry run warns."""
    world = secret_fleet()
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(("kvm1",))
    assert plan.upgrade is not None
    assert [c.verdict for c in plan.upgrade.checks] == [Verdict.WARN] * 2
    shown = "\n".join(line.plain for line in wrap(upgrade_plan_text(plan), 200))
    print_plan(plan, as_json=True)
    told = capsys.readouterr()
    for text in (shown, told.err):
        assert "warn" in text
        assert "register --password=***" in text
    world.statuses[LOGIN] = 1
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.PAUSED
    assert "register --password=*** on kvm1: status 1" in str(operation.problem)
    world.statuses = {CHECK: 1}  # until the time is up
    operation = await go_on(console, operation)
    assert "check `curl -u ops:*** https://mirror/ok`" in str(operation.problem)
    world.statuses.clear()
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    assert {line for _, line in world.ran} == {LOGIN, UPGRADE, CHECK}
    kept = (plan, world.operations, world.ledger, console.events, shown, told.err, told.out)
    assert SECRET not in repr(kept)
    await console.close()


async def test_a_line_whose_secret_is_not_configured_any_more_is_not_run():
    """A console with another fleet file asks a person; nothing runs with the mask in it."""
    world = secret_fleet()
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    world.rules[""] = replace(world.rules[""], commands=(UPGRADE,))
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert operation.problem is not None
    assert "the secret of this line is not recorded" in operation.problem.what
    assert world.ran == []
    world.rules[""] = replace(world.rules[""], commands=(LOGIN, UPGRADE))
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    assert world.ran[0] == ("kvm1", LOGIN)
    await console.close()


async def test_a_check_whose_secret_is_not_configured_any_more_is_told_as_that():
    """Nobody looks for a host that does not answer."""
    world = upgrade_fleet(health=(LOGIN,))
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    world.rules[""] = replace(world.rules[""], health=())
    operation = await console.ended(ident)
    assert operation.problem is not None
    assert "s: the secret of this line is not recorded" in operation.problem.what
    assert "sshd" not in operation.problem.what
    world.rules[""] = replace(world.rules[""], health=(LOGIN,))
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    await console.close()


async def test_lines_that_differ_in_a_secret_alone_are_refused():
    """They could not be told apart after a resume."""
    world = upgrade_fleet(commands=("login --token one-1", "login --token two-2"))
    console = OpsConsole(world)
    with pytest.raises(Refused, match=r"two lines differ only .*: login --token \*\*\*"):
        await console.operations.plan_upgrade(("kvm1",))
    await console.close()
