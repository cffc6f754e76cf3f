"""The verbs of host maintenance and their options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_maintenance(verbs: Verbs) -> None:
    """Add ``drain``, ``upgrade``, ``return``, ``cordon`` and ``uncordon``."""
    drain = verbs.add_parser("drain", help="move every VM off a host, by a plan")
    upgrade = verbs.add_parser("upgrade", help="drain, upgrade and refill hosts one after another")
    for verb in (drain, upgrade):
        _away(verb)
    add_targets(drain)
    back = verbs.add_parser("return", help="bring the VMs of a drained host home")
    add_homeward(back)
    _add_upgrade(upgrade)
    for verb in (drain, back):
        verb.add_argument("host", metavar="HOST")
        words = "migrate by this profile of the fleet file, not by that of [policy]"
        verb.add_argument("--profile", default="", metavar="NAME", help=words)
    for verb in (drain, back, upgrade):
        verb.add_argument("--yes", action="store_true", help="do not ask")
        verb.add_argument("--dry-run", action="store_true", help="only show the plan")
        _common(verb)
    cordon = verbs.add_parser("cordon", help="let no VM move to a host; without HOST: list them")
    cordon.add_argument("--reason", default="", help="shown beside the cordon")
    uncordon = verbs.add_parser("uncordon", help="let VMs move to a host again")
    cordon.add_argument("host", metavar="HOST", nargs="?", default="")
    uncordon.add_argument("host", metavar="HOST")
    for verb in (cordon, uncordon):
        _common(verb)


def _away(verb: argparse.ArgumentParser) -> None:
    for choice, text in (
        ("leave", "leave this VM where it is"),
        ("shutdown", "shut this VM down"),
        ("copy", "copy this VM's storage along"),
        ("move", "move this VM although it is paused"),
    ):
        words = f"{text} (repeat; all: every VM that needs a choice)"
        verb.add_argument(f"--{choice}", action="append", default=[], metavar="VM", help=words)


def _add_upgrade(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--hosts", nargs="+", required=True, metavar="HOST", help="these, in this order"
    )
    verb.add_argument("--name", default="", help="as [upgrades.NAME] says; without: [upgrade]")
    verb.add_argument("--canary", default="", metavar="HOST", help="goes first, alone")
    verb.add_argument(
        "--max-out", type=int, default=0, metavar="N", help="hosts that may be out at a time"
    )


def add_homeward(verb: argparse.ArgumentParser) -> None:
    """Add the choices for VMs on their way back."""
    for choice, text in (
        ("leave", "leave this VM where it is"),
        ("move", "move this VM although it is paused"),
    ):
        words = f"{text} (repeat; all: every VM that needs a choice)"
        verb.add_argument(f"--{choice}", action="append", default=[], metavar="VM", help=words)


def add_targets(verb: argparse.ArgumentParser) -> None:
    """Add where single VMs go."""
    verb.add_argument(
        "--to", action="append", default=[], metavar="VM=HOST", help="this VM goes there (repeat)"
    )


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true")
    verb.add_argument(
        "--deadline", type=float, default=20.0, metavar="S", help="seconds to wait for readings"
    )
    verb.add_argument(
        "--uri", action="append", metavar="URI", help="a host to use instead of the fleet file"
    )
