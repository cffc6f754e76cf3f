"""A backend that answers from memory and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from console.backend import (
    NO_OPTIONS,
    AttachedStream,
    EventsReady,
    JobsReady,
    News,
    SnapshotReady,
    StoreReady,
)
from console.policy.preflight.matrix import preflight
from drivers.errors import Unreachable
from drivers.model.ask import KeyDecision
from drivers.model.event import Event, EventQuery, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series
from drivers.model.job import (
    Action,
    Check,
    Confirm,
    Job,
    JobState,
    Plan,
    Request,
    Step,
    TargetFit,
    Verdict,
)
from drivers.model.matrix import Matrix
from drivers.model.migration import Lever
from drivers.model.storage import Volume
from tests.screens.fleets import EVENTS, NOW, RECORDING, make_fleet

T = TypeVar("T")


def done(value: T) -> Future[T]:
    """A future that is answered already."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


class FakeBackend:
    """Implements ``console.backend.Backend``; ``asked`` holds (method, arguments) in order."""

    def __init__(self, snapshot: FleetSnapshot | None = None) -> None:
        self.snapshot = snapshot if snapshot is not None else make_fleet()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.publish: Callable[[News], None] = lambda _news: None
        self.jobs: tuple[Job, ...] = ()
        self.recorded: tuple[Event, ...] = EVENTS
        self.fails: Exception | None = None
        self.xml_text = "<domain type='kvm'>\n  <name>web1</name>\n</domain>\n"
        self.stream: AttachedStream | None = None

    def start(self, publish: Callable[[News], None]) -> None:
        self.publish = publish
        publish(StoreReady(RECORDING))
        publish(EventsReady(EVENTS))
        publish(JobsReady(self.jobs))
        publish(SnapshotReady(self.snapshot))

    def stop(self) -> None:
        self._note("stop")

    def plan(self, requests: tuple[Request, ...]) -> Future[tuple[Plan, ...]]:
        self._note("plan", requests)
        return self._answer(tuple(self._plan(n, request) for n, request in enumerate(requests)))

    def _plan(self, number: int, request: Request) -> Plan:
        vm = self.snapshot.vm(request.uuid)
        name, host = (vm.name, vm.host) if vm else ("?", "?")
        harsh = request.action in (Action.DELETE, Action.FORCE_OFF)
        return Plan(
            f"plan{number}", request, name, host, NOW, f"{request.action.value} {name}",
            (Step(request.action.value, f"{request.action.value} {name}", f"virsh {name}"),),
            (Check("host", Verdict.OK, f"{host} answers"),),
            Confirm.TYPED if harsh else Confirm.YES,
        )  # fmt: skip

    def run(self, plans: tuple[Plan, ...]) -> Future[tuple[str, ...]]:
        self._note("run", plans)
        self.jobs += tuple(
            Job(f"job-{plan.id}", plan, JobState.RUNNING, created_at=NOW, started_at=NOW)
            for plan in plans
        )
        self.publish(JobsReady(self.jobs))
        return self._answer(tuple(f"job-{plan.id}" for plan in plans))

    def pull(self, job_id: str, lever: Lever, value: float) -> Future[None]:
        self._note("pull", job_id, lever, value)
        return self._answer(None)

    def cancel(self, job_id: str) -> Future[None]:
        self._note("cancel", job_id)
        return self._answer(None)

    def followup(self, job_id: str, choice: str) -> Future[tuple[Plan, ...]]:
        self._note("followup", job_id, choice)
        return self._answer(())

    def targets(
        self, action: Action, uuid: str, disk: str = "", options: Mapping[str, str] = NO_OPTIONS
    ) -> Future[tuple[TargetFit, ...]]:
        self._note("targets", action, uuid, disk, dict(options))
        ok = Check("room", Verdict.OK, "24G free")
        bad = Check("link", Verdict.BLOCKED, "host is down")
        names = ("kvm3", "kvm4") if action is Action.MIGRATE else ("warm", "cold")
        fits = (
            TargetFit(names[0], True, options.get("mode", "p2p"), (ok,)),
            TargetFit(names[1], False, "", (bad,)),
        )
        return self._answer(fits)

    def preflight(self, uuids: tuple[str, ...], hosts: tuple[str, ...]) -> Future[Matrix]:
        self._note("preflight", uuids, hosts)
        names = hosts or tuple(host.name for host in self.snapshot.hosts)
        return self._answer(preflight(self.snapshot, uuids, names, now=NOW))

    def volumes_of(self, uuid: str) -> Future[tuple[Volume, ...]]:
        self._note("volumes_of", uuid)
        return self._answer((Volume("v.qcow2", "/pools/hot/v.qcow2", "hot", "kvm1", "qcow2"),))

    def xml(self, uuid: str, inactive: bool) -> Future[str]:
        self._note("xml", uuid, inactive)
        return self._answer(self.xml_text)

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        self._note("history", queries)
        return self._answer(tuple(Series(query, query.ident) for query in queries))

    def names(self, kind: str) -> Future[list[tuple[str, str]]]:
        self._note("names", kind)
        if kind == "host":
            return self._answer([(h.name, h.name) for h in self.snapshot.hosts])
        return self._answer([(vm.uuid, vm.name) for vm in self.snapshot.vms()])

    def events(self, query: EventQuery) -> Future[tuple[Event, ...]]:
        self._note("events", query)
        ranks = list(Severity)
        found = [
            event
            for event in reversed(self.recorded)
            if query.until is None or event.at <= query.until
            if query.host in ("", event.host) and query.vm in ("", event.vm)
            if query.kind in (None, event.kind)
            if ranks.index(event.severity) >= ranks.index(query.least)
        ]
        return self._answer(tuple(found[: query.limit]))

    def refresh(self, host: str = "") -> None:
        self._note("refresh", host)

    def pause(self, paused: bool) -> None:
        self._note("pause", paused)

    def answer_host_key(self, question_id: str, decision: KeyDecision) -> None:
        self._note("answer_host_key", question_id, decision)

    def answer_secret(self, question_id: str, answers: tuple[str, ...] | None) -> None:
        self._note("answer_secret", question_id, answers)

    def attach_console(self, uuid: str) -> Future[AttachedStream]:
        self._note("attach_console", uuid)
        return self._stream()

    def attach_shell(self, host: str, columns: int, rows: int, term: str) -> Future[AttachedStream]:
        self._note("attach_shell", host)
        return self._stream()

    def _stream(self) -> Future[AttachedStream]:
        if self.stream is not None:
            return done(self.stream)
        failed: Future[AttachedStream] = Future()
        failed.set_exception(
            Unreachable("kvm1 does not answer", "timed out after 15 s", "check the network")
        )
        return failed

    def verbs(self) -> list[str]:
        """What was asked, by name."""
        return [verb for verb, _ in self.asked]

    def _note(self, verb: str, *args: object) -> None:
        self.asked.append((verb, args))

    def _answer(self, value: T) -> Future[T]:
        if self.fails is None:
            return done(value)
        failed: Future[T] = Future()
        failed.set_exception(self.fails)
        return failed
