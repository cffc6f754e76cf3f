"""The way between two hosts: migration address, login for peer-to-peer, clocks."""

from __future__ import annotations

from console.policy.preflight.grounds import Evidence, Rules, failed, told, untested
from console.policy.subject import Subject
from drivers.model.caps import Reach, Reached
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.problem import Problem


def data_check(subject: Subject, target: Host, evidence: Evidence | None) -> Check:
    """Whether the source reaches the target where migration data goes."""
    here, there = subject.host.name, target.name
    where = target.spec.migrate_uri or "its host name, TCP ports 49152 to 49215"
    reading = evidence.data.get((here, there)) if evidence else None
    reach = told(reading)
    if reach is None:
        text = f"{here} sends memory straight to {there}, at {where}"
        return untested("data path", text, failed(reading))
    place = f"{reach.address}:{reach.port}"
    if reach.outcome is Reached.CONNECTED:
        text = f"{here} reaches {there} where migration data goes"
        return Check("data path", Verdict.OK, text, f"connected to {place}")
    if reach.outcome is Reached.REFUSED:
        text = f"{there} answers {here} at the migration address; nobody listens there beforehand"
        return Check("data path", Verdict.OK, text, f"{place}: {_said(reach)}")
    text = f"{here} does not reach {there} where migration data goes"
    if reach.outcome is Reached.UNKNOWN_NAME:
        fix = f"make {reach.address} resolve on {here}"
    else:
        fix = f"let {here} connect to {reach.address}, TCP ports 49152 to 49215"
    proof = f"{place}: {_said(reach)}"
    if not target.spec.migrate_uri:  # qemu.conf of the target may name another address
        proof += f"; libvirt of {there} may name another one (migration_host)"
        return Check("data path", Verdict.WARN, text, proof, f"{fix}, or set migrate_uri")
    return Check("data path", Verdict.BLOCKED, text, proof, fix)


def _said(reach: Reach) -> str:
    return reach.said or ("no answer" if reach.outcome is Reached.SILENT else reach.outcome.value)


def login_check(subject: Subject, target: Host, evidence: Evidence | None) -> Check:
    """Whether the source's daemon may log in at the target's, for peer-to-peer."""
    here, there = subject.host.name, target.name
    text = f"peer-to-peer: {here} drives it, so it goes on if this console dies"
    reading = evidence.login.get((here, there)) if evidence else None
    login = told(reading)
    if login is None:
        problem: Problem | None = failed(reading)
        proof = f"whether {here} may log in at {target.spec.peer_uri} is seen when it begins"
        return Check("mode", Verdict.NOT_TESTED, text, str(problem) if problem else proof)
    if login.opened and login.user not in ("root", "") and "/session" not in login.uri:
        proof = f"{login.user} may log in at {login.uri}; the daemon logs in as root"
        return Check("mode", Verdict.NOT_TESTED, text, proof)
    if login.opened:
        return Check("mode", Verdict.OK, text, f"{here} opened {login.uri}")
    return Check(
        "mode",
        Verdict.BLOCKED,
        f"{here} cannot open the libvirt of {there}, which peer-to-peer needs",
        login.said or f"{login.uri} did not open",
        f"let {login.user or 'root'} of {here} log in at {there}, or use mode managed",
    )


def clock_check(subject: Subject, target: Host, rules: Rules) -> Check:
    """How far the clocks of both hosts are apart: TLS and guests notice."""
    here, there = subject.host, target
    ours, theirs = (h.facts.clock_skew_s if h.facts else None for h in (here, there))
    if ours is None or theirs is None:
        unknown = here.name if ours is None else there.name
        text = f"the clock of {unknown} could not be compared"
        return Check("clocks", Verdict.NOT_TESTED, text, "no command tells its time there")
    apart = abs(ours - theirs)
    proof = f"{here.name} {ours:+.1f} s, {there.name} {theirs:+.1f} s from this console"
    if apart > rules.clock_skew_s:
        text = f"the clocks of {here.name} and {there.name} are {apart:.1f} s apart"
        return Check("clocks", Verdict.WARN, text, proof, "start time synchronisation on both")
    return Check("clocks", Verdict.OK, "the clocks of both hosts agree", proof)
