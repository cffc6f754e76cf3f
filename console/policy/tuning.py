"""How a person's options of a migration become a step's arguments and virsh's words. Pure."""

from __future__ import annotations

import json
import re
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
_SWITCHES = (
    "auto_converge", "post_copy", "tunnelled", "incremental", "persist", "keep_source", "carry_on",
)  # fmt: skip
_NUMBERS = (
    "bandwidth_mib", "downtime_ms", "longest_downtime_ms", "parallel", "finish_s", "timeout_s",
    "compression_level",
)  # fmt: skip
AT_TIMEOUT = (Lever.CANCEL, Lever.PAUSE, Lever.POST_COPY)
"""What may be done when the time is up; the mildest is what is done unless told."""

_LEVELS = {"mt": 9, "zlib": 9, "zstd": 20}
"""Methods of compression that have levels, and the highest."""


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
    if options.get("at_timeout", "") not in ("", *map(str, AT_TIMEOUT)):
        return _wrong("at_timeout", options["at_timeout"], "cancel, pause or post-copy")
    if not _ADDRESS.fullmatch(options.get("migrate_uri", "")):
        return _wrong("migrate_uri", options["migrate_uri"], "such as tcp://10.0.0.2")
    known = {str(lever) for lever in AUTOMATIC}
    for word in _levers(options):
        if word not in known:
            return _wrong("levers", word, "some of " + ", ".join(sorted(known)))
    return _together(options)


def _together(options: Mapping[str, str]) -> Problem | None:
    """Options that libvirt does not take side by side."""
    found = _apart(options)
    if found is not None:
        return found
    if str(Lever.CANCEL) in _levers(options) and not int(options.get("finish_s", "") or 0):
        return Problem(
            "cancel is pulled when a promised time has passed, and no time is promised",
            proof="levers has cancel, finish_s is not set",
            fix="set finish_s, or take the lever out",
            code="bad-option",
        )
    pulled = (*_levers(options), options.get("at_timeout", ""))
    if str(Lever.POST_COPY) in pulled and options.get("post_copy") != "yes":
        return Problem(
            "post-copy can only be pulled where the migration is begun with it",
            proof="levers or at_timeout has post-copy, post_copy is not yes",
            fix="set post_copy, or take the lever out",
            code="bad-option",
        )
    if options.get("at_timeout") and not int(options.get("timeout_s", "") or 0):
        return Problem(
            "what is to be done when the time is up needs a time",
            proof=f"at_timeout is {options['at_timeout']}, timeout_s is not set",
            fix="set timeout_s, or leave at_timeout out",
            code="bad-option",
        )
    return None


def _apart(options: Mapping[str, str]) -> Problem | None:
    """Options that need or exclude one another by libvirt's own rules."""
    parallel, tunnelled = int(options.get("parallel", "") or 0), options.get("tunnelled") == "yes"
    method, level = options.get("compression", ""), int(options.get("compression_level", "") or 0)
    if parallel and tunnelled:
        return Problem(
            "several connections do not go through a tunnel",
            proof="VIR_MIGRATE_PARALLEL and VIR_MIGRATE_TUNNELLED exclude each other",
            fix="leave one of them out",
            code="bad-option",
        )
    if tunnelled and options.get("mode", "") == "managed":
        return Problem(
            "a tunnel goes through the hosts' own daemons, which a managed migration does not use",
            proof="VIR_MIGRATE_TUNNELLED needs VIR_MIGRATE_PEER2PEER",
            fix="choose mode p2p, or leave the tunnel out",
            code="bad-option",
        )
    if method in ("zlib", "zstd") and not parallel:
        return Problem(
            f"{method} compresses what several connections send",
            proof="VIR_MIGRATE_PARALLEL is not set",
            fix="set parallel, or choose xbzrle",
            code="bad-option",
        )
    if level and (method not in _LEVELS or level > _LEVELS[method]):
        wanted = f"1 to {_LEVELS[method]}" if method in _LEVELS else "left out: it has no levels"
        return _wrong(f"compression_level of {method or 'no compression'}", str(level), wanted)
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
        int(options.get("compression_level", "") or 0),
        options.get("incremental") == "yes",
        {"yes": True, "no": False}.get(options.get("persist", "")),
        options.get("keep_source") == "yes",
        options.get("carry_on") == "yes",
    )


def promise_of(options: Mapping[str, str]) -> Promise | None:
    """What the options promise; None when no lever is left to the console."""
    levers = tuple(lever for lever in AUTOMATIC if str(lever) in _levers(options))
    timeout = float(options.get("timeout_s", "") or 0)
    if not levers and not timeout:
        return None
    finish = float(options.get("finish_s", "") or 0)
    downtime = float(options.get("downtime_ms", "") or 0) or Settings().max_downtime_ms
    longest = float(options.get("longest_downtime_ms", "") or 0) or downtime
    last = Lever(options.get("at_timeout", "") or Lever.CANCEL) if timeout else None
    return Promise(finish or None, longest, levers, timeout or None, last)


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
    if tuning.compression_level:
        words += [f"--comp-{tuning.compression}-level", str(tuning.compression_level)]
    words += ["--parallel", "--parallel-connections", str(tuning.parallel)] * bool(tuning.parallel)
    promise = promise_of(options)
    if promise is not None and promise.timeout_s:
        words += ["--timeout", f"{promise.timeout_s:.0f}"]
        words += _VIRSH_TIMEOUT.get(promise.at_timeout or Lever.CANCEL, [])
    return words


_VIRSH_TIMEOUT = {Lever.PAUSE: ["--timeout-suspend"], Lever.POST_COPY: ["--timeout-postcopy"]}
"""virsh itself knows no cancel at a timeout: there it pauses the guest."""


def tuning_checks(options: Mapping[str, str], name: str) -> tuple[Check, ...]:
    """What the options mean for the guest, said before."""
    checks = []
    if options.get("auto_converge") == "yes":
        text = f"QEMU may take up to 99 % of {name}'s CPU time away while it migrates"
        checks.append(Check("auto-converge", Verdict.WARN, text, "auto-converge is on"))
    if options.get("carry_on") == "yes":
        text = f"it goes on if {name} meets an error of its disks meanwhile"
        checks.append(Check("abort on error", Verdict.WARN, text, "abort on error is off"))
    promise = promise_of(options)
    if promise is not None and promise.timeout_s:
        text = f"after {promise.timeout_s:.0f} s: {_AT_TIMEOUT[promise.at_timeout or Lever.CANCEL]}"
        checks.append(Check("timeout", Verdict.OK, text))
    if promise is not None and promise.levers:
        levers = ", ".join(str(lever) for lever in promise.levers)
        limit = f"within {promise.finish_s:.0f} s, " if promise.finish_s else ""
        text = f"promised: {limit}pause of at most {promise.max_downtime_ms:.0f} ms"
        checks.append(Check("promise", Verdict.OK, text, f"the console may pull: {levers}"))
    return tuple(checks)


_AT_TIMEOUT = {
    Lever.CANCEL: "it is cancelled, and the guest stays where it is",
    Lever.PAUSE: "the guest is paused, so that it can end",
    Lever.POST_COPY: "it is switched to post-copy",
}

_ADDRESS = re.compile(r"|[a-z]+:(//)?[\w.\-\[\]:]+")


def _levers(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for word in options.get("levers", "").replace(" ", "").split(",") if word)


def _wrong(name: str, given: str, wanted: str) -> Problem:
    return Problem(f"{name} must be {wanted}", proof=f"given: {given!r}", code="bad-option")
