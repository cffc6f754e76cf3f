"""Whether a host is back and well after its commands, and whether the right kernel runs."""

from __future__ import annotations

from dataclasses import dataclass

from console.policy.subject import host_problem
from drivers.model.host import Host, LinkState
from drivers.model.upgrade import Standing

CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a host must be like.

    Attributes:
        since: Readings must be newer than that, epoch seconds.
        boot: Id of the boot that must be over; empty when no reboot was asked for.
        kernel: Release that ran before.
        expect: As ``UpgradeRules.expect_kernel``.
        skew_s: Seconds its clock may be off.
    """

    since: float
    boot: str = ""
    kernel: str = ""
    expect: str = ""
    pools: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    skew_s: float = 2.0


def kernel_problem(standing: Standing, wanted: Wanted) -> str:
    """Why the running kernel is not the expected one; waiting longer does not change it."""
    expect, runs = wanted.expect, standing.kernel
    if expect == CHANGED:
        return f"kernel {runs} runs, as before the upgrade" if runs == wanted.kernel else ""
    fits = runs.startswith(expect[:-1]) if expect.endswith("*") else runs == expect
    return "" if not expect or fits else f"kernel {runs} runs, and {expect} was expected"


def missing(host: Host | None, standing: Standing, wanted: Wanted, now: float) -> str:
    """What still keeps the host from being well; empty when nothing does."""
    if wanted.boot and standing.boot == wanted.boot:
        return "it was not rebooted yet"
    if host is None:
        return "it is not part of this fleet"
    stale = host_problem(host, now)
    if stale is not None or host.slow_at <= wanted.since:
        return f"libvirtd does not answer yet ({stale.proof if stale else 'no reading since'})"
    if host.link.state is not LinkState.UP:
        why = host.link.problem.what if host.link.problem else "no reason is known"
        return f"it does not answer fully: {why}"
    if host.pools_at <= wanted.since:
        return "its pools were not read since"
    good = {p.name for p in host.pools if p.active and p.problem is None}
    lost = [f"pool {name}" for name in wanted.pools if name not in good]
    facts = host.facts
    up = {n.name for n in facts.networks if n.active} if facts is not None else set()
    lost += [f"network {name}" for name in wanted.networks if name not in up]
    if lost:
        return f"{', '.join(lost)} not active, as before the upgrade"
    skew = facts.clock_skew_s if facts is not None else None
    if skew is not None and abs(skew) > wanted.skew_s:
        return f"its clock is {skew:+.1f} s off"
    return ""


def well_words(standing: Standing, wanted: Wanted, seconds: float) -> str:
    """``back after 94 s, kernel 6.1.0-30 as expected``."""
    as_expected = " as expected" if wanted.expect else ""
    return f"back after {seconds:.0f} s, kernel {standing.kernel}{as_expected}"
