"""The command line: verbs, their options, and hosts given as URIs."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from console.headless.maintenance_arguments import add_homeward, add_maintenance, add_targets
from console.headless.status import EPILOG

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

ACTIONS: dict[str, tuple[str, str]] = {
    "start": ("start", "boot VMs"),
    "shutdown": ("shutdown", "ask the guests to power down, and wait"),
    "stop": ("shutdown", "the same as shutdown"),
    "reboot": ("reboot", "ask the guests to reboot"),
    "reset": ("reset", "press the reset button"),
    "pause": ("pause", "stop the vCPUs"),
    "resume": ("resume", "let the vCPUs run again"),
    "force-off": ("force-off", "pull the plug"),
    "autostart-on": ("autostart-on", "start with the host"),
    "autostart-off": ("autostart-off", "do not start with the host"),
    "delete": ("delete", "forget VMs; their disks stay unless named"),
    "migrate": ("migrate", "live-migrate VMs to another host"),
    "tier": ("tier", "move a disk to a pool of another tier"),
}
"""Verb to action and help."""


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the arguments; without a verb, ``novacron [URI ...]`` opens the console."""
    parser = _parser()
    verbs = set(ACTIONS) | {
        "demo", "lab", "init", "check", "record", "vms", "hosts", "volumes", "jobs", "history",
        "sql", "drain", "return", "upgrade", "cordon", "uncordon", "audit", "trace", "preflight",
        "open", "status",
    }  # fmt: skip
    if not any(word in verbs or word in ("-h", "--help", "--version") for word in argv):
        at = _after_global_options(argv)
        argv = [*argv[:at], "open", *argv[at:]]
    return parser.parse_args(argv)


def _after_global_options(argv: list[str]) -> int:
    at = 0
    while at < len(argv) and argv[at].startswith("--config"):
        at += 1 if "=" in argv[at] else 2
    return min(at, len(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="novacron",
        description="A terminal operations console for fleets of KVM hosts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"novacron {_version()}")
    parser.add_argument("--config", metavar="FILE", help="the fleet file (default: XDG, see init)")
    verbs = parser.add_subparsers(dest="command", metavar="VERB")
    _add_interface(verbs)
    _add_setup(verbs)
    _add_lists(verbs)
    _add_status(verbs)
    _add_preflight(verbs)
    _add_jobs(verbs)
    _add_recorded(verbs)
    _add_actions(verbs)
    add_maintenance(verbs)
    return parser


def _look(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    parser.add_argument("--theme", default="", help="a theme for this run")


def _uris(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--uri", action="append", metavar="URI", help="a host to use instead of the fleet file"
    )


def _deadline(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument(
        "--deadline", type=float, default=seconds, metavar="S", help="seconds to wait for readings"
    )


def _add_interface(verbs: Verbs) -> None:
    console = verbs.add_parser("open", help="open the console (also without any verb)")
    console.add_argument("uri", nargs="*", metavar="URI", help="hosts, instead of the fleet file")
    _look(console)
    demo = verbs.add_parser("demo", help="open the console on a practice fleet of real hosts")
    demo.add_argument("--simulated", action="store_true", help="make-believe hosts instead")
    demo.add_argument("--vms", type=int, default=60, help="VMs of a simulated fleet")
    demo.add_argument("--seed", type=int, default=1, help="which simulated fleet")
    _lab_options(demo, hosts=None)
    _look(demo)
    lab = verbs.add_parser("lab", help="the practice fleet: up, status, down")
    lab.add_argument("verb", choices=("up", "status", "down"))
    _lab_options(lab, hosts=3)


def _lab_options(parser: argparse.ArgumentParser, hosts: int | None) -> None:
    parser.add_argument("--hosts", type=int, default=hosts, help="how many hosts")
    parser.add_argument("--guests", type=int, default=8, help="how many real guests")
    parser.add_argument("--folder", default="", help="where the lab lives")
    parser.add_argument(
        "--mode", choices=("auto", "user", "netns"), default="auto",
        help="ordinary daemons of this user, or network namespaces (root)",
    )  # fmt: skip


def _add_setup(verbs: Verbs) -> None:
    init = verbs.add_parser("init", help="write a commented fleet file")
    init.add_argument("--hosts", default="", help="comma-separated hosts to write in")
    init.add_argument("--stdout", action="store_true", help="print it instead")
    init.add_argument("--force", action="store_true", help="replace an existing file")
    check = verbs.add_parser("check", help="the doctor: how each host is reached and what fails")
    check.add_argument("host", nargs="?", default="", help="only this host")
    check.add_argument("--json", action="store_true")
    _uris(check)
    record = verbs.add_parser("record", help="keep the history without an interface")
    record.add_argument("--unit", action="store_true", help="print a systemd user unit and stop")
    _uris(record)


def _add_lists(verbs: Verbs) -> None:
    for name, text in (("vms", "VMs of all hosts"), ("hosts", "hosts"), ("volumes", "volumes")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--host", default="", help="only this host")
        verb.add_argument("--json", action="store_true")
        _deadline(verb, 20.0)
        _uris(verb)


def _add_status(verbs: Verbs) -> None:
    verb = verbs.add_parser("status", help="how the fleet stands; status 1: it wants attention")
    verb.add_argument("--json", action="store_true")
    verb.add_argument("--simulated", action="store_true", help="of a make-believe fleet")
    verb.add_argument("--hosts", type=int, default=6, help="hosts of a simulated fleet")
    verb.add_argument("--vms", type=int, default=60, help="VMs of a simulated fleet")
    verb.add_argument("--seed", type=int, default=1, help="which simulated fleet")
    _deadline(verb, 20.0)
    _uris(verb)


def _add_preflight(verbs: Verbs) -> None:
    verb = verbs.add_parser("preflight", help="may VMs move to other hosts, and why not")
    verb.add_argument("vm", nargs="+", metavar="VM", help="name, HOST/NAME or UUID")
    verb.add_argument("--to", nargs="+", default=[], metavar="HOST", help="targets (default: all)")
    verb.add_argument("--json", action="store_true")
    _deadline(verb, 20.0)
    _uris(verb)


def _add_jobs(verbs: Verbs) -> None:
    jobs = verbs.add_parser("jobs", help="jobs and operations: list, show, steer; what failed")
    jobs.add_argument(
        "verb", nargs="?", default="list",
        choices=("list", "failed", "show", "resume", "skip", "pause", "cancel", "undo", "retry",
                 "finish", "recover", "dismiss"),
        help="failed: what failed for good; retry: plan it anew; finish: do what a job left, or "
        "all jobs of an operation; recover: let a broken post-copy migration go on; "
        "dismiss: let it rest",
    )  # fmt: skip
    jobs.add_argument("id", nargs="?", default="", help="of a job or an operation")
    jobs.add_argument("--yes", action="store_true", help="do not ask")
    jobs.add_argument("--dry-run", action="store_true", help="only show the plan")
    add_homeward(jobs)
    add_targets(jobs)
    _deadline(jobs, 20.0)
    _uris(jobs)
    jobs.add_argument("--limit", type=int, default=50)
    jobs.add_argument("--json", action="store_true")


def _add_recorded(verbs: Verbs) -> None:
    history = verbs.add_parser("history", help="recorded metrics over a range")
    who = history.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--vm", action="extend", nargs="+", default=[], metavar="VM", help="names or UUIDs"
    )
    who.add_argument("--host", action="extend", nargs="+", default=[], metavar="HOST")
    history.add_argument(
        "--metric", action="append", required=True, help="such as cpu or cpu,mem; may be repeated"
    )
    history.add_argument(
        "--since", default="1h",
        help='"1h" ago, or "2026-05-01T12:00": local time unless it names a zone',
    )  # fmt: skip
    history.add_argument("--until", default="0s", help="likewise")
    history.add_argument("--points", type=int, default=200, help="at most so many rows of each")
    form = history.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    for kind in ("csv", "parquet"):
        form.add_argument(
            f"--{kind}", nargs="?", const="-", metavar="FILE",
            help="every sample, to FILE or to standard output",
        )  # fmt: skip
    sql = verbs.add_parser("sql", help="read-only SQL over the recorded views")
    sql.add_argument("statement")
    sql.add_argument("--limit", type=int, default=10_000)
    _deadline(sql, 30.0)
    output = sql.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--csv", action="store_true")
    trace = verbs.add_parser("trace", help="where the time of a job or operation went")
    trace.add_argument("job", metavar="ID", help="of a job or an operation, or its beginning")
    trace.add_argument("--otlp", action="store_true", help="OTLP JSON, for a trace viewer")
    audit = verbs.add_parser("audit", help="who did what; whether the ledger was tampered with")
    audit.add_argument("verb", nargs="?", choices=("list", "verify"), default="list")
    audit.add_argument("--limit", type=int, default=0, help="only the newest")
    audit.add_argument("--json", action="store_true", help="JSON lines")


def _add_actions(verbs: Verbs) -> None:
    for name, (action, text) in ACTIONS.items():
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(command="act", action=action)
        verb.add_argument("vm", nargs="+", metavar="VM", help="name, HOST/NAME or UUID")
        verb.add_argument("--yes", action="store_true", help="do not ask")
        verb.add_argument("--dry-run", action="store_true", help="only show the plan")
        verb.add_argument("--json", action="store_true")
        _deadline(verb, 20.0)
        _uris(verb)
        if action in ("migrate", "tier"):
            verb.add_argument("--to", required=True, help="target host, or pool")
            verb.add_argument("--bandwidth", type=int, default=0, metavar="MIB", help="MiB/s cap")
        if action == "migrate":
            _add_tuning(verb)
        if action == "tier":
            verb.add_argument("--disk", default="", help="target device, such as vda")
            verb.add_argument("--keep-old", action="store_true", help="keep the old volume")
        if action == "delete":
            verb.add_argument(
                "--with-disk", action="append", metavar="PATH", help="delete this volume too"
            )
            verb.add_argument("--nvram", action="store_true", help="drop the UEFI variables too")
        if action == "shutdown":
            verb.add_argument(
                "--wait", type=int, default=60, metavar="S", help="seconds the guest is given"
            )


def _add_tuning(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--mode", choices=("auto", "p2p", "managed", "offline"), default="auto",
        help="auto: offline for a VM that is off, p2p where hosts know each other",
    )  # fmt: skip
    verb.add_argument(
        "--remove-source", action="store_true", help="delete copied disks at the source"
    )
    verb.add_argument("--profile", default="", help="a migration profile of the fleet file")
    verb.add_argument("--downtime", type=int, default=0, metavar="MS", help="pause allowed")
    verb.add_argument("--auto-converge", action="store_true", help="QEMU may slow the guest down")
    verb.add_argument("--post-copy", action="store_true", help="the switch may come early")
    verb.add_argument("--compression", default="", help="xbzrle, mt, zlib or zstd")
    verb.add_argument("--parallel", type=int, default=0, metavar="N", help="connections at once")
    verb.add_argument("--tunnelled", action="store_true", help="through the libvirt daemons")
    verb.add_argument("--compression-level", type=int, default=0, metavar="N", help="1 is fastest")
    verb.add_argument(
        "--incremental", action="store_true", help="backing files are there: send only the top"
    )
    verb.add_argument("--persist", choices=("yes", "no"), default="", help="keep it there")
    verb.add_argument("--keep-source", action="store_true", help="keep the definition here")
    verb.add_argument("--carry-on", action="store_true", help="go on over disk errors")
    verb.add_argument("--migrate-uri", default="", metavar="URI", help="such as tcp://10.0.0.2")
    verb.add_argument("--timeout", type=int, default=0, metavar="S", help="seconds it may take")
    verb.add_argument(
        "--at-timeout", choices=("cancel", "pause", "post-copy"), default="",
        help="what is done when that time is up; cancel unless told",
    )  # fmt: skip
    verb.add_argument("--finish", type=int, default=0, metavar="S", help="promise to be done by")
    verb.add_argument(
        "--levers", default="", metavar="NAMES",
        help="what may be pulled to keep that: bandwidth,downtime,post-copy,pause,cancel",
    )  # fmt: skip


def _version() -> str:
    try:
        return version("novacron")
    except PackageNotFoundError:
        return "(not installed)"
