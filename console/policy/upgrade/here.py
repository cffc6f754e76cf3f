"""Whether an upgrade reboots the host that the console itself runs on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from drivers.model.job import Check, Verdict
from drivers.model.operation import Choice, Stuck
from drivers.model.problem import Problem
from drivers.model.upgrade import Standing

THIS_CONSOLE = "this-console"
"""Stands in choices for the console, where others have the UUID of a VM."""

_FIX = "run the upgrade from another machine, or leave this host out"


def console_stuck(
    boot: str,
    standings: Mapping[str, Standing | Problem],
    hosts: Sequence[str],
    choices: Mapping[str, Choice],
) -> tuple[Stuck, ...]:
    """The console, where one of these hosts reboots under it: it goes down by choice alone.

    Args:
        boot: Id of the boot that the console runs in; empty where it is not told.
    """
    names = ", ".join(_sharing(boot, standings, hosts))
    if not names:
        return ()
    what = f"this console runs on {names}, and a reboot there ends it"
    proof = f"{what}: both tell boot {boot}; leave it there and resume afterwards, or {_FIX}"
    problem = Problem(what, proof, _FIX, "console")
    chosen = choices.get(THIS_CONSOLE, Choice.NONE)
    return (Stuck(THIS_CONSOLE, THIS_CONSOLE, problem, (Choice.LEAVE,), chosen),)


def console_checks(
    boot: str,
    standings: Mapping[str, Standing | Problem],
    hosts: Sequence[str],
    *,
    reboot: bool,
) -> tuple[Check, ...]:
    """What is known of where the console runs, as far as it speaks against the upgrade."""
    if not boot:
        words = "whether this console runs on one of these hosts could not be told"
        return (Check("console", Verdict.NOT_TESTED, words, "this machine tells no boot id", _FIX),)
    names = ", ".join(_sharing(boot, standings, hosts))
    if not names:
        return ()
    end = "its reboot ends the console" if reboot else "what is run there may end the console"
    words = f"this console runs on {names}: {end}, and the upgrade waits until it is resumed"
    return (Check("console", Verdict.WARN, words, f"both tell boot {boot}", _FIX),)


def _sharing(
    boot: str, standings: Mapping[str, Standing | Problem], hosts: Sequence[str]
) -> Collection[str]:
    told = ((host, standings.get(host)) for host in hosts)
    return [h for h, s in told if boot and isinstance(s, Standing) and s.boot == boot]
