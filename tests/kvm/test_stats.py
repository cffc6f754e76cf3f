"""Counters become rates, and resets become gaps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from drivers.kvm.domxml import DiskDef, DomainDef, NicDef
from drivers.kvm.places import Places, index_places
from drivers.kvm.progress import read_job
from drivers.kvm.stats import Facts, Mark, build_vm
from drivers.model.host import Filesystem, HostLoad
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import Vm, VmState

DEFINITION = DomainDef(
    uuid="u",
    name="web1",
    memory=64 << 20,
    memory_limit=128 << 20,
    vcpus=2,
    disks=(DiskDef("vda", "/hot/a.qcow2"), DiskDef("sda", device="cdrom")),
    nics=(NicDef("vnet0", "52:54:00:00:00:01"),),
    balloon=True,
    balloon_period=5,
)
FACTS = Facts("u", "web1", "kvm1", domain_id=3)


def record(**more: object) -> dict[str, object]:
    stats: dict[str, object] = {
        "state.state": 1,
        "state.reason": 1,
        "cpu.time": 5_000_000_000,
        "balloon.current": 65536,
        "balloon.maximum": 131072,
        "balloon.available": 60000,
        "balloon.usable": 20000,
        "balloon.rss": 40000,
        "block.count": 2,
        "block.0.name": "vda",
        "block.0.rd.bytes": 1000,
        "block.0.rd.reqs": 10,
        "block.0.rd.times": 1_000_000,
        "block.0.wr.bytes": 2000,
        "block.0.wr.reqs": 20,
        "block.0.wr.times": 2_000_000,
        "block.0.capacity": 1 << 20,
        "block.0.allocation": 4096,
        "block.1.name": "sda",
        "net.count": 1,
        "net.0.name": "vnet0",
        "net.0.rx.bytes": 100,
        "net.0.rx.pkts": 1,
        "net.0.tx.bytes": 200,
        "net.0.tx.pkts": 2,
        "net.0.rx.errs": 1,
        "net.0.tx.drop": 2,
    }
    stats.update({key.replace("__", "."): value for key, value in more.items()})
    return stats


def sweep(
    stats: dict[str, object],
    last: Mark | None = None,
    now: float = 10.0,
    *,
    facts: Facts = FACTS,
    definition: DomainDef = DEFINITION,
    places: Places | None = None,
) -> tuple[Vm, Mark]:
    return build_vm(
        facts, definition, stats, last, places or Places(), at=now, now=now, with_cpu=True
    )


def test_the_first_reading_has_sizes_but_no_rates() -> None:
    """A rate needs two readings; until then it is unknown, not zero."""
    vm, _ = sweep(record())
    assert (vm.state, vm.reason) == (VmState.RUNNING, "booted")
    assert vm.cpu_pct is None
    assert vm.disks[0].read_bps is None
    assert (vm.disks[0].capacity, vm.disks[0].allocation) == (1 << 20, 4096)
    assert vm.memory_used == 40000 * 1024
    assert (vm.memory, vm.memory_limit) == (64 << 20, 128 << 20)
    assert vm.nics[0].errors == 3


def test_two_readings_give_rates_and_latency() -> None:
    """Bytes, requests and milliseconds a request over the interval between two readings."""
    _, mark = sweep(record())
    later = record()
    later.update(
        {
            "cpu.time": 7_000_000_000,
            "block.0.rd.bytes": 5000,
            "block.0.rd.reqs": 14,
            "block.0.rd.times": 9_000_000,
            "net.0.rx.bytes": 500,
        }
    )
    vm, _ = sweep(later, mark, now=12.0)
    disk = vm.disks[0]
    assert (disk.read_bps, disk.read_iops, disk.read_ms) == (2000.0, 2.0, 2.0)
    assert (disk.write_bps, disk.write_ms) == (0.0, None)
    assert (vm.read_bps, vm.write_bps) == (2000.0, 0.0)
    assert vm.nics[0].rx_bps == 200.0
    assert vm.cpu_pct == 50.0


def test_an_interface_that_nobody_counts_says_so() -> None:
    """QEMU's own network has no device on the host; errors that are not told are not zero."""
    mine = NicDef("", "52:54:00:00:00:02", "user")
    vm, _ = sweep(record(), definition=replace(DEFINITION, nics=(*DEFINITION.nics, mine)))
    assert [(m.name, "of kind user" in m.reason) for m in vm.missing] == [("vm.net", True)]
    assert (vm.nics[1].rx_bps, vm.nics[1].errors) == (None, None)
    untold = record()
    del untold["net.0.rx.errs"], untold["net.0.tx.drop"]
    assert sweep(untold)[0].nics[0].errors is None
    off, _ = sweep(record(state__state=5), definition=replace(DEFINITION, nics=(mine,)))
    assert off.missing == ()


def test_a_counter_that_ran_backwards_gives_a_gap() -> None:
    """A reset or wrap never shows as a spike."""
    _, mark = sweep(record())
    later = record()
    later["block.0.rd.bytes"] = 10
    vm, _ = sweep(later, mark, now=12.0)
    assert vm.disks[0].read_bps is None
    assert vm.disks[0].write_bps == 0.0


def test_another_qemu_process_starts_anew() -> None:
    """After a restart high counters of the new process are not taken for a burst."""
    _, mark = sweep(record())
    later = record()
    later["block.0.rd.bytes"] = 1 << 40
    vm, _ = sweep(later, mark, now=12.0, facts=Facts("u", "web1", "kvm1", domain_id=4))
    assert vm.disks[0].read_bps is None


def test_memory_used_is_missing_with_a_reason() -> None:
    """Where the guest does not tell, the reason and the fix are there instead of a number."""
    stats = record()
    del stats["balloon.usable"]
    vm, _ = sweep(stats)
    assert vm.memory_used is None
    assert vm.missing[0].name == "vm.memory"
    assert "virtio_balloon" in vm.missing[0].fix


def test_a_busy_monitor_shows_as_missing_disks() -> None:
    """While another job holds the monitor, disk figures are missing, not zero."""
    stats = {k: v for k, v in record().items() if ".rd." not in k and ".wr." not in k}
    _, mark = sweep(record())
    vm, _ = sweep(stats, mark, now=12.0)
    assert vm.disks[0].read_bps is None
    assert [m.name for m in vm.missing] == ["vm.disks"]


def test_disks_are_placed_in_pools_and_tiers() -> None:
    """A disk names its pool, volume and tier by path, by volume or by the folder it lies in."""
    hot = Pool(
        "fast",
        "kvm1",
        tier=Tier.HOT,
        path="/hot",
        volumes=(Volume("a.qcow2", "/hot/a.qcow2", "fast", "kvm1"),),
    )
    nfs = Pool("nas", "kvm1", kind="netfs", tier=Tier.COLD, path="/nas")
    places = index_places([hot, nfs])
    definition = DomainDef(
        disks=(
            DiskDef("vda", "/hot/a.qcow2"),
            DiskDef("vdb", "/nas/vanished.raw"),
            DiskDef("vdc", kind="volume", pool="fast", volume="a.qcow2"),
            DiskDef("vdd", kind="volume", pool="gone", volume="x"),
            DiskDef("vde", "/elsewhere/x"),
        )
    )
    vm, _ = sweep(record(), definition=definition, places=places)
    told = [(d.pool, d.volume, d.tier, d.shared) for d in vm.disks]
    assert told == [
        ("fast", "a.qcow2", "hot", False),
        ("nas", "vanished.raw", "cold", True),
        ("fast", "a.qcow2", "hot", False),
        ("gone", "x", "", False),
        ("", "", "", False),
    ]
    assert vm.disks[2].source == "/hot/a.qcow2"


def test_a_folder_on_a_file_server_is_shared_whatever_its_pool_says() -> None:
    """A dir pool over a mount, and a file in no pool, are known by the mount they lie on."""
    pool = Pool("images", "kvm1", path="/srv/images", volumes=(
        Volume("a.raw", "/srv/images/a.raw", "images", "kvm1"),
    ))  # fmt: skip
    local = Pool("near", "kvm1", path="/srv/images/near")
    load = HostLoad(
        filesystems=(Filesystem("/", "ext4", 9, 9), Filesystem("/srv/images/near", "xfs", 9, 9)),
        remote=(Filesystem("/srv/images", "nfs4", 0, 0),),
    )
    disks = ("/srv/images/a.raw", "/srv/images/new.raw", "/srv/images/near/x", "/srv/images2/x",
             "/srv/images/deep/er/x")  # fmt: skip
    definition = DomainDef(disks=tuple(DiskDef(f"vd{i}", path) for i, path in enumerate(disks)))
    vm, _ = sweep(record(), definition=definition, places=index_places([pool, local], load))
    assert [d.shared for d in vm.disks] == [True, True, False, False, True]
    vm, _ = sweep(record(), definition=definition, places=index_places([pool, local]))
    assert not any(d.shared for d in vm.disks)


_VALUES = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=5), st.floats(), st.just(2**64 - 1)
)


@given(
    st.dictionaries(st.sampled_from(sorted(record())), _VALUES),
    st.dictionaries(st.sampled_from(sorted(record())), _VALUES),
)
def test_any_record_is_survived(first: dict[str, object], second: dict[str, object]) -> None:
    """Whatever domstats holds, the VM has a row and no rate is negative."""
    _, mark = sweep(record() | first)
    vm, _ = sweep(record() | second, mark, now=12.0)
    rates = [vm.cpu_pct, *(d.read_bps for d in vm.disks), *(n.rx_bps for n in vm.nics)]
    assert all(value is None or value >= 0 for value in rates)


def test_job_figures_of_a_migration() -> None:
    """Phase, remaining, dirty rate in bytes and an honest ETA."""
    stats: dict[str, object] = {
        "type": 2,
        "operation": 5,
        "time_elapsed": 4000,
        "data_total": 1000,
        "data_processed": 400,
        "data_remaining": 600,
        "memory_bps": 300,
        "memory_dirty_rate": 1,
        "memory_page_size": 100,
        "memory_iteration": 3,
        "downtime": 120,
    }
    job = read_job(stats, at=100.0)
    assert job is not None
    assert (job.phase, job.started_at) == ("copying changed memory, pass 3", 96.0)
    assert (job.rate_bps, job.dirty_bps, job.eta_s, job.downtime_ms) == (300.0, 100.0, 3.0, 120.0)
    never = read_job(stats | {"memory_dirty_rate": 10}, at=100.0)
    assert never is not None
    assert never.eta_s is None
    assert "as fast" in never.note
    assert read_job({"type": 0}, at=1.0) is None


_JOB_KEYS = (
    "type",
    "operation",
    "memory_bps",
    "data_remaining",
    "memory_dirty_rate",
    "memory_page_size",
    "memory_iteration",
    "time_elapsed",
)


@given(st.dictionaries(st.sampled_from(_JOB_KEYS), _VALUES))
def test_any_job_record_is_survived(stats: dict[str, object]) -> None:
    """Job statistics of any shape give progress or none."""
    read_job(stats | {"type": 2}, at=1.0)
