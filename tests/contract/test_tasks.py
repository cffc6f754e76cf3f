"""Commands that are begun once, told of by their host, and survive the connection."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

import pytest

from drivers.errors import Refused, Unsupported
from drivers.model.host import Protect
from drivers.model.upgrade import HostTask, TaskLook, TaskState
from drivers.protocol import HostDriver
from tests.contract.conftest import Case

PATIENCE_S = 90.0


async def task(driver: HostDriver, command: str) -> HostTask:
    told = await driver.tasks.standing()
    assert told.boot
    assert told.kernel
    return HostTask(f"contract.{uuid.uuid4().hex}", command, told.root, told.boot)


async def ended(driver: HostDriver, wanted: HostTask) -> TaskLook:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            look = await driver.tasks.look(wanted.token, root=wanted.root)
            if look.state is not TaskState.RUNNING:
                return look
            await asyncio.sleep(0.05)


async def test_a_command_tells_its_output_and_status(case: Case, driver: HostDriver) -> None:
    """An unknown token is absent; one that failed says so; a connection's end ends nothing."""
    if case.kind == "test":  # no host behind it: that is told, and nothing pretended
        with pytest.raises(Unsupported):
            await driver.tasks.standing()
        return
    good, bad = await task(driver, "echo well"), await task(driver, "false")
    assert (await driver.tasks.look(good.token, root=good.root)).state is TaskState.ABSENT
    await driver.tasks.begin(good)
    await driver.tasks.begin(bad)
    await driver.close()
    await driver.connect()
    look = await ended(driver, good)
    assert (look.state, look.status) == (TaskState.ENDED, 0)
    assert "well" in look.output
    assert look.boot == good.boot
    assert (await ended(driver, bad)).status == 1
    for each in (good, bad):
        await driver.tasks.forget(each.token, root=each.root)
        assert (await driver.tasks.look(each.token, root=each.root)).state is TaskState.ABSENT


async def test_a_command_of_another_boot_is_not_begun(case: Case, driver: HostDriver) -> None:
    if case.kind == "test":
        with pytest.raises(Unsupported):
            await driver.tasks.look("nothing", root=False)
        return
    wanted = replace(await task(driver, "echo never"), boot="another")
    assert (await driver.tasks.begin(wanted)).state is TaskState.ABSENT


async def test_a_read_only_host_begins_nothing(case: Case) -> None:
    careful = case.driver(Protect.RO)
    await careful.connect()
    try:
        with pytest.raises(Refused):
            await careful.tasks.begin(HostTask("t", "true", root=False, boot="b"))
    finally:
        await careful.close()


@pytest.mark.lab
async def test_a_token_runs_once_and_its_end_is_kept_clean(contract_lab: Case) -> None:
    """Begun three times it runs once; control characters and a flood of output do no harm."""
    driver = contract_lab.driver()
    await driver.connect()
    try:
        folder = f"/tmp/once-{uuid.uuid4().hex}"
        line = (
            f"mkdir {folder} && printf 'a\\033[31m b\\n' && seq 1 9999 && rmdir {folder} && exit 7"
        )
        wanted = await task(driver, f"{line}; exit 9")
        await asyncio.gather(*(driver.tasks.begin(wanted) for _ in range(3)))
        look = await ended(driver, wanted)
        assert look.status == 7
        assert "\x1b" not in look.output
        assert look.output.endswith("9999")
        assert len(look.output) <= 4000
        assert (await driver.tasks.begin(wanted)).status == 7
        await driver.tasks.forget(wanted.token, root=wanted.root)
        lasting = await task(driver, f"while [ ! -e {folder} ]; do sleep 0.1; done; rm {folder}")
        await driver.tasks.begin(lasting)
        await driver.tasks.forget(lasting.token, root=lasting.root)
        look = await driver.tasks.begin(replace(lasting, command=f"touch {folder}"))
        assert look.state is TaskState.RUNNING
        end = await task(driver, f"touch {folder}")
        await driver.tasks.begin(end)
        for each in (lasting, end):
            assert (await ended(driver, each)).status == 0
            await driver.tasks.forget(each.token, root=each.root)
    finally:
        await driver.close()
