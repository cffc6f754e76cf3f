"""The commands of an upgrade: recorded before they are begun, begun once, judged by evidence."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from console.operations.children import still_there
from console.operations.record import Record
from console.operations.stages import line_to_run, put_stage, upgrade_of
from console.operations.tools import Desk
from console.policy.redact import redacted, secrets_in
from console.policy.subject import host_problem
from drivers.errors import Busy, DriverError, Refused, TimedOut, Unreachable
from drivers.model.audit import Actor, Deed, Entry
from drivers.model.operation import MoveState, StageRun
from drivers.model.upgrade import HostTask, StageVerb, Standing, TaskLook, TaskState

_SIGNALS = 128
"""From this exit status on a command was ended by a signal, as a reboot ends its own."""


class Commands:
    """Those of one upgrade."""

    def __init__(self, desk: Desk, record: Record) -> None:
        self._desk = desk
        self._record = record
        self._taken_up = desk.clock()  # nobody looked before: a limit counts from here at most

    async def begin(self, run: StageRun) -> None:
        """Begin a command on an empty host, unless the one begun before runs or has succeeded.

        Raises:
            DriverError: The host does not answer, or guests run there.
        """
        host = run.stage.host
        tasks = self._desk.hands.tasks(host)
        standing = await tasks.standing()
        if run.ticket and await self._went_on(run, standing):
            return
        if there := await self._guests(host):
            raise Refused(there, fix="move them away, then resume")
        operation = self._record.operation
        line_to_run(self._desk, operation, run.stage.command)
        begun = replace(
            run,
            state=MoveState.RUNNING,
            ticket=f"{operation.id}.{run.stage.id}.{run.tries + 1}",
            tries=run.tries + 1,
            boot=standing.boot,
            kernel=standing.kernel,
            output="",
            note="",
            started_at=self._desk.clock(),
            ended_at=None,
        )
        await self._desk.auditor.begin(self._entry(begun))
        await put_stage(self._record, begun)
        with suppress(DriverError):  # a reboot costs the connection; a look tells what became of it
            await tasks.begin(self._task(begun))

    def _told(self, run: StageRun, look: TaskLook) -> TaskLook:
        """How a command stands, without the secrets it may have printed."""
        known: tuple[str, ...] = ()
        with suppress(Refused):
            known = secrets_in(line_to_run(self._desk, self._record.operation, run.stage.command))
        return replace(look, output=redacted(look.output, known))

    async def _guests(self, host: str) -> str:
        """Which guests keep a command from being begun; Unreachable where nobody knows just now."""
        since = self._desk.clock()
        found = (await self._desk.fresh({host})).host(host)
        if found is None or host_problem(found, self._desk.clock()) or found.slow_at < since:
            self._desk.hands.wake(host)
            raise Unreachable(f"which guests run on {host} could not be read just now")
        return still_there(found, upgrade_of(self._record.operation))

    async def _went_on(self, run: StageRun, standing: Standing) -> bool:
        """Whether what was begun before needs no second try."""
        if run.stage.verb is StageVerb.REBOOT and standing.boot != run.boot:
            await self._end(run, MoveState.DONE, "it was rebooted")
            return True
        root = upgrade_of(self._record.operation).rules.root
        look = await self._desk.hands.tasks(run.stage.host).look(run.ticket, root=root)
        look = self._told(run, look)
        if look.state is TaskState.RUNNING:
            now = self._desk.clock()
            again = replace(run, state=MoveState.RUNNING, note="", started_at=now, ended_at=None)
            await put_stage(self._record, again)
            return True
        if run.stage.verb is StageVerb.COMMAND and look.status == 0:
            await self._end(run, MoveState.DONE, "it had succeeded", look.output)
            return True
        return False

    async def look(self, run: StageRun) -> None:
        """Judge a command that was begun, by what its host tells."""
        root, there = upgrade_of(self._record.operation).rules.root, ""
        try:
            look = await self._desk.hands.tasks(run.stage.host).look(run.ticket, root=root)
            if look.state is TaskState.ABSENT and look.boot == run.boot:
                # Recorded and no more: the host knows nothing of it, so it was never begun. That
                # may be long ago, and guests may have come since.
                there = await self._guests(run.stage.host)
                if not there:
                    look = await self._desk.hands.tasks(run.stage.host).begin(self._task(run))
        except DriverError as error:
            self._desk.hands.wake(run.stage.host)
            silent = isinstance(error, Unreachable | TimedOut | Busy)
            note = f"no answer: {error.problem.what}" if silent else error.problem.what
            await self._go_on(run, note, run.output)
            return
        look = self._told(run, look)
        if there:
            await self._end(run, MoveState.FAILED, f"it was not begun: {there}")
        elif run.stage.verb is StageVerb.REBOOT:
            await self._rebooting(run, look)
        elif look.state is TaskState.ENDED:
            good = look.status == 0
            note = f"exit status {look.status}" + ("" if good else _last_line(look.output))
            state = MoveState.DONE if good else MoveState.FAILED
            await self._end(run, state, note, look.output)
        elif look.state is TaskState.RUNNING:
            await self._go_on(run, _last_line(look.output).removeprefix(": "), look.output)
        else:
            ended = "the host was rebooted" if look.boot != run.boot else "it was killed"
            note = f"{ended} while it ran: whether it did its work is not known"
            await self._end(run, MoveState.FAILED, note, look.output or run.output)

    async def _rebooting(self, run: StageRun, look: TaskLook) -> None:
        """A lost connection is what a reboot looks like; only another boot proves it."""
        if look.boot != run.boot:
            await self._end(run, MoveState.DONE, "another boot runs", run.output)
        elif look.status is not None and 0 < look.status < _SIGNALS:
            note = f"exit status {look.status}{_last_line(look.output)}"
            await self._end(run, MoveState.FAILED, note, look.output)
        else:
            await self._go_on(run, "it is still up", look.output)

    async def _go_on(self, run: StageRun, note: str, output: str) -> None:
        spent = self._desk.clock() - max(run.started_at or 0.0, self._taken_up)
        if spent > run.stage.limit_s:
            what = f"not over after {run.stage.limit_s:.0f} s, and left alone"
            why = f"{what}: {note or 'it runs'}"
            await self._end(run, MoveState.FAILED, why, output, over=False)
        elif (note, output) != (run.note, run.output):
            await put_stage(self._record, replace(run, note=note, output=output))

    async def _end(
        self, run: StageRun, state: MoveState, note: str, output: str = "", *, over: bool = True
    ) -> None:
        """Record how it ended; what is not ``over`` may yet tell its host that it succeeded."""
        now = self._desk.clock()
        ended = replace(run, state=state, note=note, output=output or run.output, ended_at=now)
        await put_stage(self._record, ended)
        entry = replace(self._entry(ended), deed=Deed.ENDED, commands=())
        await self._desk.auditor.end(replace(entry, state=state.value, outcome=note))
        if not over:
            return
        root = upgrade_of(self._record.operation).rules.root
        with suppress(DriverError):  # what is left behind there does no harm
            await self._desk.hands.tasks(run.stage.host).forget(run.ticket, root=root)

    def _task(self, run: StageRun) -> HostTask:
        root = upgrade_of(self._record.operation).rules.root
        line = line_to_run(self._desk, self._record.operation, run.stage.command)
        return HostTask(run.ticket, line, root, run.boot)

    def _entry(self, run: StageRun) -> Entry:
        stage = run.stage
        title = f"{stage.verb.value.capitalize()} on {stage.host}, as part of an upgrade"
        at, hosts = run.started_at or 0.0, (stage.host,)
        return Entry(
            Deed.BEGUN, at, Actor(), title, run.ticket, hosts=hosts, commands=(stage.command,)
        )


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""
