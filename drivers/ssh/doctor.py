"""The doctor's look at an SSH host, from the name to the rights in /proc: what works, what not.

Each check says what a missing piece disables and how to get it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from drivers.errors import DriverError, HostKeyChanged, HostKeyUnknown, Refused, Unsupported
from drivers.model.host import HostSpec
from drivers.model.job import Check, Verdict
from drivers.protocol import Prompter
from drivers.ssh.client import Login
from drivers.ssh.config import Target
from drivers.ssh.desk import Desk
from drivers.ssh.dial import Dialer
from drivers.ssh.fast import FastLane
from drivers.ssh.link import HELPER, SshLink, helper_argv
from drivers.ssh.words import one_line
from drivers.uri import LibvirtUri, parse_uri

_SLOW_MS = 200.0
_SKEW_S = 2.0


async def probe_ssh(spec: HostSpec, prompter: Prompter, desk: Desk) -> tuple[Check, ...]:
    """Look at everything between here and a command on the host; never raises DriverError.

    Args:
        spec: The host; for one that is not reached over SSH there is nothing to say.
        prompter: Asked about host keys and secrets, as when connecting.
        desk: What the connections of this console share.
    """
    try:
        uri = parse_uri(spec.uri)
        if not uri.over_ssh:
            return ()
        targets = await Dialer(spec, uri, prompter, lambda _: None, desk).targets()
    except DriverError as error:
        return (_failed("ssh config", error, "the host cannot be reached at all"),)
    checks = [_route(targets), *await _first_hop(targets[0], spec.connect_s)]
    if _blocked(checks):
        return tuple(checks)
    link = SshLink(spec, uri, prompter, desk)
    try:
        checks += await _login(link)
        if not _blocked(checks):
            checks += await _services(link, uri)
    finally:
        await link.close()
    return tuple(checks)


def _blocked(checks: list[Check]) -> bool:
    return any(check.verdict is Verdict.BLOCKED for check in checks)


def _failed(name: str, error: DriverError, disables: str) -> Check:
    problem = error.problem
    return Check(name, Verdict.BLOCKED, f"{problem.what}: {disables}", problem.proof, problem.fix)


def _route(targets: tuple[Target, ...]) -> Check:
    hops = " > ".join(f"{t.user}@{t.address}" for t in targets)
    last = targets[-1]
    proof = f"ssh_config: {last.alias} is {last.host} port {last.port}"
    if last.proxy_command:
        proof += f"; ProxyCommand {last.proxy_command}"
    return Check("route", Verdict.OK, hops, proof)


async def _first_hop(target: Target, seconds: float) -> list[Check]:
    """Name and TCP of the hop that is dialled from here; the others are seen by the jump host."""
    if target.proxy_command:
        return [Check("tcp", Verdict.NOT_TESTED, "a ProxyCommand makes the connection")]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        text = f"{target.host} does not resolve: the host cannot be reached at all"
        fix = "correct the name, /etc/hosts or DNS, or set HostName in ssh_config"
        return [Check("name", Verdict.BLOCKED, text, one_line(str(error)) or "no answer", fix)]
    addresses = ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
    name = Check("name", Verdict.OK, f"{target.host} is {addresses}")
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except ConnectionRefusedError as error:
        text = f"{target.address} refuses: the host is there, but no sshd listens on that port"
        fix = "start sshd there, or correct the port"
        return [name, Check("tcp", Verdict.BLOCKED, text, one_line(str(error)), fix)]
    except (OSError, TimeoutError) as error:
        text = f"{target.address} does not answer: the host cannot be reached at all"
        proof = one_line(str(error)) or f"no answer within {seconds:g} s"
        fix = "check that the host is up, that sshd runs and that no firewall drops the port"
        return [name, Check("tcp", Verdict.BLOCKED, text, proof, fix)]
    took = (loop.time() - began) * 1000
    writer.close()
    return [name, Check("tcp", Verdict.OK, f"{target.address} answers", f"{took:.1f} ms")]


async def _login(link: SshLink) -> list[Check]:
    """Host key and login of every hop, as far as it came."""
    failure: DriverError | None = None
    try:
        await link.connect()
    except DriverError as error:
        failure = error
    checks: list[Check] = []
    for login in link.logins:
        failed = failure if login is link.logins[-1] else None
        checks += _hop_checks(login, failed)
    if failure is not None and not _blocked(checks):
        checks.append(_failed("login", failure, "nothing on this host can be seen or done"))
    return checks


def _hop_checks(login: Login, failure: DriverError | None) -> list[Check]:
    place = login.target.address
    if isinstance(failure, HostKeyUnknown | HostKeyChanged) or (
        isinstance(failure, Refused) and login.verdict in ("revoked", "unusable")
    ):
        return [_failed(f"host key {place}", failure, "nothing is sent to it until it is decided")]
    checks: list[Check] = []
    if login.shown is not None and login.stage in ("authentication", "done"):
        shown = f"{login.shown.get_algorithm()} {login.shown.get_fingerprint()}"
        loose = login.verdict in ("unchecked", "once")
        checks.append(
            Check(
                f"host key {place}",
                Verdict.WARN if loose else Verdict.OK,
                f"{login.verdict}: {shown}",
                ", ".join(login.target.user_known_hosts),
                "accept it for good, so that it is checked next time" if loose else "",
            )
        )
    tried = "; ".join([*(f"{o.label}: {o.outcome}" for o in login.offers), *login.notes])
    if failure is not None:
        error = _failed(f"login {place}", failure, "nothing on this host can be seen or done")
        return [*checks, error]
    user = f"{login.target.user}@{place}"
    text = f"{user} by {login.worked}"
    checks.append(Check(f"login {place}", Verdict.OK, text, tried or "no key was needed"))
    said = f"; says: {one_line(login.banner)}" if login.banner else ""
    checks.append(Check(f"sshd {place}", Verdict.OK, (login.server or "no version told") + said))
    return checks


async def _services(link: SshLink, uri: LibvirtUri) -> list[Check]:
    """What sshd and the host allow once logged in."""
    checks = [await _guarded("commands", lambda: _commands(link))]
    if _blocked(checks):
        return checks
    forwarding = await _guarded("forwarding", lambda: _forwarding(link))
    helper = await _guarded("helper", lambda: _helper(link, forwarding, uri))
    checks += [forwarding, helper]
    checks += await _reader(link)
    checks.append(await _guarded("proc rights", lambda: _rights(link)))
    return [*checks, await _guarded("round trip", lambda: _round_trip(link))]


async def _guarded(name: str, look: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await look()
    except DriverError as error:
        problem = error.problem
        return Check(name, Verdict.WARN, problem.what, problem.proof, problem.fix)


async def _commands(link: SshLink) -> Check:
    done = await link.run(["uname", "-srm"], timeout=link.spec.deadline_s)
    if done.status:
        return Check(
            "commands",
            Verdict.BLOCKED,
            "the login may run no commands: no metrics, no helper, no shell",
            f"uname gave {done.status}: {one_line(done.stderr.decode(errors='replace'))}",
            "give the login an ordinary shell, without ForceCommand",
        )
    return Check("commands", Verdict.OK, one_line(done.stdout.decode(errors="replace")))


async def _forwarding(link: SshLink) -> Check:
    """Whether sshd opens libvirt's socket for us; where not, sshd's own settings are the proof."""
    limit = link.spec.deadline_s
    script = (
        "sshd=$(command -v sshd || echo /usr/sbin/sshd); "
        '"$sshd" -T 2>/dev/null | grep -i "^allowstreamlocalforwarding\\|^disableforwarding"'
    )
    for path in await _socket_paths(link):
        try:
            await link.forward(path)
        except (Refused, Unsupported) as error:
            last: DriverError = error
            if isinstance(error, Refused):
                continue
            told = await link.run(["sh", "-c", script], timeout=limit)
            words = one_line(told.stdout.decode(errors="replace"))
            return Check(
                "forwarding",
                Verdict.WARN,
                "libvirt's socket cannot be forwarded: the helper carries libvirt instead",
                "; ".join(w for w in (error.problem.proof, words) if w),
                error.problem.fix,
            )
        return Check("forwarding", Verdict.OK, f"{path} can be forwarded")
    return Check(
        "forwarding",
        Verdict.WARN,
        "no socket of libvirt's can be opened by this login",
        last.problem.what,
        last.problem.fix,
    )


async def _socket_paths(link: SshLink) -> list[str]:
    """Where libvirt's socket may be, in the order in which it is looked for when connecting."""
    uri = link.uri
    if uri.socket:
        return [uri.socket]
    names = {"direct": _NAMES[:1], "legacy": _NAMES[1:]}.get(uri.mode, _NAMES)
    names = _NAMES[1:] if uri.driver == "test" else names
    if uri.path != "/session":
        return [f"/run/libvirt/{name}" for name in names]
    script = 'printf "%s\\n%s\\n%s\\n" "$XDG_RUNTIME_DIR" "/run/user/$(id -u)" "$HOME/.cache"'
    done = await link.run(["sh", "-c", script], timeout=link.spec.deadline_s)
    folders = [one_line(line) for line in done.stdout.decode(errors="replace").splitlines()]
    own = dict.fromkeys(folder for folder in folders if folder.startswith("/"))
    return [f"{folder}/libvirt/{name}" for folder in own for name in names]


_NAMES = ("virtqemud-sock", "libvirt-sock")


async def _helper(link: SshLink, forwarding: Check, uri: LibvirtUri) -> Check:
    name = helper_argv(uri)[0]
    done = await link.run(["sh", "-c", 'command -v "$1"', "sh", name], timeout=link.spec.deadline_s)
    if done.status == 0:
        path = one_line(done.stdout.decode(errors="replace"))
        return Check("helper", Verdict.OK, f"{path} is there")
    # A session daemon's socket appears only once something has started it.
    works = forwarding.verdict is Verdict.OK or uri.path == "/session"
    return Check(
        "helper",
        Verdict.WARN if works else Verdict.BLOCKED,
        f"{name} is not there: " + ("forwarding does without it" if works else "no way to libvirt"),
        f"command -v {name} gave {done.status}",
        "install it (Debian: libvirt-daemon, Fedora: libvirt-client)"
        if name == HELPER
        else "install it (Debian: netcat-openbsd), or correct netcat= in the URI",
    )


async def _reader(link: SshLink) -> list[Check]:
    """The fast lane's reader, what it cannot read, and the clocks."""
    lane = FastLane(link.spawn_reader, deadline_s=link.spec.deadline_s)
    try:
        reading = await lane.read(())
    except DriverError as error:
        problem = error.problem
        text = f"{problem.what}: no live CPU, memory, disk and network figures"
        return [Check("reader", Verdict.WARN, text, problem.proof, problem.fix)]
    finally:
        await lane.close()
    slow = lane.reader == "sh"
    found = [
        Check(
            "reader",
            Verdict.OK,
            "python3 reads /proc" if not slow else "sh reads /proc, at a little more cost there",
            f"{reading.rtt_ms or 0.0:.1f} ms a reading",
            "install python3 (3.6 or later) there for cheaper readings" if slow else "",
        )
    ]
    found += [
        Check(f"metrics {m.name}", Verdict.WARN, f"{m.name} is not shown: {m.reason}", "", m.fix)
        for m in reading.missing
    ]
    return [*found, _skew(lane.clock_skew_s)]


def _skew(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", Verdict.NOT_TESTED, "the host did not tell its time")
    if abs(skew) > _SKEW_S:
        ahead = "ahead of" if skew > 0 else "behind"
        text = f"its clock is {abs(skew):.1f} s {ahead} ours: times in logs do not match"
        return Check("clock", Verdict.WARN, text, f"{skew:+.3f} s", "run chrony or ntpd there")
    return Check("clock", Verdict.OK, "its clock agrees with ours", f"{skew:+.3f} s")


# A QEMU process is asked where there is one: what matters is whether that can be read.
_RIGHTS_PROBE = """
test -e /proc/1/stat || exit 3
head -n 1 /proc/self/io >/dev/null 2>&1 || exit 5
one=$(grep -l -e '[-]uuid' /proc/[0-9]*/cmdline 2>/dev/null | head -n 1)
one=${one:-/proc/1/cmdline}
test -n "$(head -n 1 "${one%/cmdline}/io" 2>/dev/null)" || exit 4
"""


async def _rights(link: SshLink) -> Check:
    done = await link.run(["sh", "-c", _RIGHTS_PROBE], timeout=link.spec.deadline_s)
    if done.status == 3:
        return Check(
            "proc rights",
            Verdict.WARN,
            "processes of others are hidden: no CPU, RSS and disk figures of system VMs",
            "/proc/1 cannot be seen (hidepid)",
            "log in as root, or mount /proc with gid= of a group of this login",
        )
    if done.status == 5:
        return Check(
            "proc rights",
            Verdict.WARN,
            "VM disk rates come from libvirt, slower",
            "the kernel keeps no I/O account (/proc/PID/io)",
        )
    if done.status:
        return Check(
            "proc rights",
            Verdict.WARN,
            "QEMU's own disk counters cannot be read: VM disk rates come from libvirt, slower",
            "/proc/PID/io of a QEMU process (or of PID 1) may not be read",
            "log in as root, or as the user QEMU runs as",
        )
    return Check("proc rights", Verdict.OK, "every process can be read")


async def _round_trip(link: SshLink) -> Check:
    await link.ping()
    took = await link.ping()
    if took > _SLOW_MS:
        text = f"{took:.0f} ms: actions feel slow, everything works"
        return Check("round trip", Verdict.WARN, text, f"{took:.1f} ms")
    return Check("round trip", Verdict.OK, f"{took:.1f} ms")
