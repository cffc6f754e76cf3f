"""One sweep, as it runs in the lane's thread: one round trip where nothing changed.

The bulk statistics alone tell state and figures of every domain. Definition, flags and jobs are
looked up only for domains that are new, that an event told of, or whose turn has come in a slow
round: what changes without an event is seen within minutes, at no cost that anybody feels.

A sweep changes nothing shared: one that was given up on may still end late, and leaves no trace.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.kvm.abreast import side_by_side
from drivers.kvm.domxml import DomainDef, parse_domain
from drivers.kvm.places import Places
from drivers.kvm.progress import read_job
from drivers.kvm.stats import Facts, Mark, build_vm
from drivers.kvm.text import clean
from drivers.kvm.words import state_words
from drivers.model.vm import JobProgress, Vm

_XML_EVERY_S = 120.0  # a change that told no event is seen within so long, or a few rounds more
_ROUND_S = 30.0  # between two looks at what nobody announced
_XML_A_ROUND = 8  # so many unasked re-reads a round
_JOBS_A_SWEEP = 8  # so many domains seen for the first time are asked for a job

# Each question to a virDomain lets go of the interpreter, even one that asks no host. Sweeps that
# take their records apart at the same time would hand it to each other hundreds of times.
_TURN = threading.Lock()

Record = tuple[bytes, int, Any, dict[str, object]]  # raw UUID, id, virDomain, statistics


@dataclass(slots=True)
class Known:
    """What is kept between sweeps; replaced whole by each finished one. Keys are raw UUIDs.

    Attributes:
        vms: The VMs as shown, by UUID in words.
        marks: The last reading of each domain.
        read_at: When each definition was last read, monotonic seconds.
        autostart: Domains that start with their host.
        transient: Domains without a stored definition.
        flags_at: When those two were last read.
        round_at: When unannounced changes were last looked for.
        unasked: Running domains that nobody has asked for a job yet.
    """

    vms: dict[str, Vm] = field(default_factory=dict)
    marks: dict[bytes, Mark] = field(default_factory=dict)
    read_at: dict[bytes, float] = field(default_factory=dict)
    autostart: frozenset[bytes] = frozenset()
    transient: frozenset[bytes] = frozenset()
    flags_at: float = float("-inf")
    round_at: float = float("-inf")
    unasked: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    """What one sweep is asked for.

    Attributes:
        host: The host's name in this fleet.
        places: Where disks lie.
        changed: Domains whose definition must be read again.
        jobs: Domains that are known to have a job.
        stuck: Domains whose monitor hangs, and for how many seconds: their monitor is left alone.
        with_cpu: Fill CPU and RSS too, where no fast lane does.
    """

    host: str
    places: Places
    changed: frozenset[bytes]
    jobs: frozenset[bytes]
    stuck: Mapping[bytes, float]
    with_cpu: bool


class Sweep:
    """Reads everything once over one connection; made for one use.

    Args:
        libvirt: The binding.
        conn: The connection of the sweeps.
        old: What the sweep before left.
        order: What is asked for.
        at: The console's clock, epoch seconds.
        now: Monotonic seconds.
    """

    def __init__(
        self, libvirt: Any, conn: Any, old: Known, order: Order, *, at: float, now: float
    ) -> None:
        self._lv = libvirt
        self._conn = conn
        self._old = old
        self._order = order
        self._at = at
        self._now = now
        self._texts: dict[bytes, str] = {}
        self._jobs: dict[bytes, JobProgress | None] = {}
        self._known = Known(
            read_at=dict(old.read_at),
            autostart=old.autostart,
            transient=old.transient,
            flags_at=old.flags_at,
            round_at=old.round_at,
            unasked=old.unasked,
        )

    def run(self) -> Known:
        """What is known now. Blocks.

        Raises:
            libvirt.libvirtError: The bulk call failed.
        """
        known = self._known
        found, left_out = self._found()
        with _TURN:
            records = [(domain.UUID(), domain.ID(), domain, stats) for domain, stats in found]
            del found
            calls = self._lookups(records)
            if not calls:
                self._take(records)
        if calls:
            side_by_side(calls, self._lv.libvirtError)
            with _TURN:
                self._take(records)
        for domain in left_out:
            self._keep(domain)
        if len(known.read_at) > len(known.marks):  # some are gone
            known.read_at = {k: at for k, at in known.read_at.items() if k in known.marks}
        return known

    def _take(self, records: list[Record]) -> None:
        """Make a VM of every record, and let go of the records."""
        known, marks, order = self._known, self._old.marks, self._order
        flags_kept = known.flags_at == self._old.flags_at
        for key, number, domain, stats in records:
            mark = marks.get(key)
            if mark is None or not flags_kept or key in self._texts or key in self._jobs:
                definition = self._definition(key, mark)
                facts = self._facts(key, number, domain, mark)
            else:
                definition, facts = mark.definition, mark.facts
            vm, known.marks[key] = build_vm(
                facts,
                definition,
                stats,
                mark,
                order.places,
                at=self._at,
                now=self._now,
                with_cpu=order.with_cpu,
            )
            known.vms[facts.uuid] = vm
        records.clear()

    def _found(self) -> tuple[list[Any], list[Any]]:
        lv, skip = self._lv, self._order.stuck
        groups = (
            lv.VIR_DOMAIN_STATS_STATE
            | lv.VIR_DOMAIN_STATS_CPU_TOTAL
            | lv.VIR_DOMAIN_STATS_BALLOON
            | lv.VIR_DOMAIN_STATS_BLOCK
            | lv.VIR_DOMAIN_STATS_INTERFACE
        )
        # Another job's domain gives a partial record instead of holding everybody up.
        nowait = lv.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        left_out: list[Any] = []
        if not skip:
            found = self._conn.getAllDomainStats(groups, nowait)
        else:
            domains = self._conn.listAllDomains()
            left_out = [d for d in domains if d.UUID() in skip]
            answering = [d for d in domains if d.UUID() not in skip]
            found = self._conn.domainListGetStats(answering, groups, nowait) if answering else []
        return found, left_out

    def _lookups(self, records: Sequence[Record]) -> list[Callable[[], None]]:
        """The calls this sweep makes besides the bulk one; none where nothing changed."""
        known, old = self._known, self._old
        due = self._due(records)
        calls: list[Callable[[], None]] = []
        if due or known.round_at != old.round_at:
            known.flags_at = self._now
            calls += [self._read_autostart, self._read_transient]
        calls += [self._reader(key, domain) for key, _, domain, _ in records if key in due]
        first = frozenset(list(known.unasked)[:_JOBS_A_SWEEP])
        known.unasked -= first
        for key, number, domain, stats in records:
            mark = old.marks.get(key)
            if (
                key in self._order.jobs
                or key in first
                or (mark is not None and _maybe_busy(mark, stats))
            ) and number >= 0:
                calls.append(self._asker(key, domain))
        return calls

    def _due(self, records: Sequence[Record]) -> set[bytes]:
        """Whose definition to read: new ones, told ones, another process, or grown old."""
        known, old = self._known, self._old
        due = set(self._order.changed)
        fresh: set[bytes] = set()
        for key, number, _, _ in records:
            mark = old.marks.get(key)
            if mark is None or mark.facts.domain_id != number:
                due.add(key)
                if number >= 0:
                    fresh.add(key)
        known.unasked |= fresh
        if self._now - old.round_at >= _ROUND_S:
            known.round_at = self._now
            aged = [(at, k) for k, at in old.read_at.items() if self._now - at > _XML_EVERY_S]
            due.update(key for _, key in sorted(aged)[:_XML_A_ROUND])
        return due

    # libvirt tells no event for the autostart flag, and no statistics for either flag.

    def _read_autostart(self) -> None:
        flag = self._lv.VIR_CONNECT_LIST_DOMAINS_AUTOSTART
        self._known.autostart = frozenset(d.UUID() for d in self._conn.listAllDomains(flag))

    def _read_transient(self) -> None:
        flag = self._lv.VIR_CONNECT_LIST_DOMAINS_TRANSIENT
        self._known.transient = frozenset(d.UUID() for d in self._conn.listAllDomains(flag))

    def _reader(self, key: bytes, domain: Any) -> Callable[[], None]:
        def read() -> None:
            self._texts[key] = domain.XMLDesc(0)

        return read

    def _asker(self, key: bytes, domain: Any) -> Callable[[], None]:
        def ask() -> None:
            self._jobs[key] = None
            self._jobs[key] = read_job(domain.jobStats(0), at=self._at)

        return ask

    def _definition(self, key: bytes, mark: Mark | None) -> DomainDef:
        text = self._texts.get(key)
        if text is None:
            return mark.definition if mark is not None else DomainDef(readable=False)
        self._known.read_at[key] = self._now
        definition = parse_domain(text)
        # The very same object for the same content: the next reading can then build on the last.
        return mark.definition if mark is not None and mark.definition == definition else definition

    def _facts(self, key: bytes, number: int, domain: Any, mark: Mark | None) -> Facts:
        facts = Facts(
            domain.UUIDString(),
            domain.name(),
            self._order.host,
            number,
            key not in self._known.transient,
            key in self._known.autostart,
            self._jobs.get(key),
        )
        return mark.facts if mark is not None and mark.facts == facts else facts

    def _keep(self, domain: Any) -> None:
        """A stuck VM keeps its last figures, at their age; its state comes without the monitor."""
        old, order, known = self._old, self._order, self._known
        uuid, key = domain.UUIDString(), domain.UUID()
        vm = old.vms.get(uuid) or Vm(uuid, clean(domain.name()), order.host)
        try:
            state, reason = state_words(*domain.state()[:2])
        except self._lv.libvirtError:
            state, reason = vm.state, vm.reason
        seconds = order.stuck.get(key, 0.0)
        known.vms[uuid] = replace(vm, state=state, reason=reason, monitor_stuck_s=seconds)
        if key in old.marks:
            known.marks[key] = old.marks[key]


def _maybe_busy(mark: Mark, stats: Mapping[str, object]) -> bool:
    """The domain had a job, or tells less than before: something else holds its monitor."""
    return mark.facts.job is not None or len(stats) < mark.layout.size
