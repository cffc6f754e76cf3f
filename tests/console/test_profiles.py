"""Migration profiles: read from the fleet file, carried as options, overridden by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config.load import ConfigError, load_fleet
from console.config.profiles import named_profile
from console.headless.status import Exit
from console.policy.tuning import option_problem, promise_of
from drivers.model.migration import Lever
from drivers.model.problem import Problem
from tests.console.test_headless import URI, Run, run

__all__ = ["run"]

FILE = """
[profiles.careful]
bandwidth = 50
downtime_ms = 200
longest_downtime_ms = 500
finish_within = "10m"
auto_converge = true
levers = ["bandwidth", "downtime"]
"""


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    return path


def test_a_profile_becomes_options_that_hold_together(fleet_file: Path) -> None:
    found = named_profile(load_fleet(fleet_file), "careful")
    assert not isinstance(found, Problem)
    assert found == {
        "bandwidth_mib": "50", "downtime_ms": "200", "longest_downtime_ms": "500",
        "finish_s": "600", "auto_converge": "yes", "levers": "bandwidth,downtime",
    }  # fmt: skip
    assert option_problem(found) is None
    promise = promise_of(found)
    assert promise is not None
    assert (promise.finish_s, promise.max_downtime_ms) == (600.0, 500.0)
    assert promise.levers == (Lever.BANDWIDTH, Lever.DOWNTIME)


def test_an_unknown_profile_names_those_there_are(fleet_file: Path) -> None:
    problem = named_profile(load_fleet(fleet_file), "quick")
    assert isinstance(problem, Problem)
    assert "careful" in problem.proof


def test_a_wrong_lever_is_refused_with_file_and_key(fleet_file: Path) -> None:
    fleet_file.write_text(FILE.replace('"downtime"', '"prayer"'))
    with pytest.raises(ConfigError) as refused:
        load_fleet(fleet_file)
    assert "levers" in str(refused.value)
    assert "fleet.toml" in str(refused.value)


def test_the_command_line_refuses_an_unknown_profile(run: Run) -> None:
    status, _, err = run("migrate", "test", "--to", "x", "--profile", "nope", *URI)
    assert status == Exit.USAGE
    assert "nope" in err
