"""Verbs without a screen, on libvirt's own test driver: rows, plans, jobs, exit statuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from console.cli import main
from console.headless.status import Exit
from tests.node import ONE_VM

pytest.importorskip("libvirt")

URI = ("--uri", ONE_VM)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command as a user with an empty home; gives status, output and errors."""
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.delenv("NOVACRON_CONFIG", raising=False)

    def run_one(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(argv)
        out, err = capsys.readouterr()
        return status, out, err

    return run_one


def test_vms_as_json_and_as_a_table(run: Run) -> None:
    """The same rows for people and for programs."""
    status, out, _ = run("vms", "--json", *URI)
    assert status == Exit.OK
    row = json.loads(out)[0]
    assert (row["name"], row["state"], row["memory"]) == ("test", "running", 2 << 30)
    _, table, _ = run("vms", *URI)
    assert "test" in table
    assert "2.0G" in table


def test_a_host_that_cannot_be_reached_is_told_and_counts(run: Run) -> None:
    """The other hosts' rows are printed all the same."""
    status, out, err = run("vms", "--json", *URI, "--uri", "qemu+unix:///system?socket=/nowhere")
    assert status == Exit.UNREACHABLE
    assert json.loads(out)[0]["name"] == "test"
    assert "local:" in err


def test_an_action_runs_as_a_job_and_is_on_record(run: Run) -> None:
    """Plan, preview with the virsh line, result, and the journal afterwards."""
    status, out, err = run("pause", "test", "--yes", *URI)
    assert status == Exit.OK, err
    assert f"virsh -c {ONE_VM} suspend" in err
    last = json.loads(out.splitlines()[-1])
    assert last["state"] == "done"
    assert "paused" in last["outcome"]
    _, journal, _ = run("jobs", "--json")
    (job,) = json.loads(journal)
    assert (job["action"], job["vm"], job["state"]) == ("pause", "test", "done")


def test_a_dry_run_changes_nothing(run: Run) -> None:
    """The plan as JSON, no job."""
    status, out, _ = run("force-off", "test", "--dry-run", "--json", *URI)
    assert status == Exit.OK
    (plan,) = json.loads(out)
    assert any(step["virsh"].endswith("destroy test") for step in plan["steps"])
    _, rows, _ = run("vms", "--json", *URI)
    assert json.loads(rows)[0]["state"] == "running"


def test_what_makes_no_sense_is_refused_with_the_reason(run: Run) -> None:
    """Starting what runs is a refusal, not a failure."""
    status, _, err = run("start", "test", "--yes", *URI)
    assert status == Exit.REFUSED
    assert "already" in err


def test_a_refusal_is_json_for_programs(run: Run) -> None:
    """With --json the refused plan is on stdout, with the reason."""
    status, out, _ = run("start", "test", "--json", "--yes", *URI)
    assert status == Exit.REFUSED
    assert json.loads(out)[0]["refusal"]["what"]


def test_without_a_terminal_nothing_is_confirmed_by_itself(run: Run) -> None:
    """A script that forgot --yes does no harm."""
    status, _, err = run("force-off", "test", *URI)
    assert status == Exit.REFUSED
    assert "--yes" in err


def test_an_unknown_name_says_where_it_looked(run: Run) -> None:
    """The answer names what to run next."""
    status, _, err = run("start", "nobody", *URI)
    assert status == Exit.USAGE
    assert "No VM is called nobody" in err


def test_a_vm_that_may_be_on_an_unread_host_is_not_called_misspelt(run: Run) -> None:
    """A script may try again once the host answers."""
    away = ("--uri", "qemu+unix:///system?socket=/nowhere")
    status, _, err = run("start", "nobody", *URI, *away)
    assert status == Exit.UNREACHABLE
    assert "not looked at: local" in err
    assert run("drain", "kvm9", *URI, *away)[0] == Exit.USAGE


@pytest.mark.parametrize(
    "words",
    [
        "drain kvm9", "drain default --to test=kvm9", "drain default --leave nobody", "return kvm9",
        "cordon kvm9", "uncordon kvm9", "preflight nobody", "preflight test --to kvm9",
        "migrate test --to kvm9", "migrate nobody --to test", "jobs undo op-9", "jobs resume op-9",
    ],
)  # fmt: skip
def test_a_misspelt_name_has_one_exit_status(run: Run, words: str) -> None:
    """Whatever the verb: it is how the command was written, and nothing was refused or failed."""
    status, _, err = run(*words.split(), *URI)
    assert status == Exit.USAGE, err
    assert "9" in err or "nobody" in err


def test_opening_an_open_host_says_that_it_was_open(run: Run) -> None:
    """And leaves nothing on the ledger: only one deed is there, begun and ended."""
    assert "is not cordoned: nothing was changed" in run("uncordon", "default", *URI)[2]
    run("cordon", "default", *URI)
    assert "default takes VMs again" in run("uncordon", "default", *URI)[2]
    assert run("audit")[1].count("Uncordon default") == 2


def test_without_a_journal_a_verb_names_what_can_be_asked_without_a_screen(
    run: Run, tmp_path: Path
) -> None:
    """A script has no top line to look at; ``status`` says why nothing is recorded."""
    (tmp_path / "data").write_text("a file where the folder should be")
    status, _, err = run("cordon", "default", *URI)
    assert status == Exit.FAILED
    assert "`novacron status`" in err
    assert "not recording" in run("status", *URI)[1]


def test_the_help_tells_the_status_of_a_misspelt_name(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where every status stands."""
    with pytest.raises(SystemExit):
        run("--help")
    assert "2 usage or configuration, such as a host, VM, job or operation" in (
        capsys.readouterr().out
    )


def test_no_hosts_at_all_says_how_to_begin(run: Run) -> None:
    """The very first run of a new user."""
    status, _, err = run("vms")
    assert status == Exit.USAGE
    assert "novacron init" in err


def test_a_missing_fleet_file_named_by_the_environment_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error in NOVACRON_CONFIG is an error like one in --config, not an empty fleet."""
    missing = tmp_path / "typo.toml"
    monkeypatch.setenv("NOVACRON_CONFIG", str(missing))
    status, _, err = run("history", "--vm", "test", "--metric", "cpu")
    assert status == Exit.USAGE
    assert str(missing) in err
    assert run("vms", *URI)[0] == Exit.OK


def test_history_before_anything_was_recorded(run: Run) -> None:
    """No file is made by asking."""
    status, _, err = run("sql", "select 1")
    assert status == Exit.FAILED
    assert "Nothing is recorded yet" in err


def test_what_was_recorded_can_be_asked_for(run: Run) -> None:
    """sql reads the journal that an action wrote; a write is refused."""
    run("pause", "test", "--yes", *URI)
    status, out, _ = run("sql", "select count(*) as n from jobs", "--json")
    assert status == Exit.OK
    assert json.loads(out) == [{"n": 1}]
    status, _, err = run("sql", "drop table jobs")
    assert status == Exit.FAILED
    assert err


def test_unknown_metrics_are_listed(run: Run) -> None:
    """A typing error is answered with what there is."""
    status, _, err = run("history", "--vm", "test", "--metric", "cpuu")
    assert status == Exit.USAGE
    assert "steal" in err


def test_check_tells_by_its_exit_status(run: Run) -> None:
    """Good and broken hosts in one report."""
    status, out, _ = run("check", "--json", *URI)
    assert status == Exit.OK, out
    status, out, _ = run("check", "--json", "--uri", "qemu+unix:///system?socket=/nowhere")
    assert status == Exit.UNREACHABLE
    assert any(c["verdict"] == "blocked" for c in json.loads(out)["local"])


def test_the_unit_runs_this_configuration(run: Run) -> None:
    """The printed unit can be saved as it is."""
    status, out, _ = run("--config", "/etc/novacron/fleet.toml", "record", "--unit")
    assert status == Exit.OK
    assert "--config /etc/novacron/fleet.toml record\n" in out


def test_a_vm_named_twice_is_told_and_counts(run: Run) -> None:
    """Only one of the two jobs is started: the exit status must not say that all went well."""
    status, _, err = run("pause", "test", "test", "--yes", *URI)
    assert status == Exit.FAILED
    assert "1 of 2 were not started:" in err
    assert "was not started: " in err


def test_ctrl_d_at_the_question_does_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is a no, and no traceback."""

    def ended() -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", ended)
    status, _, err = run("pause", "test", *URI)
    assert status == Exit.REFUSED
    assert "Nothing was done." in err
