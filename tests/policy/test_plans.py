"""Plans of every action: what a person is shown before anything is done."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.policy.plans import make_plan
from console.policy.preflight.grounds import Grounds
from drivers.model.caps import DiskNeed
from drivers.model.host import Link, LinkState, Protect
from drivers.model.job import Action, Confirm, Plan, Request
from drivers.model.vm import JobProgress, VmState
from tests.policy.evidence import evidence, needs
from tests.policy.fleet import NOW, UUID, change, disk, fleet, host, vm, volume

URI = "qemu+ssh://root@kvm1/system?keyfile=/k e y"


def plan(action: Action, snapshot=None, *, now: float = NOW, target: str = "", **options) -> Plan:
    request = Request(action, UUID, target, options)
    return make_plan(snapshot or fleet(), request, now=now, plan_id="p1")


CASES = [
    (Action.START, VmState.OFF, "start web1", Confirm.NONE),
    (Action.SHUTDOWN, VmState.RUNNING, "shutdown web1", Confirm.YES),
    (Action.REBOOT, VmState.RUNNING, "reboot web1", Confirm.YES),
    (Action.RESET, VmState.RUNNING, "reset web1", Confirm.YES),
    (Action.PAUSE, VmState.RUNNING, "suspend web1", Confirm.YES),
    (Action.RESUME, VmState.PAUSED, "resume web1", Confirm.NONE),
    (Action.FORCE_OFF, VmState.RUNNING, "destroy web1", Confirm.YES),
    (Action.AUTOSTART_ON, VmState.RUNNING, "autostart web1", Confirm.NONE),
]


@pytest.mark.parametrize(("action", "state", "command", "confirm"), CASES)
def test_lifecycle_shows_the_exact_virsh_line(action, state, command, confirm):
    """The first step is the very line virsh would be given, URI and all."""
    made = plan(action, fleet(vm(state)))
    assert made.refusal is None
    assert shlex.split(made.steps[0].virsh) == ["virsh", "-c", URI, *command.split()]
    assert made.confirm is confirm
    assert made.effects


@pytest.mark.parametrize(("action", "state", "command", "_confirm"), CASES)
def test_a_read_only_host_refuses_with_the_reason(action, state, command, _confirm):
    """Nothing is planned on a protected host, and the setting to change is named."""
    made = plan(action, fleet(vm(state), protect=Protect.RO))
    assert made.refusal is not None
    assert made.steps == ()
    assert 'protect = "ro"' in made.refusal.proof


@pytest.mark.parametrize(("action", "state", "command", "_confirm"), CASES)
def test_confirm_protection_always_asks(action, state, command, _confirm):
    """On a host with protect = confirm even the harmless needs a yes."""
    assert plan(action, fleet(vm(state), protect=Protect.CONFIRM)).confirm is not Confirm.NONE


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        (Action.START, VmState.RUNNING, "already running"),
        (Action.SHUTDOWN, VmState.OFF, "already off"),
        (Action.RESUME, VmState.RUNNING, "already running"),
        (Action.PAUSE, VmState.OFF, "it is off"),
        (Action.REBOOT, VmState.PAUSED, "it is paused"),
        (Action.FORCE_OFF, VmState.OFF, "already off"),
        (Action.DELETE, VmState.RUNNING, "only a VM that is off"),
    ],
)
def test_a_wrong_state_is_refused_with_its_proof(action, state, words):
    """The refusal says what the VM is, and where that was read."""
    refusal = plan(action, fleet(vm(state))).refusal
    assert refusal is not None
    assert words in refusal.what
    assert state.value in refusal.proof


def test_a_stale_reading_is_refused_with_its_age():
    """What was read ten minutes ago is not acted on."""
    refusal = plan(Action.SHUTDOWN, now=NOW + 600).refusal
    assert refusal is not None
    assert refusal.code == "stale"
    assert "10 min ago" in refusal.proof


def test_an_unreachable_host_is_refused_with_age_and_fix():
    """The refusal names the link's state and the doctor."""
    down = change(fleet(), "kvm1", link=Link(LinkState.DOWN, NOW))
    refusal = plan(Action.PAUSE, down, now=NOW + 30).refusal
    assert refusal is not None
    assert "last read 30 s ago" in refusal.proof
    assert refusal.fix == "novacron check kvm1; a refresh tries it at once"


def test_a_stuck_monitor_leaves_only_force_off():
    """A VM whose QEMU hangs can be forced off and nothing else."""
    stuck = fleet(replace(vm(), monitor_stuck_s=90.0))
    assert plan(Action.SHUTDOWN, stuck).refusal is not None
    assert plan(Action.FORCE_OFF, stuck).refusal is None


def test_a_running_job_refuses_what_libvirt_would_refuse():
    """A VM in migration is not rebooted, migrated or moved meanwhile."""
    busy = fleet(replace(vm(), job=JobProgress("migrating", NOW)))
    assert plan(Action.REBOOT, busy).refusal.code == "busy"
    assert plan(Action.MIGRATE, busy, target="kvm2").refusal is not None
    assert plan(Action.FORCE_OFF, busy).refusal is None


def test_shutdown_waits_as_long_as_asked_and_offers_force_off():
    """The wait is in the plan, and so is what comes after it."""
    step = plan(Action.SHUTDOWN, wait_s="7").steps[1]
    assert step.args["wait_s"] == "7"
    assert step.args["offer"] == "force-off"
    assert plan(Action.SHUTDOWN, wait_s="soon").refusal.code == "bad-option"


def test_delete_keeps_every_disk_unless_chosen():
    """Without a choice the plan deletes no volume and says that it keeps them."""
    made = plan(Action.DELETE, fleet(vm(VmState.OFF)))
    assert made.confirm is Confirm.TYPED
    assert not any(step.verb == "delete-volume" for step in made.steps)
    assert "vda /srv/warm/web1.qcow2: kept" in made.effects


def test_delete_removes_the_chosen_disk_after_the_definition():
    """A chosen volume goes last, when nothing defines it any more."""
    made = plan(Action.DELETE, fleet(vm(VmState.OFF)), volumes="/srv/warm/web1.qcow2")
    assert [s.verb for s in made.steps][-1] == "delete-volume"
    assert shlex.split(made.steps[-1].virsh)[3:] == ["vol-delete", "/srv/warm/web1.qcow2"]


def test_delete_refuses_a_volume_somebody_else_uses():
    """A disk that another VM names is never deleted, whatever was chosen."""
    other = vm(VmState.OFF, name="db1", uuid=UUID.replace("1", "9"))
    snapshot = fleet(vm(VmState.OFF))
    snapshot = replace(snapshot, hosts=(host("kvm1", vm(VmState.OFF), other), snapshot.hosts[1]))
    made = plan(Action.DELETE, snapshot, volumes="/srv/warm/web1.qcow2")
    assert made.refusal is not None
    assert "db1 on kvm1" in made.refusal.proof


def test_delete_refuses_a_path_that_is_not_its_disk():
    """Only the VM's own disks can be chosen."""
    made = plan(Action.DELETE, fleet(vm(VmState.OFF)), volumes="/etc/passwd")
    assert made.refusal is not None


def test_live_tier_move_creates_copies_pivots_verifies_then_deletes():
    """The old volume is the last thing to go."""
    made = plan(Action.TIER, target="hot", disk="vda")
    verbs = [str(s.verb) for s in made.steps]
    assert verbs == ["create-volume", "block-copy", "pivot", "verify-disk", "remove-old"]
    copy = shlex.split(made.steps[1].virsh)
    assert copy[3:6] == ["blockcopy", "web1", "vda"]
    assert "--transient-job" in copy
    assert "/srv/hot/web1.qcow2" in copy


def test_a_tier_move_of_a_running_vm_keeps_to_its_limit():
    """The limit is in the step, in the virsh line and in the effects; nonsense is refused."""
    made = plan(Action.TIER, target="hot", disk="vda", bandwidth_mib="25")
    assert made.steps[1].args["bandwidth_mib"] == "25"
    assert shlex.split(made.steps[1].virsh)[-2:] == ["--bandwidth", "25"]
    assert "at most 25 MiB/s" in made.effects[0]
    refused = plan(Action.TIER, target="hot", disk="vda", bandwidth_mib="-1")
    assert refused.refusal is not None
    assert refused.refusal.code == "bad-option"


def test_cold_tier_move_compares_before_it_redefines():
    """A stopped VM's copy is compared before anything points at it."""
    made = plan(Action.TIER, fleet(vm(VmState.OFF)), target="cold")
    verbs = [str(s.verb) for s in made.steps]
    assert verbs == ["check-off", "clone", "compare", "repoint", "verify-disk", "remove-old"]


def test_tier_move_takes_a_free_name():
    """A volume that already has the name is never written over."""
    taken = vm(VmState.OFF, name="x", uuid="9" * 8 + UUID[8:], disks=(disk("hot"),))
    snapshot = replace(fleet(), hosts=(host("kvm1", vm(), taken),))
    made = plan(Action.TIER, snapshot, target="hot")
    assert made.steps[0].args["path"] == "/srv/hot/web1-2.qcow2"


def test_migration_copies_local_disks_and_keeps_the_source_volume():
    """The plan makes room, migrates with the disks, verifies, and deletes nothing by itself."""
    made = plan(Action.MIGRATE, target="kvm2")
    verbs = [str(s.verb) for s in made.steps]
    assert verbs == ["precheck", "create-volume", "migrate", "verify-migration"]
    words = shlex.split(made.steps[2].virsh)
    assert words[3:6] == ["migrate", "--live", "--verbose"]
    assert words[-2:] == ["web1", "qemu+ssh://root@kvm2/system?keyfile=/k e y"]
    assert words[words.index("--migrate-disks"):][:2] == ["--migrate-disks", "vda"]  # fmt: skip
    assert any("kept there" in line for line in made.effects)
    assert any("if it dies" in line for line in made.effects)


def test_migration_removes_the_source_volume_only_when_asked():
    """remove_source=yes adds the last step, and the effects say DELETED."""
    made = plan(Action.MIGRATE, target="kvm2", remove_source="yes")
    assert made.steps[-1].verb == "remove-source"
    assert any("DELETED" in line for line in made.effects)


def test_peer_to_peer_is_used_where_hosts_know_each_other():
    """With a peer URI the source's own daemon drives, and the line says --p2p to that URI."""
    made = plan(Action.MIGRATE, fleet(peer="qemu+tls://kvm2/system"), target="kvm2")
    words = shlex.split(made.steps[2].virsh)
    assert "--p2p" in words
    assert words[-1] == "qemu+tls://kvm2/system"


@pytest.mark.parametrize("name", ["-rf", "12", UUID, "a\nb", ""])
def test_a_misleading_name_gives_way_to_the_uuid(name):
    """virsh would take such a name for an option, an id or another VM."""
    made = plan(Action.PAUSE, fleet(vm(name=name)))
    assert shlex.split(made.steps[0].virsh)[-1] == UUID


@given(
    action=st.sampled_from(Action),
    state=st.sampled_from(VmState),
    protect=st.sampled_from(Protect),
    name=st.text(max_size=20),
    target=st.sampled_from(["", "kvm1", "kvm2", "hot", "cold", "nowhere"]),
    options=st.dictionaries(
        st.sampled_from(["disk", "volumes", "nvram", "mode", "wait_s", "remove_source"]),
        st.sampled_from(["", "vda", "yes", "/srv/warm/web1.qcow2", "p2p", "5", "nan", "x y"]),
        max_size=3,
    ),
)
def test_no_request_escapes_the_rules(action, state, protect, name, target, options):
    """Whatever is asked: read-only hosts get no plan, lines parse, refusals carry no steps."""
    made = plan(action, fleet(vm(state, name=name), protect=protect), target=target, **options)
    assert (made.refusal is None) == bool(made.steps)
    if protect is Protect.RO:
        assert made.refusal is not None
    for step in made.steps:
        assert not step.virsh or shlex.split(step.virsh)[:2] == ["virsh", "-c"]
        assert "\n" not in step.virsh
    if action is Action.DELETE:
        assert made.confirm is Confirm.TYPED


@given(others=st.lists(st.sampled_from(["/srv/warm/web1.qcow2", "/srv/hot/b"]), max_size=3),
       where=st.sampled_from(["kvm1", "kvm2"]))  # fmt: skip
def test_no_plan_deletes_what_another_vm_names(others, where):
    """Neither a delete nor a tier move is planned for a volume that somebody else names."""
    disks = tuple(replace(disk(target=f"vd{i}"), source=p) for i, p in enumerate(others))
    other = vm(VmState.OFF, name="other", uuid="9" * 8 + UUID[8:], host=where, disks=disks)
    mine = vm(VmState.OFF)
    hosts = (
        host("kvm1", mine, *([other] if where == "kvm1" else [])),
        host("kvm2", *([other] if where == "kvm2" else [])),
    )
    snapshot = replace(fleet(), hosts=hosts)
    used = "/srv/warm/web1.qcow2" in others
    delete = plan(Action.DELETE, snapshot, volumes="/srv/warm/web1.qcow2")
    tier = plan(Action.TIER, snapshot, target="hot", disk="vda")
    assert (delete.refusal is not None) == used
    assert (tier.refusal is not None) == used


BASE = "/srv/warm/base.qcow2"


def layered_fleet(**there: object) -> tuple[object, Grounds]:
    """web1's disk lies on a base that both hosts have in their pool."""
    snapshot = fleet()
    hosts = []
    for one in snapshot.hosts:
        base = replace(
            volume(one.name, "warm", "base.qcow2"), **there if one.name == "kvm2" else {}
        )
        pools = tuple(
            replace(p, volumes=(*p.volumes, base)) if p.name == "warm" else p for p in one.pools
        )
        hosts.append(replace(one, pools=pools))
    need = needs(disks=(DiskNeed("vda", "none", backing=(BASE,), chain_known=True),))
    grounds = Grounds(evidence=evidence(needs={UUID: need}))
    return replace(snapshot, hosts=tuple(hosts)), grounds


def layered_plan(snapshot, grounds) -> Plan:
    request = Request(Action.MIGRATE, UUID, "kvm2", {"incremental": "yes"})
    return make_plan(snapshot, request, now=NOW, plan_id="p1", grounds=grounds)


def test_only_the_top_of_a_disk_is_sent_where_its_base_is_the_same():
    """The base is compared first, the new volume lies on it, and the line says so."""
    made = layered_plan(*layered_fleet())
    assert made.refusal is None, made.refusal
    verbs = [str(s.verb) for s in made.steps]
    assert verbs == ["precheck", "compare-sent", "create-volume", "migrate", "verify-migration"]
    assert made.steps[1].args["must"] == "yes"
    assert made.steps[2].args["backing"] == BASE
    assert f"--backing-vol {BASE} --backing-vol-format qcow2" in made.steps[2].virsh
    assert "--copy-storage-inc" in made.steps[3].virsh


@pytest.mark.parametrize(
    ("there", "word"),
    [
        ({"path": "/srv/warm/other.qcow2"}, "is not on kvm2"),
        ({"capacity": 5}, "another file on kvm2"),
        ({"format": "raw"}, "another file on kvm2"),
    ],
)
def test_another_base_is_refused_before_anything_is_made(there, word):
    """With both sizes and formats as proof."""
    refusal = layered_plan(*layered_fleet(**there)).refusal
    assert refusal is not None
    assert word in refusal.proof


def test_a_disk_on_top_of_nothing_is_not_sent_in_part():
    """Where libvirt tells no backing file, the whole disk must be copied."""
    refusal = plan(Action.MIGRATE, target="kvm2", incremental="yes").refusal
    assert refusal is not None
    assert "not known, or nothing" in refusal.proof
