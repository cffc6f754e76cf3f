"""The cockpit of one migration: its verdict, its levers, and what a profile pulls by itself."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from console.policy.convergence import Course, observe, outlook
from console.policy.levers import Moment, Promise, Settings, behind_mib, next_pull, options
from drivers.errors import Busy, DriverError, Refused, TimedOut, Unreachable
from drivers.model.migration import Lever, LeverOption, Tuning
from drivers.model.vm import JobProgress
from drivers.protocol import HostDriver

_TRAIL = 240
"""Points kept of how much remained."""

_TOLD_S = 15.0
"""Seconds a pull stays in the line that people read."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One lever to pull; ``by`` says who wanted it."""

    lever: Lever
    value: float
    by: str


class Cockpit:
    """Watches one migration and pulls its levers.

    Args:
        driver: The source's.
        uuid: The VM.
        settings: How it was begun.
        promise: What a profile promises; None leaves every lever to people.
        cancel: Ends the migration.
        switched: It was switched to post-copy before.
    """

    def __init__(
        self,
        driver: HostDriver,
        uuid: str,
        settings: Settings,
        promise: Promise | None,
        cancel: Callable[[], None],
        *,
        switched: bool = False,
    ) -> None:
        self._driver = driver
        self._uuid = uuid
        self._settings = settings
        self._promise = promise
        self._cancel = cancel
        self._course = Course()
        self._moment: Moment | None = None
        self._trail: deque[tuple[float, float]] = deque(maxlen=_TRAIL)
        self._wanted: deque[Pull] = deque()
        self._pulled: dict[Lever, int] = {Lever.POST_COPY: 1} if switched else {}
        self._refused: frozenset[Lever] = frozenset()
        self._pulled_at = float("-inf")
        self._told = ""
        self._primed = False
        self.log: list[str] = []

    def want(self, lever: Lever, value: float, by: str) -> None:
        """Ask for a lever; it is pulled at the next look.

        Raises:
            Refused: It cannot be pulled as things stand; says why.
        """
        found = {option.lever: option for option in self._options()}.get(lever)
        if found is None:
            raise Refused("nothing is known of this migration yet", fix="try again in a moment")
        if found.blocked:
            raise Refused(f"{lever} cannot be pulled", proof=found.blocked)
        self._wanted.append(Pull(lever, value or found.value, by))

    def look(self, progress: JobProgress) -> JobProgress:
        """The same figures with verdict, levers and the last minutes' course."""
        self._course = observe(self._course, progress)
        verdict = outlook(self._course, max_downtime_ms=self._settings.max_downtime_ms)
        self._moment = Moment(
            progress,
            verdict,
            self._settings,
            progress.at - progress.started_at if progress.started_at else 0.0,
            progress.at - self._pulled_at,
            dict(self._pulled),
            self._refused,
        )
        if progress.remaining is not None:
            self._trail.append((progress.at, float(progress.remaining)))
        fresh = progress.at - self._pulled_at < _TOLD_S
        return replace(
            progress,
            note=self._told if fresh else progress.note,
            outlook=verdict,
            levers=self._options(),
            trail=tuple(self._trail),
        )

    @property
    def switched(self) -> bool:
        """The guest runs on the target already, its memory following: nothing can be aborted."""
        return bool(self._pulled.get(Lever.POST_COPY))

    async def steer(self, remember: Callable[[str], Awaitable[None]]) -> None:
        """Pull what was asked for, else what the profile needs.

        Args:
            remember: Told each pull in words before it is made.
        """
        moment = self._moment
        if moment is None:
            return
        await self._prime(moment)
        pull = self._wanted.popleft() if self._wanted else self._own(moment)
        if pull is None:
            return
        told = _words(pull)
        self._pulled_at = moment.progress.at
        try:
            await remember(told)
            await self._apply(pull)
        except DriverError as error:
            told = f"{told}: refused, {error.problem.what}"
            self._refused |= {pull.lever}
        else:
            self._refused -= {pull.lever}
            self._pulled[pull.lever] = self._pulled.get(pull.lever, 0) + 1
        self._told = told
        self.log.append(told)

    def _options(self) -> tuple[LeverOption, ...]:
        return options(self._moment) if self._moment is not None else ()

    def _own(self, moment: Moment) -> Pull | None:
        option = next_pull(moment, self._promise) if self._promise is not None else None
        return Pull(option.lever, option.value, "its profile") if option is not None else None

    async def _prime(self, moment: Moment) -> None:
        """The allowed pause can be set only once QEMU migrates."""
        if self._primed or moment.progress.iteration is None:
            return
        wanted, usual = self._settings.max_downtime_ms, Settings().max_downtime_ms
        try:
            if wanted != usual:
                await self._driver.tune_migration(self._uuid, max_downtime_ms=wanted)
        except (TimedOut, Unreachable, Busy):
            return  # asked again at the next look
        except DriverError as error:
            self._settings = replace(self._settings, max_downtime_ms=usual)
            self.log.append(f"a pause of {wanted:.0f} ms was refused: {error.problem.what}")
        self._primed = True

    async def _apply(self, pull: Pull) -> None:
        driver, uuid = self._driver, self._uuid
        if pull.lever is Lever.BANDWIDTH:
            await driver.tune_migration(uuid, bandwidth_mib=round(pull.value))
            self._settings = replace(self._settings, bandwidth_mib=round(pull.value))
        elif pull.lever is Lever.DOWNTIME:
            await driver.tune_migration(uuid, max_downtime_ms=pull.value)
            self._settings = replace(self._settings, max_downtime_ms=pull.value)
        elif pull.lever is Lever.POST_COPY:
            await driver.start_post_copy(uuid, self._behind())
        elif pull.lever is Lever.PAUSE:
            await driver.suspend(uuid)
        elif pull.lever is Lever.CANCEL:
            self._cancel()

    def _behind(self) -> int:
        return behind_mib(self._moment.progress.rate_bps) if self._moment is not None else 0


def _words(pull: Pull) -> str:
    said = {
        Lever.BANDWIDTH: f"bandwidth raised to {pull.value:.0f} MiB/s",
        Lever.DOWNTIME: f"the guest may now pause {pull.value:.0f} ms",
        Lever.POST_COPY: "switched to post-copy",
        Lever.PAUSE: "the guest was paused to finish",
        Lever.CANCEL: "cancelled",
    }
    return f"{said.get(pull.lever, str(pull.lever))}, by {pull.by}"


def settings_of(args: Mapping[str, str]) -> Settings:
    """How a migration step says it begins."""
    tuning = tuning_of(args)
    return Settings(
        int(args.get("bandwidth_mib", "0") or 0),
        tuning.max_downtime_ms or Settings().max_downtime_ms,
        tuning.auto_converge,
        tuning.post_copy,
    )


def tuning_of(args: Mapping[str, str]) -> Tuning:
    """The options of a migration step."""
    told = json.loads(args.get("tuning", "{}"))
    return Tuning(**told)


def promise_of(args: Mapping[str, str]) -> Promise | None:
    """What a migration step promises; None when it promises nothing."""
    told = json.loads(args.get("promise", "{}"))
    if not told:
        return None
    finish = told.get("finish_s")
    last = told.get("at_timeout")
    return Promise(
        finish,
        told["max_downtime_ms"],
        tuple(Lever(x) for x in told["levers"]),
        told.get("timeout_s"),
        Lever(last) if last else None,
    )
