"""``novacron lab`` and ``novacron demo``: the practice fleet."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from console.headless.status import Exit
from console.sources import FleetSource, real_fleet
from drivers.errors import DriverError
from drivers.kvm.binding import load
from drivers.lab.fleet import LabFleet, default_folder

DEFAULT_HOSTS = 3


def lab_of(args: argparse.Namespace) -> LabFleet:
    """The lab the arguments name."""
    folder = Path(args.folder).expanduser() if args.folder else default_folder()
    return LabFleet(folder, hosts=args.hosts or DEFAULT_HOSTS, guests=args.guests, mode=args.mode)


def run_lab(args: argparse.Namespace) -> int:
    """Bring the practice fleet up, take it down, or say how it stands."""
    lab = lab_of(args)
    try:
        if args.verb == "up":
            lab.up(lambda line: print(line, file=sys.stderr, flush=True))
        elif args.verb == "down":
            lab.down()
            print("The lab is gone.", file=sys.stderr)
            return Exit.OK
        status = lab.status()
    except DriverError as error:
        print(error, file=sys.stderr)
        return Exit.FAILED
    print(json.dumps(status.as_dict(), indent=2))
    return Exit.OK if status.healthy else Exit.FAILED


def demo_source(args: argparse.Namespace) -> FleetSource:
    """The practice fleet, brought up first where it is not.

    Raises:
        DriverError: QEMU, libvirtd, sshd or libvirt's binding cannot be had here.
    """
    load()  # before anything is made: without it no host of the lab could be reached
    lab = lab_of(args)
    if not lab.status().healthy:
        lab.up(lambda line: print(line, file=sys.stderr, flush=True))
    return real_fleet("practice", lab.specs())
