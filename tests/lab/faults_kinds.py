"""What breaks in the middle of a drain, and what the console must then show."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from drivers.errors import Gone
from drivers.lab.host import LabHost
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState
from tests.lab.e2e_console import defined_on, running_on
from tests.lab.faults_scene import HOME, VICTIM, Scene, fill, set_clock

AHEAD_S = 7200

Strike = Callable[[Scene, str], None]
"""What breaks, given the target that the victim goes to."""


Shown = Callable[[FleetSnapshot, str], bool]
"""Whether the console shows what broke, given the target that the victim was to go to."""


def _nothing(_snapshot: FleetSnapshot, _target: str) -> bool:
    return True


def _source_lost(snapshot: FleetSnapshot, _target: str) -> bool:
    host = snapshot.host(HOME)
    return host is not None and host.link.state is not LinkState.UP


def _target_lost(snapshot: FleetSnapshot, target: str) -> bool:
    host = snapshot.host(target)
    return host is not None and host.link.state is not LinkState.UP


def _clock_told(snapshot: FleetSnapshot, target: str) -> bool:
    host = snapshot.host(target)
    return (
        host is not None
        and host.facts is not None
        and (host.facts.clock_skew_s or 0) > AHEAD_S - 60
    )


@dataclass(frozen=True)
class Fault:
    """One way to break something.

    Attributes:
        strike: What breaks, given the target that the victim goes to.
        shown: What the console must show of it before it is mended.
        kills: Phases in which the victim itself may end by it: its own QEMU is killed.
    """

    strike: Strike
    shown: Shown = _nothing
    kills: tuple[str, ...] = ()

    def crashed(self, scene: Scene, phase: str) -> dict[str, str]:
        """UUID to host of the guest that the fault itself ended, where it did."""
        if phase not in self.kills or running_on(scene.lab, scene.victim):
            return {}
        known = defined_on(scene.lab, scene.victim)
        return {scene.victim: known[0]} if known else {}


def _kill_qemu(host: LabHost) -> None:
    with suppress(Gone):  # at the end of a migration it may have gone by itself just now
        host.qemu_kill(VICTIM)


def _restart_libvirtd(scene: Scene, _target: str) -> None:
    scene.lab.host(HOME).libvirtd_kill()
    scene.lab.host(HOME).libvirtd_start()


FAULTS = {
    "target-cut": Fault(lambda s, target: s.lab.host(target).link_down(), _target_lost),
    "target-silent": Fault(lambda s, target: s.lab.host(target).blackhole(), _target_lost),
    "source-cut": Fault(lambda s, _t: s.lab.host(HOME).link_down(), _source_lost),
    "source-silent": Fault(lambda s, _t: s.lab.host(HOME).blackhole(), _source_lost),
    "slow": Fault(lambda s, target: s.lab.host(target).slow(0, 64)),
    "source-libvirtd": Fault(_restart_libvirtd),
    "source-libvirtd-gone": Fault(lambda s, _t: s.lab.host(HOME).libvirtd_kill(), _source_lost),
    "target-libvirtd": Fault(lambda s, target: s.lab.host(target).libvirtd_kill(), _target_lost),
    "source-qemu": Fault(
        lambda s, _t: _kill_qemu(s.lab.host(HOME)), kills=("perform", "finish", "between")
    ),
    "target-qemu": Fault(lambda s, target: _kill_qemu(s.lab.host(target)), kills=("finish",)),
    "full-disk": Fault(lambda s, target: fill(s.lab.host(target))),
    "skew": Fault(lambda s, target: set_clock(s.lab.host(target), AHEAD_S), _clock_told),
}
"""Name to fault."""

PHASES = ("before", "perform", "finish", "between")
