"""The guests' kernel and initramfs, made once from this machine's package sources.

The distribution's cloud kernel is downloaded with apt and unpacked, never installed. Busybox, a
few modules and ``guest_init.sh`` make an initramfs. Both stay in the user's cache folder.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import Failed, Unsupported
from drivers.lab.modules import WANTED_MODULES, copy_modules, find_kernel

_META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")
"""Debian's and Ubuntu's kernel for virtual machines."""

_PARTS = ("linux-image-", "linux-modules-", "linux-binary-")
"""Where a distribution splits a kernel, its image's package depends on the other parts."""

_INIT = Path(__file__).with_name("guest_init.sh")


@dataclass(frozen=True, slots=True)
class GuestImage:
    """Files that boot a practice guest."""

    kernel: Path
    initrd: Path


def cache_folder() -> Path | None:
    """Where images are kept between labs: ``$XDG_CACHE_HOME/novacron/lab``.

    None where no such folder can be written, as for a user without a home.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not base.is_absolute():
            base = Path.home() / ".cache"
        folder = base / "novacron" / "lab"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def ensure_image(cache: Path, progress: Callable[[str], None]) -> GuestImage:
    """Return the guest image, making it when the cache has none.

    Raises:
        Unsupported: This machine is not x86-64.
        Failed: The kernel package could not be fetched or unpacked.
    """
    if platform.machine() != "x86_64":
        raise Unsupported(
            f"the practice fleet needs an x86-64 machine, this one is {platform.machine()}",
            fix="use the simulated fleet: novacron demo --simulated",
        )
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one download for labs that start together
        for left in cache.glob("fetch-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        kernel = _cached_kernel(cache) or _fetch_kernel(cache, progress)
        initrd = kernel / f"initrd-{_recipe_hash()}.gz"
        if not initrd.is_file():
            progress("building the guests' initramfs")
            _write_atomically(initrd, _initramfs(kernel))
    return GuestImage(kernel / "vmlinuz", initrd)


def static_busybox() -> Path | None:
    """The machine's busybox, when there is one and it needs no shared libraries."""
    found = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/bin:/usr/bin")
    if found is None:
        return None
    with Path(found).open("rb") as stream:
        return None if b"/ld-linux" in stream.read(4096) else Path(found)


def _recipe_hash() -> str:
    digest = hashlib.sha256(_INIT.read_bytes())
    digest.update(" ".join(WANTED_MODULES).encode())
    busybox = static_busybox()
    if busybox is not None:
        digest.update(str(busybox.stat().st_size).encode())
    return digest.hexdigest()[:12]


def _cached_kernel(cache: Path) -> Path | None:
    wanted = " ".join(WANTED_MODULES)
    stamps = [path for path in cache.glob("*/complete") if path.read_text() == wanted]
    found = sorted(path.parent for path in stamps)
    return found[-1] if found else None


def _run(argv: list[str], cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(
            "the guests' kernel cannot be fetched from this machine's package sources",
            f"{' '.join(argv)}: {done.stderr.strip()[-300:]}",
            "check the network and run 'sudo apt-get update', or use novacron demo --simulated",
        )
    return done.stdout


def _depends(package: str, cwd: Path) -> list[str]:
    done = subprocess.run(
        ["apt-cache", "depends", package], cwd=cwd, capture_output=True, text=True, check=False
    )
    return re.findall(r"Depends: (\S+)", done.stdout)


def _packages(cwd: Path) -> list[str]:
    """Names of the packages that hold the newest cloud kernel and its modules."""
    for meta in _META_PACKAGES:
        for image in _depends(meta, cwd):
            if image.startswith("linux-image-"):
                extra = [part for part in _depends(image, cwd) if part.startswith(_PARTS)]
                return [image, *extra]
    raise Failed(
        "no cloud kernel is among this machine's packages",
        f"looked for {' and '.join(_META_PACKAGES)} in apt-cache",
        "run 'sudo apt-get update', or use novacron demo --simulated",
    )


def _fetch_kernel(cache: Path, progress: Callable[[str], None]) -> Path:
    if shutil.which("apt-get") is None:
        raise Unsupported(
            "the guests' kernel comes from Debian or Ubuntu packages, and there is no apt-get",
            fix="use the simulated fleet: novacron demo --simulated",
        )
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as scratch:
        work = Path(scratch)
        packages = _packages(work)
        progress(f"downloading {packages[0]} (unpacked for the guests, not installed)")
        _run(["apt-get", "-qq", "download", *packages], work)
        for deb in sorted(work.glob("*.deb")):
            _run(["dpkg", "-x", str(deb), "root"], work)
        vmlinuz, tree = find_kernel(work / "root")
        target = work / "out"
        target.mkdir()
        shutil.copyfile(vmlinuz, target / "vmlinuz")  # not its mode: Ubuntu's is closed
        copy_modules(tree, target)
        (target / "complete").write_text(" ".join(WANTED_MODULES))
        final = cache / tree.name
        shutil.rmtree(final, ignore_errors=True)
        target.rename(final)
    return final


def _initramfs(kernel: Path) -> bytes:
    busybox = static_busybox()
    if busybox is None:
        raise Unsupported(
            "the guests need a static busybox", fix="sudo apt-get install busybox-static"
        )
    members: list[tuple[str, int, bytes]] = [
        ("bin", 0o040755, b""),
        ("modules", 0o040755, b""),
        ("bin/busybox", 0o100755, busybox.read_bytes()),
        ("init", 0o100755, _INIT.read_bytes()),
        ("modules/order", 0o100644, (kernel / "order").read_bytes()),
    ]
    members += [
        (f"modules/{p.name}", 0o100644, p.read_bytes()) for p in sorted(kernel.glob("*.ko"))
    ]
    return gzip.compress(b"".join(_cpio(members)), compresslevel=6, mtime=0)


def _cpio(members: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """A cpio archive in the kernel's "newc" format (initramfs-buffer-format.txt)."""
    entries = [*members, ("TRAILER!!!", 0, b"")]
    for inode, (name, mode, data) in enumerate(entries, start=1):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        yield head + b"\0" * (-len(head) % 4)
        yield data + b"\0" * (-len(data) % 4)


def _write_atomically(path: Path, data: bytes) -> None:
    """All of it or nothing; the cache's lock keeps others from the file beside it."""
    scratch = path.with_suffix(".new")
    scratch.write_bytes(data)
    scratch.chmod(0o644)
    scratch.rename(path)
