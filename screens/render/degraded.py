"""What works less than it should, worst first: one short text for the top line, all for a list."""

from __future__ import annotations

from typing import NamedTuple

from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.host import LinkState
from screens.format import clean, plural


class Lack(NamedTuple):
    """One thing that is missing; ``hosts`` when it is about hosts, which are named elsewhere."""

    text: str
    hosts: bool = False


OVERLOADED = "this console or its machine is overloaded"


def suspicion(snapshot: FleetSnapshot) -> str:
    """What to suspect where every host failed at once."""
    if not snapshot.starved:
        return "suspect the local network"
    return f"{OVERLOADED} (it ran {snapshot.late_s:.1f} s late)"


def degraded(snapshot: FleetSnapshot, store: StoreStatus) -> tuple[Lack, ...]:
    """Everything that limits the console now, what matters most first."""
    found = []
    if store.paused:
        found.append(Lack(f"not recording: {clean(store.paused)}"))
    if store.read_only:
        found.append(Lack("read-only: the history is another user's"))
    for state, words in (
        (LinkState.DOWN, "unreachable"),
        (LinkState.DECISION, "waiting for a decision"),
        (LinkState.DEGRADED, "answering in part"),
    ):
        names = [host.name for host in snapshot.hosts if host.link.state is state]
        if names:
            who = names[0] if len(names) == 1 else plural(len(names), "host")
            found.append(Lack(f"{clean(who)} {words}", hosts=True))
    if store.dropped:
        found.append(Lack(f"{plural(store.dropped, 'sample')} not recorded"))
    return tuple(found)
