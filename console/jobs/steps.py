"""Which function carries out which verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from console.jobs import lifecycle, migrating, offline, tiering, volumes
from console.jobs.recovery import judge_left
from console.jobs.work import Work
from console.policy.verbs import Verb
from drivers.errors import Refused
from drivers.model.job import Step

Handler = Callable[[Work, Step], Awaitable[str]]


async def _adopt(work: Work, step: Step) -> str:
    await work.remember(**step.args)
    return f"facts of job {step.args['origin']}"


async def _take_over(work: Work, step: Step) -> str:
    """Judge a job by its hosts although its console could not be asked."""
    origin = step.args["origin"]
    job = next((j for j in await work.tools.journal.recorded() if j.id == origin), None)
    if job is None or job.state.ended:
        raise Refused("that job has ended meanwhile", proof=origin, fix="look at Jobs")
    return (await judge_left(work.tools, job)).outcome.rstrip(".")


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        Verb.START: lifecycle.call,
        Verb.SHUTDOWN: lifecycle.call,
        Verb.REBOOT: lifecycle.call,
        Verb.RESET: lifecycle.call,
        Verb.PAUSE: lifecycle.call,
        Verb.RESUME: lifecycle.call,
        Verb.FORCE_OFF: lifecycle.call,
        Verb.AUTOSTART: lifecycle.set_autostart,
        Verb.WAIT_STATE: lifecycle.wait_state,
        Verb.CHECK_AUTOSTART: lifecycle.check_autostart,
        Verb.CHECK_OFF: lifecycle.check_off,
        Verb.UNDEFINE: lifecycle.undefine,
        Verb.VERIFY_GONE: lifecycle.verify_gone,
        Verb.DELETE_VOLUME: volumes.delete_chosen,
        Verb.CREATE_VOLUME: volumes.create_volume,
        Verb.DROP_VOLUME: volumes.drop_volume,
        Verb.PRECHECK: migrating.precheck,
        Verb.MIGRATE: migrating.migrate,
        Verb.SEND_VOLUME: offline.send_volume,
        Verb.COMPARE_SENT: offline.compare_sent,
        Verb.VERIFY_MIGRATION: migrating.verify,
        Verb.REMOVE_SOURCE: migrating.remove_source,
        Verb.FOLLOW_MIGRATION: migrating.follow_existing,
        Verb.RECOVER_MIGRATION: migrating.recover,
        Verb.ABORT_MIGRATION: migrating.abort,
        Verb.BLOCK_COPY: tiering.block_copy,
        Verb.PIVOT: tiering.pivot,
        Verb.VERIFY_DISK: tiering.verify_disk,
        Verb.CLONE: tiering.clone,
        Verb.COMPARE: tiering.compare,
        Verb.REPOINT: tiering.repoint,
        Verb.REMOVE_OLD: tiering.remove_old,
        Verb.ABORT_COPY: tiering.abort_copy,
        Verb.TAKE_OVER: _take_over,
        Verb.ADOPT: _adopt,
    }
)
