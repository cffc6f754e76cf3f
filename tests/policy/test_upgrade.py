"""Plans of upgrades, their words, and whether a host is back, on fleets small enough to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.config.schema import FleetFile, UpgradeEntry
from console.config.upgrades import upgrades_of
from console.policy.drain.fits import fits_in
from console.policy.preflight.estimate import ASSUMED_BPS
from console.policy.preflight.grounds import Bandwidth
from console.policy.upgrade.health import Wanted, kernel_problem, missing, well_words
from console.policy.upgrade.plan import Facts, plan_upgrade, stage_runs
from console.policy.upgrade.words import time_words, upgrade_words
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Link, LinkState, Protect
from drivers.model.operation import (
    Choice,
    MoveState,
    Operation,
    OperationPlan,
    OperationState,
    StageRun,
)
from drivers.model.problem import Problem
from drivers.model.upgrade import Standing, UpgradeRules
from drivers.model.vm import VmState
from tests.policy.fleet import NOW, change
from tests.policy.test_drain import USUAL, fleet, guest

RULES = UpgradeRules(commands=("apt-get -y full-upgrade",), expect_kernel="6.1.0-30*")
STANDING = Standing("b1", "6.1.0-29", "ops", root=True)
ALL = ("kvm1", "kvm2", "kvm3")


def upgrade(
    snapshot: FleetSnapshot,
    hosts: tuple[str, ...] = ALL,
    rules: UpgradeRules = RULES,
    **fields: object,
) -> OperationPlan:
    facts = Facts(
        snapshot,
        lambda picture: fits_in(picture, now=NOW),
        USUAL,
        {h.name: STANDING for h in snapshot.hosts},
        NOW,
        boot="jump1-0",
    )
    return plan_upgrade(hosts, rules, replace(facts, **fields))  # type: ignore[arg-type]


def test_moves_take_as_long_as_was_measured():
    """Both ways, each by its own link; what is shut down does not travel."""
    one, off = guest(1), guest(2, shared=False)
    choices = {off.uuid: Choice.SHUTDOWN}
    closed, size = ("kvm3",), one.memory

    def seconds(**known: object) -> float | None:
        plan = upgrade(fleet(one, off), ("kvm1",), choices=choices, cordoned=closed, **known)
        assert plan.upgrade is not None
        return plan.upgrade.move_s

    assert seconds() == pytest.approx(2 * size / ASSUMED_BPS)
    assert seconds(link_bps=size / 8) == pytest.approx(16)
    ways = {
        ("kvm1", "kvm2"): Bandwidth(size / 10, "measured"),
        ("kvm2", "kvm1"): Bandwidth(size / 50, "measured"),
    }
    assert seconds(link_bps=size / 8, bandwidth=ways) == pytest.approx(60)


def test_the_plan_tells_order_commands_and_targets():
    """Canary first, verbatim commands, where VMs go, what it takes."""
    plan = upgrade(fleet(guest(1), guest(2, home="kvm2")), rules=replace(RULES, canary="kvm2"))
    assert plan.upgrade is not None
    assert plan.host == "kvm2, kvm1, kvm3"
    assert plan.effects[:4] == (
        "kvm2 first as the canary, then kvm1, then kvm3",
        "each host runs as root: apt-get -y full-upgrade",
        "each host reboots as root: systemctl reboot",
        "each host expects kernel 6.1.0-30*",
    )
    assert [len(h.moves) for h in plan.upgrade.hosts] == [1, 1, 0]
    assert [s.verb.value for s in plan.upgrade.hosts[0].stages] == [
        "drain", "command", "reboot", "wait", "return",
    ]  # fmt: skip
    assert plan.upgrade.hosts[0].pools == ("hot", "warm", "cold")
    assert plan.outlook_text == "all 2 VMs that move have a place while their host is out"
    assert time_words(plan.upgrade).endswith("commands and reboots at most 270 min")


def test_one_host_alone_needs_no_order():
    """What is run there is told with its name."""
    plan = upgrade(fleet(guest(1)), ("kvm1",))
    assert plan.effects[0] == "kvm1 runs as root: apt-get -y full-upgrade"
    assert not any("each host" in line for line in plan.effects)


def test_a_vm_that_cannot_move_needs_a_choice_and_its_end_is_told():
    """Left behind it goes down with the host; off with autostart it comes up with it."""
    old = guest(3, state=VmState.OFF, autostart=True)
    snapshot = fleet(guest(1, shared=False, autostart=True), old)
    plan = upgrade(snapshot)
    assert [s.vm_name for s in plan.undecided] == ["web1"]
    assert "web3 is off and starts with kvm1: autostart is on" in plan.effects
    chosen = upgrade(snapshot, choices={guest(1).uuid: Choice.LEAVE})
    told = "web1, left on kvm1 by choice, GOES DOWN, and starts again with its host"
    assert told in chosen.effects
    assert not chosen.undecided


@pytest.mark.parametrize(
    ("hosts", "rules", "fields", "words"),
    [
        ((), RULES, {}, "no host was named"),
        (("kvm1", "kvm1"), RULES, {}, "kvm1 was named twice"),
        (("kvm9",), RULES, {}, "there is no host kvm9"),
        (("kvm1",), UpgradeRules(reboot=False), {}, "there is nothing to do"),
        (("kvm1",), replace(RULES, canary="kvm2"), {}, "the canary kvm2 is not among the hosts"),
        (("kvm1",), RULES, {"standings": {}}, "was not asked"),
        (("kvm1",), RULES, {"standings": {"kvm1": Problem("no shell there")}}, "no shell there"),
        (
            ("kvm1",), RULES, {"standings": {"kvm1": replace(STANDING, root=False)}},
            "commands need root on kvm1, and the login ops is not",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(hosts, rules, fields, words):
    """Each with its reason."""
    plan = upgrade(fleet(guest(1)), hosts, rules, **fields)
    assert plan.refusal is not None
    assert words in plan.refusal.what


def test_protected_and_unreachable_hosts_are_refused():
    """Neither is touched."""
    snapshot = fleet(guest(1))
    guarded = replace(snapshot.hosts[1].spec, protect=Protect.RO)
    refused = upgrade(change(snapshot, "kvm2", spec=guarded)).refusal
    assert refused is not None
    assert refused.code == "protected"
    refused = upgrade(change(snapshot, "kvm3", link=Link(LinkState.DOWN))).refusal
    assert refused is not None
    assert refused.code == "unreachable"


def test_n_plus_1_is_shown_and_kept_where_asked():
    """With two hosts no other may be lost while one is out."""
    small = fleet(guest(1), hosts=2)
    plan = upgrade(small, ("kvm1",))
    assert plan.refusal is None
    assert plan.spare is not None
    assert plan.spare.verdict.value == "warn"
    refused = upgrade(small, ("kvm1",), replace(RULES, keep_spare=True)).refusal
    assert refused is not None
    assert refused.what == "no further host could be lost while kvm1 is out"


def test_several_are_out_only_where_their_vms_have_a_place():
    """Five hosts, two allowed: the canary alone, then pairs."""
    guests = [guest(n, home=f"kvm{n}") for n in range(1, 6)]
    names = tuple(f"kvm{n}" for n in range(1, 6))
    plan = upgrade(fleet(*guests, hosts=5), names, replace(RULES, max_out=2))
    assert plan.upgrade is not None
    assert [h.batch for h in plan.upgrade.hosts] == [1, 2, 2, 3, 3]
    assert plan.effects[0] == (
        "kvm1 first as the canary, then kvm2 and kvm3 together, then kvm4 and kvm5 together"
    )
    assert {r.host for r in plan.rooms} <= set(names)


def test_progress_is_one_sentence():
    """As an operator reads it aloud."""
    plan = upgrade(fleet(guest(1)), ALL)
    assert plan.upgrade is not None
    runs = stage_runs(plan.upgrade)
    operation = Operation("u", plan, OperationState.RUNNING, stages=runs)
    assert upgrade_words(operation) == "0 of 3 hosts done; safe to stop: yes"

    def at(number: int, state: MoveState, note: str = "") -> tuple[StageRun, ...]:
        done = tuple(
            replace(r, state=MoveState.DONE, ended_at=NOW, note="back after 94 s, kernel 6.1.0-30")
            for r in runs[:number]
        )
        return (*done, replace(runs[number], state=state, note=note), *runs[number + 1 :])

    running = replace(operation, stages=at(1, MoveState.RUNNING))
    assert upgrade_words(running) == (
        "kvm1 (canary) running apt-get -y full-upgrade; 0 of 3 hosts done; safe to stop: no"
    )
    home = replace(operation, stages=at(5, MoveState.PENDING))
    assert upgrade_words(home) == (
        "kvm1 (canary) back after 94 s, kernel 6.1.0-30; 1 of 3 hosts done; safe to stop: yes"
    )
    failed = replace(operation, stages=at(7, MoveState.FAILED, "exit status 1"))
    assert "kvm2 failed at reboot: exit status 1" in upgrade_words(failed)


def test_a_host_is_well_only_when_all_is_there():
    """Each missing piece is named; the newest readings count alone."""
    (host,) = [h for h in fleet(guest(1)).hosts if h.name == "kvm1"]
    wanted = Wanted(NOW - 10, "b0", "6.1", "", ("hot",), ("default",))
    assert missing(host, STANDING, wanted, NOW) == ""
    assert "not rebooted" in missing(host, STANDING, replace(wanted, boot="b1"), NOW)
    assert "not part" in missing(None, STANDING, wanted, NOW)
    assert "libvirtd" in missing(host, STANDING, replace(wanted, since=NOW + 1), NOW)
    limping = replace(host, link=Link(LinkState.DEGRADED, problem=Problem("no answer")))
    assert missing(limping, STANDING, wanted, NOW) == "it does not answer fully: no answer"
    unread = replace(host, pools_at=0.0)
    assert "pools were not read" in missing(unread, STANDING, wanted, NOW)
    off = replace(host, pools=tuple(replace(p, active=False) for p in host.pools))
    assert "pool hot not active" in missing(off, STANDING, wanted, NOW)
    assert host.facts is not None
    alone = replace(host, facts=replace(host.facts, networks=()))
    assert "network default not active" in missing(alone, STANDING, wanted, NOW)
    late = replace(host, facts=replace(host.facts, clock_skew_s=-7.0))
    assert missing(late, STANDING, wanted, NOW) == "its clock is -7.0 s off"


@pytest.mark.parametrize(
    ("expect", "good"),
    [
        ("", True), ("6.1.0-29", True), ("6.1.0*", True), ("changed", True),
        ("6.1.0", False), ("6.2*", False),
    ],
)  # fmt: skip
def test_kernels_are_exact_beginnings_or_changed(expect: str, good: bool):
    """An exact release is not a beginning."""
    wanted = Wanted(NOW, kernel="6.1.0-28", expect=expect)
    assert (kernel_problem(STANDING, wanted) == "") is good
    same = replace(STANDING, kernel="6.1.0-28")
    assert "as before the upgrade" in kernel_problem(same, replace(wanted, expect="changed"))
    told = "back after 94 s, kernel 6.1.0-29"
    assert well_words(STANDING, wanted, 94.2) == told + (" as expected" if expect else "")


def test_the_fleet_file_says_how():
    """Lists of words are quoted for the host's shell, lines are left as they are."""
    entry = UpgradeEntry(commands=(("touch", "/tmp/a b"), "echo $HOME"), max_out=2)
    told = upgrades_of(FleetFile(upgrade=entry, upgrades={"kernel": UpgradeEntry()}))
    assert told[""].commands == ("touch '/tmp/a b'", "echo $HOME")
    assert told[""].max_out == 2
    assert told["kernel"].reboot_command == "systemctl reboot"
    with pytest.raises(ValueError, match="a command is empty"):
        UpgradeEntry(commands=(" ",))
