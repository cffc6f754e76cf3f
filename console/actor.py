"""Who sits at this console: the person behind sudo, su and the SSH session."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from drivers.model.audit import Actor

_NOBODY = 2**32 - 1
"""What the kernel says of a process that no login began."""


def this_actor(environ: Mapping[str, str] | None = None, proc: Path = Path("/proc")) -> Actor:
    """The person, from the kernel where it tells and from the session's environment.

    Args:
        environ: The environment; this process's unless given.
        proc: Where process information is mounted.
    """
    env = os.environ if environ is None else environ
    return Actor(
        user=_name(os.geteuid()),
        sudo_user=env.get("SUDO_USER", ""),
        login_user=_login(proc),
        origin=(env.get("SSH_CONNECTION", "") or env.get("SSH_CLIENT", "")).partition(" ")[0],
        terminal=_terminal(),
        machine=socket.gethostname(),
        pid=os.getpid(),
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _login(proc: Path) -> str:
    with suppress(OSError, ValueError):
        uid = int((proc / "self" / "loginuid").read_text(encoding="ascii"))
        if uid != _NOBODY:
            return _name(uid)
    return ""


def _terminal() -> str:
    for fd in (0, 1, 2):
        with suppress(OSError):
            return os.ttyname(fd)
    return ""
