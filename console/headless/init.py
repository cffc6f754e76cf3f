"""``novacron init``: write a commented fleet file, offering the hosts ssh already knows."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from console.config.paths import user_paths
from console.headless.status import Exit
from drivers.errors import Failed, Refused

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_PLACE = re.compile(r"\[(.+)\]:([0-9]+)")
_SYSTEM = Path("/etc/ssh")
_FORGES = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
"""Git servers that everybody's known_hosts holds and nobody runs VMs on."""

_HEAD = """\
# The fleet NovaCron watches. `novacron check` tells how each host is reached.
# Durations are seconds, or "90s", "5m", "48h", "30d", "2y".

name = "fleet"

[defaults]
# "ro": look only. "confirm": every change is confirmed. "rw": each action's own level.
protect = "confirm"
# How libvirt is reached: "auto" (a socket forwarded over SSH, else virt-ssh-helper),
# "forward", "helper", or "libvirt" (the stock client).
# transport = "auto"
# deadline = "10s"
# connect_deadline = "15s"

# Which tier a storage pool belongs to, by pool name.
# [defaults.tiers]
# nvme = "hot"
# default = "warm"
# archive = "cold"

# [defaults.intervals]
# fast = "1s"     # /proc of hosts and guests
# slow = "10s"    # libvirt
# pools = "60s"   # storage pools

# [sites.fra1]
# tags = ["eu"]
# tenant = "acme"

# [vms.web1]
# tags = ["frontend"]

[history]
# enabled = true
# interval = "5s"          # default: 5s up to 1,000 VMs, 15s beyond
# raw = "48h"
# minute = "30d"
# hour = "2y"
# memory_mb = 256
# group = ""               # a Unix group that may read and record through this user's socket

# [ui]
# theme = "novacron-dark"
# ascii = false

# [policy]                 # what hosts may carry, moves beyond are refused; unset: as here, but
#                          # then a single move beyond is only warned of, and drains, returns
#                          # and upgrades place nothing beyond
# cpu_overcommit = 8.0     # vCPUs of running VMs a CPU
# memory_overcommit = 1.0  # promised memory as a share of what there is
# memory_reserve_mb = 2048 # of each host, never given to VMs
# clock_skew = "2s"        # clocks further apart are warned of
# migration_mib_s = 400    # for estimates; unset: measured, or assumed and said
# moves_per_host = 2       # migrations and disk copies at a time, leaving or entering one host;
#                          # unset: 2, and up to 8 with guests that the link carries in 2 s
# moves_per_link = 2       # migrations at a time, from one host to one other; unset: the same
# profile = "night"        # how drains, returns and upgrades migrate; unset: as usual
#
# [[policy.groups]]        # also by tags of VMs: apart:NAME, together:NAME
# name = "databases"
# rule = "apart"           # apart or together
# vms = ["db1", "db2"]     # or tags = ["db"]
# strict = true            # false: only warn

# [limits]                 # at a time; what is full holds up nobody else
# jobs_per_host = 6        # jobs on one host that move nothing, such as starts
# moves_per_site = 8       # migrations and disk copies of one site
# moves = 16               # in all
# connects_per_site = 32   # connections being opened to hosts of one site
# connects = 64            # in all; a site that opens none waits for nobody

# [profiles.night]         # migrate --profile night
# bandwidth = 200          # MiB a second at most
# downtime_ms = 300        # pause of the guest for the switch
# longest_downtime_ms = 1000
# auto_converge = true     # QEMU may slow the guest down
# finish_within = "10m"
# levers = ["bandwidth", "downtime", "cancel"]  # what may be pulled to keep that, mildest first
# timeout = "30m"          # after which, whatever it costs:
# at_timeout = "cancel"    # cancel, pause or post-copy
# compression = "xbzrle"   # xbzrle, mt, zlib or zstd, with compression_level
# migrate_uri = ""         # where memory goes, such as "tcp://10.0.0.2"

# [upgrade]                # novacron upgrade --hosts kvm1 kvm2; others as [upgrades.NAME]
# commands = ["apt-get update", "apt-get -y full-upgrade"]  # the end of their output is kept
# reboot = true            # by reboot_command = "systemctl reboot"
# expect_kernel = "6.1.0-30*"  # or "changed"; unset: any
# health = ["systemctl is-active chrony"]  # must succeed before VMs come back
# root = true              # through sudo without a password where the login is not root
# max_out = 1              # hosts that may be out at a time
# canary = "kvm1"          # first, alone; unset: the first one named
# keep_spare = false       # refuse when one more host could not be lost meanwhile
# command_deadline = "1h"
# back_deadline = "15m"

# [keys]                   # binding id to keys; `?` in the console shows the ids
# "vm.migrate" = "M"

# One table a host. The URI is libvirt's; ports, users, keys and ProxyJump come from ssh_config
# where the URI does not say.
#
# [[hosts]]
# name = "kvm1"
# uri = "qemu+ssh://root@kvm1/system"
# site = "fra1"
# tags = ["prod"]
# protect = "ro"
# tiers = { nvme = "hot" }
# migrate_uri = "tcp://10.0.0.1"
"""


def run_init(args: argparse.Namespace) -> int:
    """Write the file; never over an existing one unless told."""
    path = user_paths(args.config).config
    known = known_hosts_of_user(Path.home(), _SYSTEM)
    chosen = _choose(known, args)
    text = fleet_text(known, chosen)
    if args.stdout:
        sys.stdout.write(text)
        return Exit.OK
    if path.exists() and not args.force:
        print(f"{path} exists and was left alone. Say --force to replace it.", file=sys.stderr)
        return Exit.REFUSED
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        fix = "name another place: novacron --config FILE init"
        raise Failed(f"{path} cannot be written", str(error), fix) from error
    print(f"Wrote {path} with {len(chosen)} hosts. Next: novacron check", file=sys.stderr)
    return Exit.OK


def fleet_text(known: Mapping[str, str], chosen: Sequence[str]) -> str:
    """The commented file: ``chosen`` hosts as they are, the other ``known`` ones commented out.

    Args:
        known: Host name to the port that only known_hosts tells, as ``:2222``; else empty.
        chosen: Names of the hosts to watch.
    """
    parts = [_HEAD]
    parts += [_host_table(name, known.get(name, ""), "") for name in chosen]
    parts += [_host_table(name, port, "# ") for name, port in known.items() if name not in chosen]
    return "".join(parts)


def _host_table(name: str, port: str, mark: str) -> str:
    lines = ("[[hosts]]", f'name = "{name}"', f'uri = "qemu+ssh://{name}{port}/system"')
    return "\n" + "".join(f"{mark}{line}\n" for line in lines)


def known_hosts_of_user(home: Path, system: Path) -> dict[str, str]:
    """Host names in ssh_config (with its includes) and known_hosts; hashed ones cannot be read.

    Args:
        home: The user's home.
        system: Folder of the machine's own ssh_config and ssh_known_hosts.

    Returns:
        Name to port, as ``fleet_text`` takes them: ssh_config knows the ports of its own hosts.
    """
    own = home / ".ssh"
    configured = [*_config_names(own / "config", own, 0)]
    configured += _config_names(system / "ssh_config", system, 0)
    names = dict.fromkeys(configured, "")
    for file in (own / "known_hosts", own / "known_hosts2", system / "ssh_known_hosts"):
        for name, port in _recorded(file):
            names.setdefault(name, port)
    return {n: port for n, port in names.items() if _PLAIN.match(n) and n not in _FORGES}


def _recorded(file: Path) -> Iterator[tuple[str, str]]:
    """The first name of each line of a known_hosts, and its port unless that is 22."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if not words or words[0].startswith(("#", "@", "|")):
            continue
        first = words[0].split(",")[0]
        place = _PLACE.fullmatch(first)
        yield (place[1], f":{place[2]}") if place else (first, "")


def _config_names(path: Path, folder: Path, depth: int) -> list[str]:
    if depth > 8:
        return []
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    names: list[str] = []
    for line in lines:
        try:
            words = shlex.split(line.replace("=", " ", 1), comments=True)
        except ValueError:
            continue
        if len(words) < 2:
            continue
        if words[0].lower() == "include":
            for pattern in words[1:]:
                names += _included(pattern, folder, depth)
        elif words[0].lower() == "host":
            names += [w for w in words[1:] if _PLAIN.match(w)]
    return names


def _included(pattern: str, folder: Path, depth: int) -> list[str]:
    """Names in included files; a relative pattern is of ``~/.ssh``, or of /etc/ssh there."""
    full = Path(os.path.expanduser(pattern))  # noqa: PTH111 - may hold a glob
    base = full if full.is_absolute() else folder / full
    files = sorted(base.parent.glob(base.name))
    return [n for f in files for n in _config_names(f, folder, depth + 1)]


def _choose(known: Mapping[str, str], args: argparse.Namespace) -> list[str]:
    if args.hosts:
        named = list(dict.fromkeys(name.strip() for name in args.hosts.split(",")))
        if strange := [name for name in named if not _PLAIN.match(name)]:
            raise Refused(
                f"{strange[0]!r} cannot be the name of a host",
                fix="name hosts as ssh knows them; users and ports go into ssh_config or the URI",
            )
        return named
    if not known or args.stdout or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return []
    print("ssh already knows these hosts:", file=sys.stderr)
    for number, name in enumerate(known, 1):
        print(f"  {number:3}  {name}", file=sys.stderr)
    print("Which are KVM hosts? Numbers separated by blanks, or Enter for none: ",
          end="", file=sys.stderr, flush=True)  # fmt: skip
    try:
        picked = [int(w) for w in input().split() if w.isdecimal() and len(w) < 6]
    except EOFError:  # Ctrl-D: none
        picked = []
    names = list(known)
    return [names[n - 1] for n in dict.fromkeys(picked) if 0 < n <= len(names)]
