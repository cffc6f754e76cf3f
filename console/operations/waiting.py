"""Waiting until a host is back and well after its commands."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from console.operations.record import Record
from console.operations.stages import drain_run, line_to_run, put_stage, upgrade_of
from console.operations.tools import Desk
from console.policy.redact import redacted, secrets_in
from console.policy.upgrade.health import Wanted, kernel_problem, missing, well_words
from console.policy.upgrade.order import of_host
from drivers.errors import Busy, DriverError, Failed, TimedOut, Unreachable
from drivers.model.operation import MoveState, StageRun
from drivers.model.upgrade import HostTask, StageVerb, Standing, TaskState

_TRY_S = 3.0
"""Seconds between two tries at a host that is not back, and between two runs of a health check."""


class Waiting:
    """The waits of one upgrade."""

    def __init__(self, desk: Desk, record: Record) -> None:
        self._desk = desk
        self._record = record
        self._taken_up = desk.clock()  # nobody looked before: a limit counts from here at most
        self._tried_at: dict[str, float] = {}
        self._failed_at: dict[str, float] = {}
        self._checks: dict[str, tuple[int, str]] = {}
        """Host to the number of the health check that is due, and the token of the one begun."""

    async def begin(self, run: StageRun) -> None:
        """From now on readings count."""
        now = self._desk.clock()
        await self._drop_check(run.stage.host)
        waits = replace(run, state=MoveState.RUNNING, tries=run.tries + 1, started_at=now)
        await put_stage(self._record, replace(waits, note="", ended_at=None))

    async def look(self, run: StageRun) -> None:
        """Judge the host once."""
        host, now = run.stage.host, self._desk.clock()
        wanted = self._wanted(run)
        try:
            standing = await self._desk.hands.tasks(host).standing()
            rebooted = standing.boot != wanted.boot
            if rebooted and (wrong := kernel_problem(standing, wanted)):
                await self._end(run, MoveState.FAILED, wrong)
                return
            lacks = missing(self._desk.snapshot().host(host), standing, wanted, now)
            lacks = lacks or await self._check(run, standing)
        except Failed:
            raise  # what cannot be recorded is tried again
        except (Unreachable, TimedOut, Busy) as error:
            await self._not_yet(run, f"sshd does not answer yet ({error.problem.what})")
            return
        except DriverError as error:
            await self._not_yet(run, error.problem.what)
            return
        if lacks:
            await self._not_yet(run, lacks)
            return
        done = well_words(standing, wanted, now - self._since(run))
        self._record.tell(f"{host} is {done}")
        await self._end(run, MoveState.DONE, done)

    def _wanted(self, run: StageRun) -> Wanted:
        operation, name = self._record.operation, run.stage.host
        upgrade = upgrade_of(operation)
        planned = next(h for h in upgrade.hosts if h.host == name)
        stages = of_host(operation.stages, name)
        boot = next((r.boot for r in stages if r.stage.verb is StageVerb.REBOOT), "")
        return Wanted(
            run.started_at or 0.0,
            boot,
            drain_run(operation, name).kernel or planned.kernel,
            upgrade.rules.expect_kernel,
            planned.pools,
            planned.networks,
            self._desk.rules.clock_skew_s,
        )

    def _since(self, run: StageRun) -> float:
        """When the host was last touched: its reboot, else its first command."""
        stages = of_host(self._record.operation.stages, run.stage.host)
        acts = [r for r in stages if r.stage.verb in (StageVerb.COMMAND, StageVerb.REBOOT)]
        touched = [r for r in acts if r.stage.verb is StageVerb.REBOOT] or acts[:1]
        started = touched[0].started_at if touched else None
        return started or run.started_at or 0.0

    async def _check(self, run: StageRun, standing: Standing) -> str:
        """Run the health checks in order, one step a look; empty once all have succeeded."""
        host, rules = run.stage.host, upgrade_of(self._record.operation).rules
        number, token = self._checks.get(host, (0, ""))
        if number >= len(rules.health):
            return ""
        line, tasks, now = rules.health[number], self._desk.hands.tasks(host), self._desk.clock()
        if not token:
            if now - self._failed_at.get(host, float("-inf")) < _TRY_S:
                return run.note
            stem = f"{self._record.operation.id}.{run.stage.id}.{run.tries}"
            token = f"{stem}.h{number}.{now:.3f}"
            self._checks[host] = (number, token)
            real = line_to_run(self._desk, self._record.operation, line)
            await tasks.begin(HostTask(token, real, rules.root, standing.boot))
            return f"check `{line}` runs"
        look = await tasks.look(token, root=rules.root)
        if look.state is TaskState.RUNNING:
            return f"check `{line}` runs"
        await tasks.forget(token, root=rules.root)
        if look.status == 0:
            self._checks[host] = (number + 1, "")
            return await self._check(run, standing)
        self._checks[host] = (number, "")
        self._failed_at[host] = now
        known = secrets_in(line_to_run(self._desk, self._record.operation, line))
        said = redacted(look.output, known).strip()[-200:]
        return f"check `{line}` failed: {said or look.status}"

    async def _drop_check(self, host: str) -> None:
        """End a check whose answer nobody waits for any more."""
        _, token = self._checks.pop(host, (0, ""))
        if not token:
            return
        root = upgrade_of(self._record.operation).rules.root
        with suppress(DriverError):  # where the host does not answer it stays until its next boot
            await self._desk.hands.tasks(host).end(token, root=root)

    async def _not_yet(self, run: StageRun, why: str) -> None:
        host, now = run.stage.host, self._desk.clock()
        if now - self._tried_at.get(host, float("-inf")) >= _TRY_S:
            self._tried_at[host] = now
            self._desk.hands.wake(host)
        spent = now - max(run.started_at or 0.0, self._taken_up)
        if spent > run.stage.limit_s:
            await self._drop_check(host)
            note = f"not well after {run.stage.limit_s:.0f} s: {why}"
            await self._end(run, MoveState.FAILED, note)
        elif run.note != why:
            await put_stage(self._record, replace(run, note=why))

    async def _end(self, run: StageRun, state: MoveState, note: str) -> None:
        now = self._desk.clock()
        await put_stage(self._record, replace(run, state=state, note=note, ended_at=now))
