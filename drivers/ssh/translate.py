"""asyncssh's and the socket layer's errors, told once in words: what, proof, fix."""

from __future__ import annotations

import errno
import socket

import asyncssh

from drivers.errors import (
    AuthFailed,
    Busy,
    DriverError,
    Failed,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from drivers.ssh.client import Login
from drivers.ssh.words import one_line

_STAGES = {
    "tcp": ("TCP did not connect", "check that the host is up and that no firewall drops port {p}"),
    "handshake": (
        "TCP connected but sshd did not finish its handshake",
        "sshd there hangs or something else listens on port {p}",
    ),
    "authentication": (
        "sshd did not finish the login",
        "look at sshd's log there (PAM, DNS or a directory service that hangs)",
    ),
}
_ERRNO_FIX = {
    errno.ECONNREFUSED: "start sshd there, or correct the port",
    errno.EHOSTUNREACH: "check the host, its network and the route to it",
    errno.ENETUNREACH: "check this machine's network and its routes",
    errno.ETIMEDOUT: "check that the host is up and that no firewall drops the port",
    errno.ECONNRESET: "sshd or a firewall dropped the connection: look at sshd's log there",
}


def login_error(error: BaseException, login: Login, seconds: float) -> DriverError:
    """Why a hop could not be logged in to.

    Args:
        error: What asyncssh, the resolver or asyncio raised.
        login: How far it got.
        seconds: The deadline that a timeout ran into.
    """
    if isinstance(error, DriverError):
        return error
    target = login.target
    if isinstance(error, TimeoutError):
        what, fix = _STAGES.get(login.stage, _STAGES["tcp"])
        return TimedOut(
            f"{target.alias} did not answer within {seconds:g} s: {what}",
            proof=f"{target.address}, stage {login.stage}",
            fix=fix.format(p=target.port),
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return auth_error(login, one_line(error.reason))
    if isinstance(error, asyncssh.ChannelOpenError):
        return _hop_error(error, login)
    if isinstance(error, socket.gaierror):
        return Unreachable(
            f"the name {target.host} does not resolve",
            proof=str(error.strerror or error),
            fix="correct the host name, /etc/hosts or DNS, or set HostName in ssh_config",
        )
    if isinstance(error, asyncssh.DisconnectError):
        return _disconnected(error, login)
    if isinstance(error, OSError):
        return _os_error(error, login)
    return Failed(f"the SSH login to {target.alias} failed", proof=one_line(str(error)))


def auth_error(login: Login, reason: str) -> AuthFailed:
    """sshd said no: which methods it took and what was tried."""
    methods = ", ".join(login.methods) or "none of ours"
    tried = [f"{o.label}: {o.outcome}" for o in login.offers]
    facts = [f"methods: {methods}", *(tried or ["no key was there to try"]), *login.notes]
    if login.unanswered:
        facts.append("a question was not answered")
    if login.banner:
        facts.append(f"server says: {one_line(login.banner)}")
    who = f"{login.target.user}@{login.target.alias}"
    failure = AuthFailed(
        f"sshd refused every key and answer for {who}",
        proof=one_line("; ".join([*facts, reason]), 1200),
        fix=f"add a public key to ~{login.target.user}/.ssh/authorized_keys there, load the right "
        "key into the agent, or set User and IdentityFile in ssh_config",
    )
    failure.answered = login.answered
    return failure


def _hop_error(error: asyncssh.ChannelOpenError, login: Login) -> DriverError:
    target = login.target
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return Refused(
            f"the jump host forbids the connection to {target.address}",
            proof=one_line(error.reason),
            fix="allow AllowTcpForwarding and PermitOpen in the jump host's sshd_config",
        )
    return Unreachable(
        f"the jump host could not connect to {target.address}",
        proof=one_line(error.reason),
        fix=f"check the name and port as the jump host sees them: ssh JUMP nc -vz {target.host} "
        f"{target.port}",
    )


def _disconnected(error: asyncssh.DisconnectError, login: Login) -> DriverError:
    target, reason = login.target, one_line(error.reason)
    if "oo many authentication failures" in reason:
        return auth_error(login, reason)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return Unsupported(
            f"no common algorithm with {target.alias}'s sshd",
            proof=reason,
            fix="update sshd there, or allow the old algorithm for this host in ssh_config",
        )
    if isinstance(error, asyncssh.ConnectionLost) and login.stage == "handshake":
        return Busy(
            f"{target.alias} closed the connection before the login",
            proof=reason or "connection lost during the handshake",
            fix="too many logins at once (MaxStartups), a deny rule or fail2ban there: look at "
            "sshd's log; the console tries again by itself",
        )
    return Unreachable(
        f"{target.alias} ended the connection during {login.stage}",
        proof=reason,
        fix="look at sshd's log there",
    )


def _os_error(error: OSError, login: Login) -> DriverError:
    target = login.target
    words = {
        errno.ECONNREFUSED: "refused the connection: nothing listens on the port",
        errno.EHOSTUNREACH: "cannot be reached: no route to host",
        errno.ENETUNREACH: "cannot be reached: no route to its network",
        errno.ETIMEDOUT: "did not answer",
    }.get(error.errno or 0, "cannot be reached")
    return Unreachable(
        f"{target.alias} {words}",
        proof=f"{target.address}: {one_line(str(error.strerror or error))}",
        fix=_ERRNO_FIX.get(error.errno or 0, "check the network between here and the host"),
    )


# OpenSSH answers "open failed" alike for a forbidden, an absent and a closed socket: look there.
# /proc/net/unix shows who listens: flag 10000 is the kernel's __SO_ACCEPTCON.
SOCKET_PROBE = (
    'test -S "$1" || exit 3; test -r "$1" && test -w "$1" || exit 4; '
    "test -r /proc/net/unix || exit 0; "
    "while read -r _ _ _ flags _ _ _ path; do "
    '[ "$flags" = 00010000 ] && [ "${path#/var}" = "${1#/var}" ] && exit 0; '
    "done < /proc/net/unix; exit 5"
)


def socket_error(error: asyncssh.ChannelOpenError, host: str, path: str, seen: int) -> DriverError:
    """Why a forwarded socket did not open.

    Args:
        error: What sshd answered.
        host: The host's name in this fleet.
        path: The socket there.
        seen: Exit status of SOCKET_PROBE there: 3 not there, 4 no rights, 5 nobody listens.
    """
    reason = one_line(error.reason)
    if seen == 3:
        return Refused(
            f"libvirt's socket {path} is not on {host}",
            proof=reason,
            fix="start libvirtd (or virtqemud) there, or correct socket= in the URI",
        )
    if seen == 4:
        return Refused(
            f"this login may not open libvirt's socket {path} on {host}",
            proof=reason,
            fix="add the login to the group libvirt there, or log in as root",
        )
    if seen == 5:
        return Unreachable(
            f"libvirt does not run on {host}: nobody listens on its socket {path}",
            proof=f"the socket is there, but no listener in /proc/net/unix; sshd says: {reason}",
            fix="start it there: systemctl start libvirtd (or virtqemud)",
        )
    return Unsupported(
        f"{host}'s sshd forbids forwarding {path}",
        proof=f"the socket is there and open to this login; sshd says: {reason}",
        fix="set AllowStreamLocalForwarding yes in its sshd_config, or use "
        'transport = "helper" in fleet.toml',
    )


def channel_error(error: BaseException, host: str, doing: str, seconds: float = 0.0) -> DriverError:
    """Why something on an open connection failed.

    Args:
        error: What was raised.
        host: The host's name in this fleet.
        doing: Such as ``running virsh``.
        seconds: The deadline, for a timeout.
    """
    if isinstance(error, DriverError):
        return error
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"{host} did not answer within {seconds:g} s while {doing}",
            proof="the SSH connection is open",
            fix="the host is overloaded or the link is slow",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        reason = one_line(error.reason)
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            return Unsupported(
                f"{host}'s sshd forbids {doing}",
                proof=reason,
                fix="set AllowStreamLocalForwarding yes in its sshd_config, or use "
                'transport = "helper" in fleet.toml',
            )
        if "MaxSessions" in reason or "open failed" in reason or "session" in reason.lower():
            return Busy(
                f"{host}'s sshd opens no further session for {doing}",
                proof=reason,
                fix="raise MaxSessions in its sshd_config or end other sessions",
            )
        return Refused(f"{host} refused {doing}", proof=reason)
    if isinstance(error, asyncssh.Error | OSError):
        return Unreachable(
            f"the connection to {host} was lost while {doing}",
            proof=one_line(str(error)) or type(error).__name__,
            fix="the console connects again by itself",
        )
    return Failed(f"{doing} on {host} failed", proof=one_line(str(error)))
