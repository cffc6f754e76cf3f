"""A migration profile of the fleet file is what drains and returns migrate by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.cli import main
from console.config.load import ConfigError, load_fleet, rules_of
from console.headless.status import Exit
from drivers.model.job import Action
from drivers.model.migration import MoveProfile
from drivers.model.operation import Choice, OperationState
from tests.console.opsworld import OpsConsole, fleet, uuid_of

HOST = '[[hosts]]\nname = "kvm1"\nuri = "qemu+ssh://root@kvm1/system"\n'
NIGHT = MoveProfile("night", {"bandwidth_mib": "20"})


async def test_each_live_migration_of_an_operation_goes_by_it(monkeypatch: pytest.MonkeyPatch):
    """Away and home again; a shutdown has nothing of it."""
    world = fleet(3)
    world.local.add(uuid_of(2))
    rules = replace(world.capacity(), profile=NIGHT)
    monkeypatch.setattr(world, "capacity", lambda: rules)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1", {uuid_of(2): Choice.SHUTDOWN})
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE
    requests = [job.plan.request for job in console.jobs.jobs]
    assert [r.options.get("bandwidth_mib") for r in requests if r.action is Action.MIGRATE] == [
        "20", "20",
    ]  # fmt: skip
    assert [dict(r.options) for r in requests if r.action is Action.SHUTDOWN] == [{}]
    back, _ = await console.operations.plan_return("kvm1")
    assert (operation.plan.profile, back.profile) == (NIGHT, NIGHT)
    await console.close()


def test_the_policy_names_one_of_the_profiles(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f'{HOST}[policy]\nprofile = "night"\n[profiles.night]\nbandwidth = 20\n')
    assert rules_of(load_fleet(path)).profile == NIGHT
    path.write_text(f'{HOST}[policy]\nprofile = "nihgt"\n[profiles.night]\nbandwidth = 20\n')
    with pytest.raises(ConfigError) as refused:
        load_fleet(path)
    assert "'nihgt', not under [profiles]" in str(refused.value)


@pytest.mark.parametrize("verb", ["drain", "return"])
def test_a_profile_that_is_not_there_is_a_misspelt_name(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told before any host is asked."""
    path = tmp_path / "fleet.toml"
    path.write_text(f"{HOST}[profiles.night]\nbandwidth = 20\n")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    status = main(["--config", str(path), verb, "kvm1", "--profile", "nihgt", "--dry-run"])
    told = capsys.readouterr().err
    assert status == Exit.USAGE
    assert "no migration profile is called nihgt: the fleet file has: night" in told
