"""``novacron preflight``: the matrix on paper, as JSON, and as an exit status."""

from __future__ import annotations

import json

import pytest

from console.headless import preflight as verb
from console.headless.arguments import parse
from console.headless.status import Exit
from console.policy.preflight.grounds import Grounds
from console.policy.preflight.matrix import preflight
from drivers.model.matrix import Matrix
from tests.policy.evidence import evidence, fit
from tests.policy.fleet import NOW, UUID
from tests.policy.test_preflight import whole


def matrix(*targets: str, cordoned: str = "", machine: bool = True, tested: bool = True) -> Matrix:
    found = evidence(fits={(UUID, "kvm2"): fit(machine=machine)}) if tested else None
    grounds = Grounds(cordoned={cordoned: "by ann"} if cordoned else {}, evidence=found)
    return preflight(whole(), (UUID,), targets or ("kvm1", "kvm2"), now=NOW, grounds=grounds)


def test_words_of_the_command_line() -> None:
    """Any number of VMs and targets; without targets all hosts are meant."""
    args = parse(["preflight", "web1", "kvm1/db1", "--to", "kvm2", "kvm3", "--json"])
    assert (args.command, args.vm, args.to) == (
        "preflight", ["web1", "kvm1/db1"], ["kvm2", "kvm3"],
    )  # fmt: skip
    assert parse(["preflight", "web1"]).to == []


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (matrix(), Exit.OK),
        (matrix(cordoned="kvm2"), Exit.REFUSED),
        (matrix(machine=False), Exit.REFUSED),
        (matrix(tested=False), Exit.FAILED),
    ],
)
def test_the_status_tells_blocked_from_not_tested(found: Matrix, status: Exit) -> None:
    """A script sees from the status alone whether it may go on."""
    assert verb._status(found) == status


def test_the_table_shows_the_worst_and_then_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a VM; below it proof and fix of everything that is not plainly ok."""
    verb._print(matrix(machine=False))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["VM", "FROM", "kvm1", "kvm2"]
    assert lines[1].split() == ["web1", "kvm1", "here", "blocked"]
    text = "\n".join(lines)
    assert "web1 -> kvm2: blocked" in text
    assert "kvm2 does not offer machine type pc-q35-7.2  (pc-q35-7.2 wanted; it offers" in text
    assert "fix: update QEMU on kvm2" in text
    assert "duration" in text
    assert "memory fits" not in text


def test_names_from_hosts_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A VM is called what its owner likes."""
    rows = matrix().rows
    evil = Matrix(NOW, ("kvm1", "kvm2"), tuple(
        type(r)(r.uuid, "a\x1b[2J\u202eb", r.host, r.cells) for r in rows
    ))  # fmt: skip
    verb._print(evil)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_json_holds_every_check_of_every_cell() -> None:
    """The VM's own host is no cell; verdicts are words."""
    told = json.loads(json.dumps(verb.matrix_json(matrix(cordoned="kvm2"))))
    (row,) = told["rows"]
    (cell,) = row["cells"]
    assert (row["vm"], row["host"], cell["target"]) == ("web1", "kvm1", "kvm2")
    assert cell["verdict"] == "blocked"
    (cordon,) = [c for c in cell["checks"] if c["name"] == "maintenance"]
    assert cordon == {
        "name": "maintenance", "verdict": "blocked", "proof": "by ann",
        "text": "kvm2 is cordoned: it takes no VMs", "fix": "uncordon it first",
    }  # fmt: skip
    assert {"cpu", "memory", "disk vda", "duration"} <= {c["name"] for c in cell["checks"]}
