"""Where a VM truly is, from fresh readings of its hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from drivers.model.vm import Vm, VmState


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one host says of one VM.

    Attributes:
        vm: The VM as read; None when the host does not list it.
        known: False when the host did not answer, or left the VM out because its monitor hangs:
            then ``vm`` None does not mean that it is not there.
        why: Why it is not known.
    """

    host: str
    vm: Vm | None = None
    known: bool = True
    why: str = ""

    @property
    def active(self) -> bool:
        """True when the VM has a process there for certain."""
        return self.known and self.vm is not None and self.vm.state.active

    @property
    def absent(self) -> bool:
        """True when the VM has no process there for certain."""
        return self.known and not self.active


_ARRIVED, _WOKEN = "migrated here", "migration cancelled"
"""libvirt's reasons why a VM runs: on the target, and on a source that goes on with it."""

_HELD = "migrating"
"""libvirt's reason why a source stands still at the end of a migration."""

_RUNS = (VmState.RUNNING, VmState.BLOCKED)


class Whereabouts(StrEnum):
    """The answer in one word."""

    SOURCE = "source"
    TARGET = "target"
    BOTH = "both"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"


def whereabouts(source: Sighting, target: Sighting) -> Whereabouts:
    """Which end runs the VM. UNKNOWN unless the readings leave one answer."""
    if source.active and target.active:
        return Whereabouts.BOTH
    if source.active and target.absent:
        return Whereabouts.SOURCE
    if target.active and source.absent:
        return Whereabouts.TARGET
    if source.absent and target.absent:
        return Whereabouts.NOWHERE
    return Whereabouts.UNKNOWN


def doubled(source: Sighting, target: Sighting) -> bool:
    """Both run the VM after a migration, and no migration is left that could end that.

    The target says that it arrived there; the source, that it was told to go on.
    """
    return _is(source, _RUNS, _WOKEN) and _is(target, _RUNS, _ARRIVED)


def held(source: Sighting, target: Sighting) -> bool:
    """The VM has arrived and runs on the target, and its source stands still with it.

    For a moment that is the end of every migration. It stays so where the source's daemon died.
    """
    return _is(source, (VmState.PAUSED,), _HELD) and _is(target, _RUNS, _ARRIVED)


def _is(seen: Sighting, states: Sequence[VmState], reason: str) -> bool:
    vm = seen.vm if seen.known else None
    return vm is not None and vm.state in states and vm.reason == reason


def where_sentence(name: str, sightings: Sequence[Sighting]) -> str:
    """One sentence that claims no more than was read."""
    parts = []
    active = [s for s in sightings if s.active]
    if len(active) == 1 and all(s.known for s in sightings):
        parts.append(f"{name} is {_state(active[0])} on {active[0].host} and nowhere else")
    else:
        parts += [f"{name} is {_state(s)} on {s.host}" for s in active]
    for sighting in sightings:
        if not sighting.known:
            parts.append(f"{sighting.host} is not known: {sighting.why}")
        elif sighting.vm is not None and not sighting.active:
            parts.append(f"{sighting.host} has it {sighting.vm.state.value}")
        elif sighting.vm is None and not (len(active) == 1 and all(s.known for s in sightings)):
            parts.append(f"{sighting.host} does not have it")
    return "; ".join(parts)


def _state(sighting: Sighting) -> str:
    return sighting.vm.state.value if sighting.vm else "absent"
