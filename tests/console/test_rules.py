"""``[policy]`` of a fleet file, as the planners take it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from console.config.load import ConfigError, load_fleet, rules_of
from console.config.schema import PolicySettings
from console.headless.init import fleet_text
from console.policy.drain.rules import limits_of
from console.policy.preflight.grounds import USUAL_MEMORY, USUAL_VCPUS, Group, Rules

MIB = 1 << 20


def rules(folder: Path, text: str) -> Rules:
    path = folder / "fleet.toml"
    path.write_text(text)
    return rules_of(load_fleet(path))


def test_without_policy_every_planner_counts_with_the_same(tmp_path: Path) -> None:
    """Pre-flight, drains and upgrades, and what the fleet file is said to hold to."""
    found = rules(tmp_path, 'name = "x"\n')
    assert found == Rules()
    limits = limits_of(found)
    assert (limits.vcpu_overcommit, limits.memory_overcommit) == (USUAL_VCPUS, USUAL_MEMORY)
    assert (found.vcpu_share, found.memory_share) == (USUAL_VCPUS, USUAL_MEMORY)
    told = inspect.getsource(PolicySettings)
    assert f"Unset: {USUAL_VCPUS:g};" in told
    assert f"unset: {USUAL_MEMORY:g}," in told


def test_every_key_arrives_in_the_planners_units(tmp_path: Path) -> None:
    """MiB become bytes, words become groups."""
    found = rules(
        tmp_path,
        "[policy]\ncpu_overcommit = 3\nmemory_overcommit = 1.5\nmemory_reserve_mb = 512\n"
        'clock_skew = "5s"\nmigration_mib_s = 100\nmoves_per_host = 6\nmoves_per_link = 3\n'
        '[[policy.groups]]\nname = "db"\nrule = "apart"\nvms = ["a", "b"]\ntags = ["t"]\n'
        "strict = false\n",
    )
    group = Group("db", "apart", frozenset(("a", "b")), frozenset(("t",)), strict=False)
    assert found == Rules(3.0, 1.5, 512 * MIB, 5.0, 100.0 * MIB, 6, 3, 6, 3, (group,))
    limits = limits_of(found)
    assert (limits.per_host, limits.per_link, limits.small) == (6, 3, 200 * MIB)
    assert (limits.small_per_host, limits.small_per_link) == (6, 3)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cpu_overcommit = 0", "policy.cpu_overcommit"),
        ("memory_reserve_mb = -1", "policy.memory_reserve_mb"),
        ("moves_per_host = 0", "policy.moves_per_host"),
        ('[[policy.groups]]\nname = "x"\nrule = "near"', "'together' or 'apart'"),
    ],
)
def test_nonsense_is_named_with_its_key(tmp_path: Path, line: str, words: str) -> None:
    """File, line and what was expected."""
    with pytest.raises(ConfigError, match="line") as caught:
        rules(tmp_path, f"[policy]\n{line}\n")
    assert words in str(caught.value)


def test_the_written_example_is_valid_once_uncommented(tmp_path: Path) -> None:
    """What ``novacron init`` explains is what the file takes."""
    text = fleet_text({}, [])
    start = text.index("# [policy]")
    part = text[start : text.index("# [keys]")]
    lines = [line.removeprefix("# ").removeprefix("#") for line in part.splitlines()]
    found = rules(tmp_path, "\n".join(lines))
    assert (found.cpu_overcommit, found.memory_overcommit) == (USUAL_VCPUS, USUAL_MEMORY)
    assert [g.rule for g in found.groups] == ["apart"]
