"""Which stage of an upgrade may begin, and which hosts are out: the canary alone, then by batch."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.model.operation import MoveState, StageRun, UpgradePlan
from drivers.model.upgrade import StageVerb

_MOVES = (StageVerb.DRAIN, StageVerb.RETURN)
_OPEN = (MoveState.PENDING, MoveState.BLOCKED)


def of_host(runs: Sequence[StageRun], host: str) -> list[StageRun]:
    """The stages of one host, in order."""
    return [r for r in runs if r.stage.host == host]


def is_home(runs: Sequence[StageRun], host: str) -> bool:
    """Whether a host is through."""
    return all(r.state is MoveState.DONE for r in of_host(runs, host))


def hosts_out(upgrade: UpgradePlan, runs: Sequence[StageRun]) -> tuple[str, ...]:
    """Hosts that were begun and are not home again, a drain that is to be tried again included."""
    return tuple(
        name for name in upgrade.names if _begun(of_host(runs, name)[0]) and not is_home(runs, name)
    )


def _begun(drain: StageRun) -> bool:
    """Whether a drain was ever begun: then the boot before it is known. One skipped counts too."""
    return bool(drain.boot) or drain.state in (MoveState.RUNNING, MoveState.DONE)


def next_stages(upgrade: UpgradePlan, runs: Sequence[StageRun]) -> tuple[StageRun, ...]:
    """The stages that may begin now; none once any has failed.

    VMs leave or enter one host at a time, so that each move is judged by what the ones before
    have left. A host is taken out only while fewer than allowed are.
    """
    if any(r.state is MoveState.FAILED for r in runs):
        return ()
    open_ = [h for h in upgrade.hosts if not is_home(runs, h.host)]
    batch = min((h.batch for h in open_), default=0)
    out = set(hosts_out(upgrade, runs))
    moving = any(r.stage.verb in _MOVES and r.state is MoveState.RUNNING for r in runs)
    chosen = []
    for host in open_:
        run = next(r for r in of_host(runs, host.host) if r.state is not MoveState.DONE)
        if host.batch != batch or run.state not in _OPEN:
            continue
        if host.host not in out and len(out) >= upgrade.rules.max_out:
            continue
        if run.stage.verb in _MOVES:
            if moving:
                continue
            moving = True
        out.add(host.host)
        chosen.append(run)
    return tuple(chosen)
