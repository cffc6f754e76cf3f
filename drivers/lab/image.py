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

WANTED_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_balloon",
    "virtio_net",
    "button",
    "evdev",
)
"""What a guest needs; their own dependencies come along, and those built in are left out."""

_META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")
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
                extra = [p for p in _depends(image, cwd) if p.startswith("linux-modules-")]
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
    for left in cache.glob("fetch-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as scratch:
        work = Path(scratch)
        packages = _packages(work)
        progress(f"downloading {packages[0]} (unpacked for the guests, not installed)")
        _run(["apt-get", "-qq", "download", *packages], work)
        for deb in sorted(work.glob("*.deb")):
            _run(["dpkg", "-x", str(deb), "root"], work)
        vmlinuz = next((work / "root").glob("boot/vmlinuz-*"))
        release = vmlinuz.name.removeprefix("vmlinuz-")
        target = work / "out"
        target.mkdir()
        shutil.copy(vmlinuz, target / "vmlinuz")
        _copy_modules(_module_tree(work / "root", release), target)
        (target / "complete").write_text(" ".join(WANTED_MODULES))
        final = cache / release
        shutil.rmtree(final, ignore_errors=True)
        target.rename(final)
    return final


def _module_tree(root: Path, release: str) -> Path:
    for base in (root / "lib/modules", root / "usr/lib/modules"):
        if (base / release).is_dir():
            return base / release
    raise Failed("the kernel package holds no modules", f"no lib/modules/{release} in it")


def _copy_modules(tree: Path, target: Path) -> None:
    """Copy the wanted modules, uncompressed, and write their load order."""
    files = {_module_name(path): path for path in tree.rglob("*.ko*")}
    order: list[str] = []

    def visit(name: str) -> None:
        path = files.get(name)
        if path is None or f"{name}.ko" in order:
            return
        data = _decompressed(path)
        for needed in _needs(data):
            visit(needed)
        (target / f"{name}.ko").write_bytes(data)
        order.append(f"{name}.ko")

    for name in WANTED_MODULES:
        visit(name)
    (target / "order").write_text("\n".join(order) + "\n")


def _module_name(path: Path) -> str:
    return path.name.split(".", 1)[0].replace("-", "_")


def _decompressed(path: Path) -> bytes:
    tools = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"]}
    tool = tools.get(path.suffix)
    if tool is None:
        return path.read_bytes()
    try:
        return subprocess.run([*tool, str(path)], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(
            "a kernel module cannot be unpacked", str(error), f"install {tool[0]}"
        ) from error


def _needs(module: bytes) -> list[str]:
    """Names in the ``depends=`` entry of a module's .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found.group(1).decode() if found else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


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
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    Path(name).chmod(0o644)
    Path(name).rename(path)
