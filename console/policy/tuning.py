"""How a person's options of a migration become a step's arguments and virsh's words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from console.policy.levers import Promise, Settings
from drivers.model.job import Check, Verdict
from drivers.model.migration import Lever, Tuning
from drivers.model.problem import Problem

AUTOMATIC = (Lever.BANDWIDTH, Lever.DOWNTIME, Lever.POST_COPY, Lever.PAUSE, Lever.CANCEL)
"""Levers that a profile may pull by itself."""

COMPRESSIONS = ("", "xbzrle", "mt", "zlib", "zstd")
_YES_NO = ("", "yes", "no")
_SWITCHES = ("auto_converge", "post_copy", "tunnelled")
_NUMBERS = ("bandwidth_mib", "downtime_ms", "longest_downtime_ms", "parallel", "finish_s")


def option_problem(options: Mapping[str, str]) -> Problem | None:
    """What is wrong with the options of a migration, if anything."""
    for name in _SWITCHES:
        if options.get(name, "") not in _YES_NO:
            return _wrong(name, options[name], "yes or no")
    for name in _NUMBERS:
        given = options.get(name, "") or "0"
        if not (given.isascii() and given.isdigit() and len(given) <= 9):
            return _wrong(name, given, "a whole number, 0 for none")
    if options.get("compression", "") not in COMPRESSIONS:
        return _wrong("compression", options["compression"], "xbzrle, mt, zlib or zstd")
    known = {str(lever) for lever in AUTOMATIC}
    for word in _levers(options):
        if word not in known:
            return _wrong("levers", word, "some of " + ", ".join(sorted(known)))
    return _together(options)


def _together(options: Mapping[str, str]) -> Problem | None:
    """Options that libvirt does not take side by side."""
    parallel = int(options.get("parallel", "") or 0)
    if parallel and options.get("tunnelled") == "yes":
        return Problem(
            "several connections do not go through a tunnel",
            proof="VIR_MIGRATE_PARALLEL and VIR_MIGRATE_TUNNELLED exclude each other",
            fix="leave one of them out",
            code="bad-option",
        )
    if str(Lever.CANCEL) in _levers(options) and not int(options.get("finish_s", "") or 0):
        return Problem(
            "cancel is pulled when a promised time has passed, and no time is promised",
            proof="levers has cancel, finish_s is not set",
            fix="set finish_s, or take the lever out",
            code="bad-option",
        )
    if str(Lever.POST_COPY) in _levers(options) and options.get("post_copy") != "yes":
        return Problem(
            "post-copy can only be pulled where the migration is begun with it",
            proof="levers has post-copy, post_copy is not yes",
            fix="set post_copy, or take the lever out",
            code="bad-option",
        )
    return None


def tuning_of(options: Mapping[str, str]) -> Tuning:
    """The options as the driver takes them; they were found good before."""
    return Tuning(
        float(options.get("downtime_ms", "") or 0),
        options.get("auto_converge") == "yes",
        options.get("post_copy") == "yes",
        options.get("compression", ""),
        int(options.get("parallel", "") or 0),
        options.get("tunnelled") == "yes",
    )


def promise_of(options: Mapping[str, str]) -> Promise | None:
    """What the options promise; None when no lever is left to the console."""
    levers = tuple(lever for lever in AUTOMATIC if str(lever) in _levers(options))
    if not levers:
        return None
    finish = float(options.get("finish_s", "") or 0)
    downtime = float(options.get("downtime_ms", "") or 0) or Settings().max_downtime_ms
    longest = float(options.get("longest_downtime_ms", "") or 0) or downtime
    return Promise(finish or None, longest, levers)


def step_args(options: Mapping[str, str]) -> dict[str, str]:
    """What a migration step carries of the options."""
    args = {"tuning": json.dumps(asdict(tuning_of(options)), sort_keys=True)}
    promise = promise_of(options)
    if promise is not None:
        args["promise"] = json.dumps(asdict(promise), sort_keys=True)
    return args


def virsh_words(options: Mapping[str, str]) -> list[str]:
    """The same for ``virsh migrate``."""
    tuning = tuning_of(options)
    words = ["--auto-converge"] if tuning.auto_converge else []
    words += ["--postcopy"] if tuning.post_copy else []
    words += ["--tunnelled"] if tuning.tunnelled else []
    words += ["--compressed", "--comp-methods", tuning.compression] if tuning.compression else []
    words += ["--parallel", "--parallel-connections", str(tuning.parallel)] * bool(tuning.parallel)
    return words


def tuning_checks(options: Mapping[str, str], name: str) -> tuple[Check, ...]:
    """What the options mean for the guest, said before."""
    checks = []
    if options.get("post_copy") == "yes":
        checks.append(
            Check(
                "post-copy",
                Verdict.WARN,
                f"once switched to post-copy, {name} stops if the link or either host fails before "
                "all memory has arrived",
                "neither host then holds the whole memory",
                "leave post-copy out for guests that must not be lost",
            )
        )
    if options.get("auto_converge") == "yes":
        text = f"QEMU may take up to 99 % of {name}'s CPU time away while it migrates"
        checks.append(Check("auto-converge", Verdict.WARN, text, "auto-converge is on"))
    promise = promise_of(options)
    if promise is not None:
        levers = ", ".join(str(lever) for lever in promise.levers)
        limit = f"within {promise.finish_s:.0f} s, " if promise.finish_s else ""
        text = f"promised: {limit}pause of at most {promise.max_downtime_ms:.0f} ms"
        checks.append(Check("promise", Verdict.OK, text, f"the console may pull: {levers}"))
    return tuple(checks)


def _levers(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for word in options.get("levers", "").replace(" ", "").split(",") if word)


def _wrong(name: str, given: str, wanted: str) -> Problem:
    return Problem(f"{name} must be {wanted}", proof=f"given: {given!r}", code="bad-option")
