"""What a practice fleet needs of this machine, asked before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from drivers.errors import Refused, Unsupported
from drivers.lab.image import static_busybox
from drivers.lab.model import Mode

_SEARCH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "libvirtd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
}
"""Program to the package that brings it, in every mode."""

NETNS_TOOLS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Further ones for hosts in namespaces."""


def choose_mode(wanted: str) -> Mode:
    """Turn ``auto``, ``user`` or ``netns`` into the mode to use.

    Raises:
        Refused: The mode does not fit who runs this.
        Unsupported: There is no such mode.
    """
    root = os.geteuid() == 0
    if wanted == "auto":
        return Mode.NETNS if root else Mode.USER
    if wanted not in tuple(Mode):
        raise Unsupported(f"there is no lab mode {wanted!r}", fix="use auto, user or netns")
    if wanted == Mode.USER and root:
        raise Refused(
            "a lab without privileges cannot be run by root",
            "root's libvirtd and sshd are the system's: they read /etc and manage the machine",
            "run it as an ordinary user, or use --mode netns",
        )
    if wanted == Mode.NETNS and not root:
        raise Refused(
            "a lab in network namespaces needs root",
            f"this is user id {os.geteuid()}",
            "run it with sudo, or use --mode user",
        )
    return Mode(wanted)


def missing_packages(mode: Mode) -> tuple[str, ...]:
    """Debian and Ubuntu packages that are not there, sorted."""
    tools = {**TOOLS, **(NETNS_TOOLS if mode is Mode.NETNS else {})}
    missing = {package for tool, package in tools.items() if not shutil.which(tool, path=_SEARCH)}
    if static_busybox() is None:
        missing.add("busybox-static")
    return tuple(sorted(missing))


def check_machine(mode: Mode, folder: Path) -> None:
    """Make sure that a lab can be made here.

    Raises:
        Unsupported: Something is missing; the problem names it and the fix.
    """
    missing = missing_packages(mode)
    if missing:
        raise Unsupported(
            f"the practice fleet needs {', '.join(missing)}",
            fix=f"run 'make demo', or 'sudo apt-get install {' '.join(missing)}'; "
            "without them: novacron demo --simulated",
        )
    if mode is Mode.NETNS:
        _check_namespaces()
    _check_direct_io(folder)


def _check_namespaces() -> None:
    argv = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run([*argv, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsupported(
            "this machine does not let root make namespaces (a container without privileges?)",
            done.stderr.strip()[-200:],
            "run as an ordinary user with --mode user, or use novacron demo --simulated",
        )


def _check_direct_io(folder: Path) -> None:
    """Guests write around the page cache, as a migration needs; some file systems cannot."""
    with tempfile.TemporaryFile(dir=folder) as probe:  # without a name: nothing stays behind
        try:
            os.close(os.open(f"/proc/self/fd/{probe.fileno()}", os.O_RDWR | os.O_DIRECT))
        except OSError as error:
            raise Unsupported(
                f"the file system of {folder} cannot do direct I/O, which the guests' disks need",
                str(error),
                "choose a folder on a disk with --folder, such as /var/tmp/lab",
            ) from error
