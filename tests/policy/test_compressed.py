"""The verdict on migrations that compress: what libvirt tells, through all that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from console.jobs.meter import Meter
from console.policy.convergence import Course, observe, outlook
from console.policy.levers import Moment, Promise, Settings, next_pull, options
from drivers.kvm.progress import read_job
from drivers.model.migration import Lever, Outlook, Pace
from drivers.model.vm import JobProgress
from screens.render_job import done_share

MIB = 1 << 20
PAGE = 4096
STEP_S = 0.4
LINE = 100.0 * MIB
"""Bytes a second that the line carries."""


@dataclass
class Guest:
    """A guest whose memory is sent over ``LINE``; a quarter of it are zeros.

    Attributes:
        method: Of compression, which decides what QEMU counts.
        packs: Bytes of memory that a byte on the line carries.
        dirty: Bytes of memory rewritten a second.
    """

    method: str = "zstd"
    packs: float = 4.0
    dirty: float = 0.0
    memory: int = 2048 * MIB

    def play(self, passes: int) -> Iterator[dict[str, object]]:
        """What virDomainGetJobStats tells each 0.4 s over so many passes."""
        at, sent, zeros, whole, coded = 0.0, 0.0, 0.0, 0.0, 0.0
        size, rate = float(self.memory), 0.0
        for number in range(1, passes + 1):
            packs = 1.0 if self.method == "xbzrle" and number == 1 else self.packs
            naught = 0.25 * size if number == 1 else 0.0
            length = (size - naught) / packs / LINE
            for step in range(max(1, round(length / STEP_S))):
                share = min(1.0, step * STEP_S / length)
                moved = share * (size - naught)
                counted = moved if self.method == "zstd" or packs == 1.0 else 0.0
                encoded = moved if self.method == "xbzrle" and packs > 1.0 else 0.0
                yield {
                    "type": 2, "operation": 5, "time_elapsed": round(1000 * (at + step * STEP_S)),
                    "data_total": self.memory, "data_processed": round(sent + moved / packs),
                    "data_remaining": round((1 - share) * size), "memory_total": self.memory,
                    "memory_processed": round(sent + moved / packs),
                    "memory_remaining": round((1 - share) * size),
                    "memory_constant": round((zeros + share * naught) / PAGE),
                    "memory_normal": round((whole + counted) / PAGE),
                    "memory_normal_bytes": round(whole + counted),
                    "compression_pages": round((coded + encoded) / PAGE),
                    "memory_bps": round(LINE), "memory_dirty_rate": round(rate / PAGE),
                    "memory_page_size": PAGE, "memory_iteration": number,
                }  # fmt: skip
            at, sent, zeros = at + length, sent + (size - naught) / packs, zeros + naught
            whole += size - naught if self.method == "zstd" or packs == 1.0 else 0.0
            coded += size - naught if self.method == "xbzrle" and packs > 1.0 else 0.0
            size, rate = self.dirty * length, self.dirty


def judge(guest: Guest, passes: int, pause_ms: float = 300.0) -> tuple[JobProgress, Outlook]:
    """The last figures as they are shown, and the verdict on all of them."""
    meter, course, shown = Meter(0.0), Course(), None
    for stats in guest.play(passes):
        at = 1000.0 + int(str(stats["time_elapsed"])) / 1000
        progress = read_job(stats, at=at)
        assert progress is not None
        shown = meter.update(progress)
        course = observe(course, shown)
    assert shown is not None
    return shown, outlook(course, max_downtime_ms=pause_ms)


METHODS = ("zstd", "mt", "xbzrle")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("of_pace", "pace"),
    [(0.4, Pace.CONVERGING), (0.85, Pace.SLOW), (1.1, Pace.NOT_CONVERGING)],
)
def test_memory_is_compared_with_memory(method: str, of_pace: float, pace: Pace) -> None:
    """Up to four times the line's own speed is sent; only what is changed faster is hopeless."""
    guest = Guest(method, dirty=of_pace * 4 * LINE)
    shown, seen = judge(guest, 4)
    assert shown.packing == pytest.approx(4.0, rel=0.02)
    assert seen.pace is pace, seen
    assert seen.changed_per_sent == pytest.approx(of_pace, rel=0.05)
    assert "compressed 4.0 to 1" in seen.reason
    assert bool(shown.eta_s) is (of_pace < 1)
    assert ("as fast as" in shown.note) is (of_pace > 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_pause_is_what_the_rest_takes_but_qemu_wants_to_be_allowed_more(method: str) -> None:
    """QEMU compares what is left, uncompressed, with the bytes on the line."""
    shown, seen = judge(Guest(method, dirty=2 * LINE), 4)
    assert shown.remaining
    assert seen.implied_downtime_ms == pytest.approx(1000 * shown.remaining / LINE / 4, rel=0.03)
    assert seen.needed_downtime_ms == pytest.approx(1000 * shown.remaining / LINE, rel=0.03)
    at = Moment(shown, seen, Settings(), 10.0)
    told = {option.lever: option.effect for option in options(at)}
    assert f"{seen.needed_downtime_ms:.0f} ms would be needed" in told[Lever.DOWNTIME]
    assert f"about {(seen.implied_downtime_ms or 0) / 1000:.1f} s" in told[Lever.PAUSE]


def test_the_end_is_foretold_by_when_qemu_switches() -> None:
    """Passes of 6144, 3072, 1536... MiB: the one of 192 is sent as the guest pauses 2 s at most."""
    guest = Guest(dirty=2 * LINE, memory=8192 * MIB)
    shown, seen = judge(guest, 4, pause_ms=2000.0)
    begins = {int(str(s["memory_iteration"])): s for s in reversed(list(guest.play(6)))}
    assert begins[6]["memory_remaining"] == 192 * MIB
    left = 1000 + int(str(begins[6]["time_elapsed"])) / 1000 + 192 * MIB / LINE / 4 - shown.at
    assert seen.eta_s is not None
    low, high = seen.eta_s
    assert high is not None
    assert low - STEP_S <= left <= high + STEP_S


def test_a_converging_migration_with_compression_is_left_alone_by_its_profile() -> None:
    shown, seen = judge(Guest("mt", dirty=2 * LINE), 4)
    promise = Promise(600.0, 500.0, (Lever.DOWNTIME, Lever.POST_COPY, Lever.PAUSE))
    settings = Settings(post_copy=True)
    assert next_pull(Moment(shown, seen, settings, 10.0), promise) is None
    shown, seen = judge(Guest("mt", dirty=5 * LINE), 4)
    assert next_pull(Moment(shown, seen, settings, 10.0), promise) is not None


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_without_compression_a_byte_carries_a_byte(passes: int) -> None:
    """Zeros, of which nothing is sent, are not taken for compression."""
    shown, seen = judge(Guest("", packs=1.0, dirty=0.5 * LINE), passes)
    assert shown.packing == pytest.approx(1.0, abs=0.001)
    assert "compressed" not in seen.reason
    assert seen.needed_downtime_ms == pytest.approx(seen.implied_downtime_ms, rel=0.001)


def test_the_share_done_is_of_memory() -> None:
    shown, _ = judge(Guest(dirty=0.0), 1)
    assert done_share(shown) == pytest.approx(0.7, abs=0.1)


def test_the_headers_of_pages_are_not_taken_for_the_opposite_of_compression() -> None:
    """Pages with their headers are a little more on the line than the memory in them."""
    stats: dict[str, object] = {
        "type": 2, "operation": 5, "time_elapsed": 1200, "data_total": 163_971_072,
        "data_processed": 3_363_366, "data_remaining": 160_616_448, "memory_total": 163_971_072,
        "memory_processed": 3_363_366, "memory_remaining": 160_616_448, "memory_constant": 12,
        "memory_normal": 807, "memory_normal_bytes": 3_305_472, "memory_bps": 2_851_993,
        "memory_dirty_rate": 0, "memory_page_size": PAGE, "memory_iteration": 1,
    }  # fmt: skip
    progress = read_job(stats, at=100.0)
    assert progress is not None
    assert progress.packing == 1.0


RECORDED = [
    (10.03, 1, 99809462, 5582848, 29618176, 99549184, 0.0),
    (10.44, 2, 104012341, 27914240, 29777920, 103743488, 2.6),
    (10.84, 2, 108216213, 23146496, 30351360, 107937792, 2.6),
    (11.25, 2, 112418741, 18952192, 30351360, 112132096, 2.6),
    (12.07, 2, 120823797, 10563584, 30351360, 120520704, 2.6),
    (12.92, 2, 129228862, 2170880, 30355456, 128909312, 2.6),
    (13.33, 3, 133431991, 3719168, 30470144, 152702976, 9.5),
    (13.76, 4, 137634519, 15749120, 30470144, 156897280, 9.5),
    (14.20, 6, 141837268, 7733248, 30683136, 188305408, 33.2),
    (14.61, 8, 146799020, 4059136, 30937088, 206929920, 33.2),
]
"""A guest on QEMU 7.2 with xbzrle over 10 MiB/s, which arrived a second later, paused for 67 ms:
seconds, pass, bytes sent, left, in pages of zeros, in whole pages, MiB rewritten a second."""


def test_recorded_figures_of_a_migration_that_arrived_are_not_called_hopeless() -> None:
    """It rewrote 33 MiB/s of its memory, three times what the line carries."""
    meter, course, paces, packing = Meter(0.0), Course(), [], 1.0
    for at, number, sent, left, zeros, whole, dirty in RECORDED:
        stats: dict[str, object] = {
            "type": 2, "operation": 5, "time_elapsed": round(at * 1000), "data_processed": sent,
            "data_remaining": left, "memory_total": 134_750_208, "memory_processed": sent,
            "memory_remaining": left, "memory_constant": zeros // PAGE,
            "memory_normal_bytes": whole, "memory_bps": round(9.8 * MIB), "memory_page_size": PAGE,
            "memory_dirty_rate": round(dirty * MIB / PAGE), "memory_iteration": number,
        }  # fmt: skip
        progress = read_job(stats, at=at)
        assert progress is not None
        shown = meter.update(progress)
        course, packing = observe(course, shown), shown.packing
        paces.append(outlook(course, max_downtime_ms=300.0).pace)
    assert packing > 3.4
    assert Pace.NOT_CONVERGING not in paces
    assert paces[-1] in (Pace.SLOW, Pace.CONVERGING)
