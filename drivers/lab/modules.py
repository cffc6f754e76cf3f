"""The drivers that a practice guest loads, out of a kernel package as distributions make them."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
from pathlib import Path

from drivers.errors import Failed

WANTED_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_balloon",
    "virtio_net",
    "virtio_console",
    "button",
    "evdev",
)
"""What a guest needs; their own dependencies come along, and those built in are left out."""

_ZSTD = ("zstd", "-dcq")  # Python has no zstd of its own before 3.14


def find_kernel(root: Path) -> tuple[Path, Path]:
    """The kernel and the folder of its modules in an unpacked package.

    Raises:
        Failed: One of them is not there.
    """
    trees = [tree for base in ("lib", "usr/lib") for tree in sorted(root.glob(f"{base}/modules/*"))]
    for tree in trees:
        for kernel in (root / "boot" / f"vmlinuz-{tree.name}", tree / "vmlinuz"):
            if kernel.is_file():
                return kernel, tree
    shown = ", ".join(sorted(str(path.relative_to(root)) for path in root.glob("boot/*")))
    raise Failed(
        "the kernel package does not hold both a kernel and its modules",
        f"modules of {', '.join(tree.name for tree in trees) or 'none'}; {shown or 'no boot/'}",
        "use the simulated fleet: novacron demo --simulated",
    )


def copy_modules(tree: Path, target: Path) -> None:
    """Copy the wanted modules, uncompressed, and write their load order to ``order``.

    Raises:
        Failed: A module is compressed in a way that cannot be undone here.
    """
    files = {_name(path): path for path in tree.rglob("*.ko*")}
    order: list[str] = []

    def visit(name: str) -> None:
        path = files.get(name)
        if path is None or f"{name}.ko" in order:
            return
        data = _plain(path)
        for needed in _needs(data):
            visit(needed)
        (target / f"{name}.ko").write_bytes(data)
        order.append(f"{name}.ko")

    for name in WANTED_MODULES:
        visit(name)
    (target / "order").write_text("".join(f"{name}\n" for name in order))


def _name(path: Path) -> str:
    return path.name.split(".", 1)[0].replace("-", "_")


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        match path.suffix:
            case ".ko":
                return data
            case ".xz":
                return lzma.decompress(data)
            case ".gz":
                return gzip.decompress(data)
            case ".zst":
                done = subprocess.run(_ZSTD, input=data, capture_output=True, check=True)
                return done.stdout
    except FileNotFoundError as error:
        what = "this distribution packs kernel modules with zstd, and it is not here"
        raise Failed(what, str(error), "sudo apt-get install zstd") from error
    except (OSError, EOFError, lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise Failed(f"the kernel module {path.name} is damaged", str(error)) from error
    raise Failed(
        f"the kernel module {path.name} is packed in an unknown way",
        fix="use the simulated fleet: novacron demo --simulated",
    )


def _needs(module: bytes) -> list[str]:
    """Names in the ``depends=`` entry of a module's .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found.group(1).decode() if found else ""
    return [name.replace("-", "_") for name in names.split(",") if name]
