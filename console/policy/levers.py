"""What can be pulled while a migration runs, what each would do, and when to pull it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from console.policy.sizes import size_words
from drivers.model.migration import Lever, LeverOption, Outlook, Pace
from drivers.model.vm import JobProgress


@dataclass(frozen=True, slots=True)
class Settings:
    """How a running migration is set.

    Attributes:
        bandwidth_mib: Cap in MiB/s; 0 for none.
        max_downtime_ms: Pause of the guest allowed for the switch.
        auto_converge: Begun with permission to slow the guest down.
        post_copy: Begun with permission to switch before all memory is sent.
    """

    bandwidth_mib: int = 0
    max_downtime_ms: float = 300.0
    auto_converge: bool = False
    post_copy: bool = False


@dataclass(frozen=True, slots=True)
class Promise:
    """What a profile promises, and which levers it may pull to keep it.

    Attributes:
        finish_s: Seconds the whole migration may take; None for any time.
        max_downtime_ms: The longest pause of the guest ever allowed.
        levers: What may be pulled without a person, in order of harm.
        timeout_s: Seconds after which ``at_timeout`` is pulled, whatever it costs; None for never.
    """

    finish_s: float | None = None
    max_downtime_ms: float = 300.0
    levers: tuple[Lever, ...] = ()
    timeout_s: float | None = None
    at_timeout: Lever | None = None


_NONE: Mapping[Lever, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a decision needs: the figures, the settings, and what was pulled already.

    Attributes:
        elapsed_s: Seconds since the migration began.
        quiet_s: Seconds since the last pull; before its effect shows, nothing more is pulled.
        pulled: How often each lever was pulled.
        refused: Levers whose last pull libvirt refused.
    """

    progress: JobProgress
    outlook: Outlook
    settings: Settings
    elapsed_s: float
    quiet_s: float = math.inf
    pulled: Mapping[Lever, int] = field(default_factory=lambda: _NONE)
    refused: frozenset[Lever] = frozenset()

    @property
    def switched(self) -> bool:
        """The guest runs on the target already: from there on there is no way back."""
        return bool(self.pulled.get(Lever.POST_COPY))


_STEP = 2.0
"""Bandwidth and downtime grow by this factor a pull."""

_LONGEST_DOWNTIME_MS = 60_000.0

_MOST_MIB = 100_000
"""MiB a second: more than any link of today carries."""

_FULL = 0.85
"""Share of the cap from which the cap is what holds a migration back, and not the link."""

_EFFECT_S = 5.0
"""Seconds a pull is given to show its effect."""


def options(moment: Moment) -> tuple[LeverOption, ...]:
    """Every lever with its expected effect, mildest first."""
    found = (
        _bandwidth(moment),
        _downtime(moment),
        _throttle(moment),
        _post_copy(moment),
        _pause(moment),
        LeverOption(
            Lever.CANCEL,
            effect="the guest goes on at the source; what was sent is thrown away",
        ),
    )
    if not moment.switched:
        return found
    gone = "the guest runs on the target already: there is no way back"
    rest = (LeverOption(o.lever, blocked=gone) for o in found if o.lever is not Lever.BANDWIDTH)
    return (found[0], *rest)


def _bandwidth(moment: Moment) -> LeverOption:
    cap = moment.settings.bandwidth_mib
    if not cap:
        return LeverOption(Lever.BANDWIDTH, blocked="no cap is set: it sends as fast as it can")
    wanted = min(_MOST_MIB, round(cap * _STEP))
    if wanted <= cap:
        return LeverOption(Lever.BANDWIDTH, blocked=f"{cap} MiB/s is the most that is offered")
    ratio = moment.outlook.changed_per_sent
    effect = f"cap from {cap} to {wanted} MiB/s"
    if ratio is not None:
        effect += f": {ratio / _STEP:.2f} instead of {ratio:.2f} bytes changed per byte sent"
    return LeverOption(Lever.BANDWIDTH, wanted, effect)


def _downtime(moment: Moment) -> LeverOption:
    allowed = moment.settings.max_downtime_ms
    if allowed >= _LONGEST_DOWNTIME_MS:
        return LeverOption(Lever.DOWNTIME, blocked=f"{allowed:.0f} ms is the most that is offered")
    wanted = min(_LONGEST_DOWNTIME_MS, allowed * _STEP)
    needed = moment.outlook.needed_downtime_ms
    effect = f"the guest may pause {wanted:.0f} instead of {allowed:.0f} ms"
    if needed is not None:
        enough = "now enough" if needed <= wanted else f"{needed:.0f} ms would be needed now"
        effect += f"; {enough}"
    return LeverOption(Lever.DOWNTIME, wanted, effect)


def _throttle(moment: Moment) -> LeverOption:
    if not moment.settings.auto_converge:
        return LeverOption(
            Lever.THROTTLE,
            blocked="it was begun without auto-converge, which QEMU takes at the start only",
        )
    share = moment.progress.throttle
    told = f"it takes {share} % of the guest's CPU time now" if share else "not begun yet"
    return LeverOption(Lever.THROTTLE, blocked=f"QEMU slows the guest by itself: {told}")


def _post_copy(moment: Moment) -> LeverOption:
    if not moment.settings.post_copy:
        return LeverOption(
            Lever.POST_COPY,
            blocked="it was begun without post-copy, which QEMU takes at the start only",
        )
    left = moment.progress.remaining
    rest = f"{size_words(left)} fetched over the network on demand" if left is not None else ""
    return LeverOption(
        Lever.POST_COPY,
        effect=f"the guest runs on the target at once, {rest or 'slow until all is fetched'}; "
        "if the link or either host fails before the end, the guest stops",
    )


_BEHIND = 0.7
"""Share of the link that memory nobody asked for may take after the switch."""

_FAST_MIB = 256
"""MiB a second from which on nothing waits long enough to be felt."""


def behind_mib(rate_bps: float | None) -> int:
    """Cap, in MiB/s, of what is sent unasked after a switch to post-copy; 0 for none.

    The guest stands still for each page that it asks for. On a full line that page waits behind
    megabytes of others, in the source's own buffers; with room on the line it comes at once.

    Args:
        rate_bps: Bytes a second that the migration was sent at; None where it is not known.
    """
    mib = (rate_bps or 0.0) / (1 << 20)
    return max(1, round(mib * _BEHIND)) if 1.0 <= mib < _FAST_MIB else 0


def _pause(moment: Moment) -> LeverOption:
    implied = moment.outlook.implied_downtime_ms
    told = f"about {implied / 1000:.1f} s" if implied is not None else "until all is sent"
    return LeverOption(
        Lever.PAUSE, effect=f"the guest stands still for {told}, then runs on the target"
    )


def next_pull(moment: Moment, promise: Promise) -> LeverOption | None:
    """What a profile pulls now to keep its promise; None while it is being kept or nothing helps.

    A lever is pulled only while the outlook misses the promise, and never one that would itself
    break it: no downtime above the promised, no pause longer than it.
    """
    if moment.switched:
        return None
    by_lever = {option.lever: option for option in options(moment)}
    if promise.timeout_s and promise.at_timeout and moment.elapsed_s >= promise.timeout_s:
        last = by_lever[promise.at_timeout]
        if not last.blocked and not moment.pulled.get(last.lever):
            return last
    if moment.quiet_s < _EFFECT_S or not _missed(moment, promise):
        return None
    for lever in promise.levers:
        option = by_lever[lever]
        open_now = not option.blocked and lever not in moment.refused
        if open_now and _allowed(option, moment, promise):
            return _capped(option, promise)
    return None


def _missed(moment: Moment, promise: Promise) -> bool:
    return moment.outlook.pace is Pace.NOT_CONVERGING or _late(moment, promise)


def _late(moment: Moment, promise: Promise) -> bool:
    if promise.finish_s is None:
        return False
    left = promise.finish_s - moment.elapsed_s
    if left <= 0:
        return True
    band = moment.outlook.eta_s
    if band is None or moment.outlook.pace in (Pace.STARTING, Pace.STALLED):
        return False
    return band[1] is None or band[1] > left


def _allowed(option: LeverOption, moment: Moment, promise: Promise) -> bool:
    implied = moment.outlook.implied_downtime_ms
    if option.lever is Lever.CANCEL:
        return promise.finish_s is not None and moment.elapsed_s >= promise.finish_s
    if option.lever is Lever.DOWNTIME:
        return moment.settings.max_downtime_ms < promise.max_downtime_ms
    if option.lever is Lever.PAUSE:
        short = implied is not None and implied <= promise.max_downtime_ms
        return short and not moment.pulled.get(Lever.PAUSE)
    if option.lever is Lever.BANDWIDTH:
        rate = moment.progress.rate_bps or 0.0
        return rate >= _FULL * moment.settings.bandwidth_mib * (1 << 20)
    return not moment.pulled.get(option.lever)


def _capped(option: LeverOption, promise: Promise) -> LeverOption:
    if option.lever is not Lever.DOWNTIME or option.value <= promise.max_downtime_ms:
        return option
    capped = promise.max_downtime_ms
    return LeverOption(Lever.DOWNTIME, capped, f"the guest may pause {capped:.0f} ms, as promised")
