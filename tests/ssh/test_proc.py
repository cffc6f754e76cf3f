"""Pure parsers of /proc text: this machine's, older kernels', busybox's, and nonsense."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.model.host import Filesystem, Psi
from drivers.ssh import frames
from drivers.ssh.proc_host import (
    DiskCount,
    NicCount,
    local_mounts,
    parse_cpu,
    parse_disks,
    parse_host,
    parse_load,
    parse_memory,
    parse_nics,
    parse_psi,
    parse_sizes,
    parse_uptime,
    remote_mounts,
)
from drivers.ssh.proc_vm import (
    Qemu,
    VmCount,
    parse_io,
    parse_scan,
    parse_schedstat,
    parse_stat,
    parse_vm,
    watched,
)
from drivers.ssh.rates import cpu_shares, host_load, rate, vm_fast
from drivers.ssh.words import is_count

STAT = "cpu  100 10 50 800 20 5 5 10 30 0\ncpu0 100 10 50 800 20 5 5 10 30 0\nctxt 5\n"
MEMINFO = "MemTotal:  8000 kB\nMemFree: 1000 kB\nMemAvailable: 4000 kB\nSwapTotal: 100 kB\n"
DISKS = (
    "   8       0 sda 10 0 20 5 30 0 40 7 0 90 12\n"
    "   8       1 sda1 10 0 20 5 30 0 40 7 0 90 12\n"
    " 259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0 2 3\n"
    " 259       1 nvme0n1p1 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0\n"
    " 253       0 dm-0 1 2 3 4 5 6 7 8 9 10 11\n   7 0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"
)
NET = (
    "Inter-|   Receive                            |  Transmit\n"
    " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs\n"
    "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
    "  eth0:1000 10 1 0 0 0 0 0 2000 20 2 0 0 0 0 0\n"
    " vnet0: 300 3 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n"
)
# A process name may hold spaces and parentheses.
TASK = (
    "4242 (CPU 0/KVM) x) S 1 2 3 0 -1 4 0 0 0 0 150 50 0 0 20 0 7 0 90000 1000000 2560 "
    "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 130 0\n"
)
UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"


def test_cpu_line_of_an_old_kernel_is_padded() -> None:
    """Kernels without steal and guest still give a CPU figure."""
    assert parse_cpu(STAT)[:4] == (100, 10, 50, 800)
    assert parse_cpu("cpu  1 2 3 4\n") == (1, 2, 3, 4, 0, 0, 0, 0, 0, 0)
    assert parse_cpu("intr 5\n") == ()


def test_memory_before_memavailable() -> None:
    """Kernels before 3.14: available is estimated from what can be reclaimed."""
    assert parse_memory(MEMINFO)["MemAvailable"] == 4000 * 1024
    old = "MemTotal: 8000 kB\nMemFree: 1000 kB\nBuffers: 100 kB\nCached: 400 kB\n"
    assert parse_memory(old)["MemAvailable"] == 1500 * 1024
    assert parse_memory("") == {}


def test_disks_are_whole_devices_in_bytes() -> None:
    """Partitions and stacked devices are not counted a second time."""
    disks = parse_disks(DISKS)
    assert set(disks) == {"sda", "nvme0n1"}
    assert disks["sda"] == DiskCount(10, 20 * 512, 30, 40 * 512, 90)
    only = "\n".join(line for line in DISKS.splitlines() if "dm-0" in line)
    assert set(parse_disks(only)) == {"dm-0"}


def test_nics_without_a_space_after_the_colon() -> None:
    """Old kernels glue the first number to the name."""
    assert parse_nics(NET)["eth0"] == NicCount(1000, 10, 1, 2000, 20, 2)


def test_psi_without_a_full_line_and_switched_off() -> None:
    """CPU pressure has no ``full`` before 5.13; no text means no PSI."""
    line = "some avg10=1.50 avg60=0.10 avg300=0.00 total=12\n"
    assert parse_psi(line) == Psi(1.5, None)
    assert parse_psi(line + line.replace("some", "full")) == Psi(1.5, 1.5)
    assert parse_psi("") is None


def test_missing_sources_are_named_not_zero() -> None:
    """A host that shows only /proc/stat and uptime lacks the rest by name."""
    count = parse_host({"/proc/stat": STAT, "/proc/uptime": "5.00 1.00\n"}, None)
    assert {m.name for m in count.missing} == {"load", "memory", "nics", "disks", "psi"}
    load = host_load(count, None)
    assert (load.memory_total, load.load1, load.psi_cpu, load.cpu_pct) == (None,) * 4
    assert load.uptime_s == 5.0


def test_shares_take_guest_time_out_of_user() -> None:
    """Modes add up: user does not hold guest time a second time."""
    old = (0,) * 10
    shares = cpu_shares((40, 0, 10, 40, 5, 1, 1, 3, 30, 0), old)
    assert shares["user_pct"] == 10.0
    assert shares["guest_pct"] == 30.0
    assert shares["cpu_pct"] == 55.0
    assert cpu_shares(old, (40,) * 10)["cpu_pct"] is None


def test_iowait_may_step_back() -> None:
    """The kernel's iowait is known to go back a little: that is no reset."""
    shares = cpu_shares((10, 0, 0, 90, 4, 0, 0, 0, 0, 0), (0, 0, 0, 0, 5, 0, 0, 0, 0, 0))
    assert shares["cpu_pct"] == 10.0


def test_rates_and_resets() -> None:
    """A counter that went back gives nothing, not a spike."""
    assert rate(300, 100, 2.0) == 100.0
    assert rate(1, 2**32 - 5, 1.0) is None
    assert rate(5, 1, 0.0) is None


def test_reset_of_one_disk_leaves_it_out_for_one_interval() -> None:
    """After a device is re-made its rates come back one reading later."""
    files = {"/proc/diskstats": DISKS, "/proc/net/dev": NET}
    old = parse_host(files, 10.0)
    reset = DISKS.replace("sda 10 0 20", "sda 1 0 2")
    new = parse_host({**files, "/proc/diskstats": reset}, 11.0)
    assert [d.name for d in host_load(new, old).disks] == ["nvme0n1"]
    assert [n.name for n in host_load(new, old).nics] == ["eth0", "vnet0"]


def test_local_filesystems_only_and_once() -> None:
    """Network filesystems are never asked, bind mounts count once."""
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /bind ext4 rw 0 0\nnas:/x /mnt/nas nfs4 rw 0 0\n"
        "proc /proc proc rw 0 0\n/dev/sdb1 /my\\040disk xfs rw 0 0\n/dev/sdc1 /data xfs rw 0 0\n"
    )
    kinds = local_mounts(mounts)
    assert kinds == {"/": "ext4", "/data": "xfs"}
    assert remote_mounts(mounts) == (Filesystem("/mnt/nas", "nfs4", 0, 0),)
    busybox = (
        "Filesystem           1024-blocks    Used Available Capacity Mounted on\n"
        "/dev/sda1                   1000     400       500  44% /\n- 0 0 0 - /data\n"
    )
    assert parse_sizes(busybox, kinds) == (Filesystem("/", "ext4", 1024000, 512000),)


@pytest.mark.parametrize(
    ("line", "mount", "kind"),
    [
        ("nas:/x /my\\040disks nfs rw 0 0", "/my disks", "nfs"),
        ("//nas/x /mnt cifs rw 0 0", "/mnt", "cifs"),
        ("a:/vol /gl fuse.glusterfs rw 0 0", "/gl", "fuse.glusterfs"),
        ("10.0.0.1:6789:/ /ceph ceph rw 0 0", "/ceph", "ceph"),
        ("share /v virtiofs rw 0 0", "/v", "virtiofs"),
        ("hostshare /9 9p rw 0 0", "/9", "9p"),
    ],
)
def test_file_servers_are_known_by_their_kind(line: str, mount: str, kind: str) -> None:
    """Their mounts are told without asking the server for sizes."""
    assert remote_mounts("/dev/sda1 / ext4 rw 0 0\n" + line + "\nproc /proc proc rw 0 0") == (
        Filesystem(mount, kind, 0, 0),
    )


def scan_text(name: str = "web1", threads: tuple[str, ...] = ("CPU 0/KVM", "CPU 1/KVM")) -> str:
    monitor = f"socket,path=/var/lib/libvirt/qemu/domain-7-{name}/monitor.sock"
    words = ["/usr/bin/qemu-system-x86_64", "-name", f"guest={name}", "-uuid", UUID, monitor]
    text = "==> /proc/4242/cmdline <==\n" + "\x1f".join(words) + "\x1f\n"
    for number, comm in enumerate(("qemu-system-x86", *threads)):
        text += f"==> /proc/4242/task/{4242 + number}/comm <==\n{comm}\n\n"
    return text + "==> /proc/9/cmdline <==\ngrep\x1f-l\x1f-uuid\x1fx\x1f\n"


def test_scan_matches_a_process_to_its_domain() -> None:
    """UUID, libvirt's ID and vCPU threads come from command line and thread names."""
    found = parse_scan(frames.split_files(scan_text()))
    assert found == {UUID: Qemu(4242, UUID, 7, (4243, 4244), "KVM", threads=3)}
    tcg = parse_scan(frames.split_files(scan_text(threads=("ALL CPUs/TCG",))))
    assert (tcg[UUID].vcpu_threads, tcg[UUID].accel) == ((4243,), "TCG")


def vm_files(utime: int = 150, ran: int = 2_000_000_000, io: bool = True) -> dict[str, str]:
    stat = TASK.replace(" 150 50 ", f" {utime} 50 ")
    files = {"/proc/4242/stat": stat, "/proc/4242/task/4243/stat": stat}
    files["/proc/4242/task/4243/schedstat"] = f"{ran} {ran // 10} 12\n"
    if io:
        files["/proc/4242/io"] = "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n"
    return files


def test_vm_counters() -> None:
    """Names with parentheses do not shift the fields; schedstat is finer than ticks."""
    process = Qemu(4242, UUID, 7, (4243,), "KVM")
    count = parse_vm(vm_files(), process, 100)
    assert count == VmCount(4242, 90000, 2.0, False, 0.2, 2560, 4096, 8192, threads=7)
    zeros = {**vm_files(), "/proc/4242/task/4243/schedstat": "0 0 3\n"}
    coarse = parse_vm(zeros, process, 100)
    assert coarse is not None
    assert (coarse.cpu_s, coarse.delay_s) == (2.0, None)
    assert parse_vm({}, process, 100) is None
    assert parse_stat("4242 (x) S 1") is None
    assert parse_schedstat("garbage") is None
    assert parse_io("read_bytes: x\n") is None


def fast(new: VmCount, old: VmCount | None, **more: object):  # type: ignore[no-untyped-def]
    nets = (parse_nics(NET), parse_nics(NET.replace("300 3", "100 1").replace("500 5", "100 1")))
    accel = str(more.pop("accel", "KVM"))
    arguments = {"seconds": 2.0, "vcpus": 2, "taps": ("vnet0", "vnet9"), "nics": nets, **more}
    process = Qemu(new.pid, UUID, 7, (4243, 4244), accel)
    return vm_fast(UUID, 1000.0, process, new, old, **arguments)  # type: ignore[arg-type]


def test_vm_rates_are_of_the_allotted_vcpus_and_from_the_guest() -> None:
    """Two vCPUs, one busy: 50 percent; what the host sends to the tap is what the guest gets."""
    old = VmCount(4242, 90000, 10.0, False, 1.0, 2560, 0, 0)
    new = VmCount(4242, 90000, 12.0, False, 1.4, 2560, 4096, 0)
    found = fast(new, old, booted_at=100.0)
    assert found.cpu_pct == 50.0
    assert found.delay_pct == pytest.approx(10.0)
    assert found.steal_pct == found.delay_pct
    assert (found.rss, found.read_bps, found.write_bps) == (2560 * 4096, 2048.0, 0.0)
    assert found.nics == (("vnet0", 200.0, 100.0, 2.0, 1.0),)
    assert found.started_at == 1000.0
    assert [m.name for m in found.missing] == ["vm.nic.vnet9"]


def test_an_emulated_guest_says_why_it_has_no_steal() -> None:
    """Only KVM tells a guest how long its vCPUs waited."""
    old = VmCount(4242, 90000, 10.0, False, 1.0, 2560, 0, 0)
    new = VmCount(4242, 90000, 12.0, False, 1.4, 2560, 4096, 0)
    found = fast(new, old, accel="TCG", taps=())
    assert (found.steal_pct, found.delay_pct) == (None, pytest.approx(10.0))
    assert [m.name for m in found.missing] == ["vm.steal"]


def test_a_restarted_vm_shows_no_spike_and_missing_rights_are_told() -> None:
    """Another process under the same UUID starts without rates; /proc/PID/io may be closed."""
    old = VmCount(4242, 90000, 10.0, False, 1.0, 2560, 10, 10)
    new = VmCount(4242, 95000, 1.0, False, None, 2560, None, None)
    found = fast(new, old)
    assert (found.cpu_pct, found.read_bps, found.delay_pct) == (None, None, None)
    reasons = {m.name: m.reason for m in found.missing}
    assert "no right to read" in reasons["vm.io"]
    assert "vm.delay" in reasons


def test_schedstat_decides_what_is_watched() -> None:
    """Once the kernel is known, only one file a thread is read."""
    process = Qemu(1, UUID, 7, (2,), "KVM")
    assert len(watched(process, schedstat=None)) == 4
    assert watched(process, schedstat=True)[-1].endswith("schedstat")
    assert watched(process, schedstat=False)[-1] == "/proc/1/task/2/stat"


def test_busybox_date_has_no_fraction() -> None:
    """Its clock counts in whole seconds."""
    hello = frames.parse_hello("hello sh 100 0 1700000000.%N")
    assert hello == frames.Hello("sh", 100, None, 1700000000.0)


@pytest.mark.parametrize(
    "word", ["¹", "٣x", "-1", "1_0", "+1", pytest.param("9" * 5000, id="long")]
)
def test_only_what_a_kernel_prints_is_a_count(word: str) -> None:
    """Superscripts and thousands of digits pass ``isdigit``, and ``int`` refuses them."""
    assert not is_count(word)
    assert is_count("0")
    assert is_count(str(2**64 - 1))
    assert parse_memory(f"MemTotal: 8 kB\nOdd: {word}\n")["MemTotal"] == 8192
    assert parse_schedstat(f"{word} 5 1") is None
    assert parse_io(f"read_bytes: {word}\nwrite_bytes: 1\n") is None
    assert parse_stat(TASK.replace(" 90000 ", f" {word} ")) is None
    hello = frames.parse_hello(f"hello sh {word} {word} 5")
    assert hello is None or (hello.hz, hello.page) == (100, None)
    assert frames.parse_frame("n", f"n begin {word} 1 2\n") is None


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999"])
def test_no_reading_is_infinite(word: str) -> None:
    """What is no finite number is not there."""
    assert parse_load(f"{word} 0 0 1/1 1") is None
    assert parse_uptime(f"{word} 5") is None
    assert parse_psi(f"some avg10={word} avg60=0 avg300=0 total=0") is None
    assert frames.number(word) is None


@given(st.text(max_size=200))
@example(":¹")
@example("¹ ¹ ¹")
@example(":" + "9" * 5000)
@example("inf")
def test_no_text_breaks_a_parser(text: str) -> None:
    """Whatever a host answers, parsing ends in values or nothing."""
    paths = ("/proc/stat", "/proc/meminfo", "/proc/diskstats", "/proc/net/dev", "/proc/uptime",
             "/proc/loadavg", "/proc/pressure/cpu")  # fmt: skip
    for candidate in (text, STAT + text, NET + text, DISKS + text, MEMINFO + text):
        host_load(parse_host(dict.fromkeys(paths, candidate), None), None)
        parse_sizes(candidate, {"/": "ext4"})
        local_mounts(candidate)
        remote_mounts(candidate)
    process = Qemu(1, UUID, 7, (2,), "KVM")
    parse_vm(dict.fromkeys(watched(process, schedstat=None), text), process, 100)
    parse_vm({"/proc/1/stat": TASK, "/proc/1/io": text}, process, 100)
    parse_scan(frames.split_files("==> /proc/1/cmdline <==\n" + text))
    frames.parse_frame("n", text)


def test_fifty_vms_parse_well_under_a_millisecond_each() -> None:
    """The client's share of a reading stays small however many machines a host has."""
    text = "==> /proc/stat <==\n" + STAT
    processes = []
    for pid in range(1000, 1050):
        processes.append(Qemu(pid, UUID, 7, (pid + 1, pid + 2), "KVM"))
        for path in watched(processes[-1], schedstat=None):
            bodies = {"io": "read_bytes: 1\nwrite_bytes: 2\n", "schedstat": "5 5 5\n"}
            text += f"\n==> {path} <==\n" + bodies.get(path.rpartition("/")[2], TASK)
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        files = frames.split_files(text)
        for process in processes:
            assert parse_vm(files, process, 100) is not None
        best = min(best, time.perf_counter() - began)
    assert best / 50 < 0.001
