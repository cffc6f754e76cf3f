"""The guests' kernel out of packages as distributions make them, without fetching any."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from drivers.errors import Failed
from drivers.lab.image import ensure_image
from drivers.lab.modules import copy_modules, find_kernel


def module(*depends: str) -> bytes:
    """What of a module's .modinfo section counts here, between other bytes."""
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0" * 40


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    ".gz": gzip.compress,
    ".zst": zstd,
}


def make_tree(root: Path, release: str, packed: str = "", base: str = "lib") -> Path:
    """A kernel's modules: some wanted, some needed by those, one that nobody asks for."""
    tree = root / base / "modules" / release
    files = {
        "drivers/virtio/virtio_pci": ["virtio", "virtio-ring"],
        "drivers/virtio/virtio": [],
        "drivers/virtio/virtio-ring": ["virtio"],
        "drivers/net/virtio_net": ["net_failover"],
        "drivers/net/net_failover": [],
        "fs/xfs": ["crc"],
    }
    for name, depends in files.items():
        path = tree / "kernel" / f"{name}.ko{packed}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PACKERS[packed](module(*depends)))
    return tree


@pytest.mark.parametrize("packed", PACKERS)
def test_modules_are_unpacked_in_load_order(tmp_path: Path, packed: str) -> None:
    """However they are packed; what a module needs comes before it, and nothing else comes."""
    tree = make_tree(tmp_path, "6.1", packed)
    target = tmp_path / "out"
    target.mkdir()
    copy_modules(tree, target)
    order = (target / "order").read_text().split()
    assert order == [
        "virtio.ko",
        "virtio_ring.ko",
        "virtio_pci.ko",
        "net_failover.ko",
        "virtio_net.ko",
    ]
    assert (target / "virtio_net.ko").read_bytes() == module("net_failover")
    assert {path.name for path in target.iterdir()} == {*order, "order"}


def test_a_kernel_with_everything_built_in_needs_no_modules(tmp_path: Path) -> None:
    """The order is empty then, and the guest loads nothing."""
    tree = tmp_path / "lib" / "modules" / "6.8.0-virtual"
    tree.mkdir(parents=True)
    copy_modules(tree, tmp_path)
    assert (tmp_path / "order").read_text() == ""


def test_a_damaged_module_is_named(tmp_path: Path) -> None:
    """As is one that is packed in a way nobody knew when this was written."""
    tree = make_tree(tmp_path, "6.1", ".xz")
    (tree / "kernel/drivers/virtio/virtio_pci.ko.xz").write_bytes(b"not xz")
    with pytest.raises(Failed, match=r"virtio_pci\.ko\.xz is damaged"):
        copy_modules(tree, tmp_path)
    (tree / "kernel/drivers/virtio/virtio_pci.ko.xz").rename(
        tree / "kernel/drivers/virtio/virtio_pci.ko.br"
    )
    with pytest.raises(Failed, match=r"virtio_pci\.ko\.br is packed in an unknown way"):
        copy_modules(tree, tmp_path)


def test_a_missing_zstd_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu packs its modules so, and a small one lacks the program."""
    tree = make_tree(tmp_path, "6.8", ".zst")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Failed, match="zstd") as raised:
        copy_modules(tree, tmp_path)
    assert raised.value.problem.fix == "sudo apt-get install zstd"


@pytest.mark.parametrize("base", ["lib", "usr/lib"])
def test_a_kernel_is_found_beside_its_modules(tmp_path: Path, base: str) -> None:
    """In /boot, or in the folder of its modules, as newer packages have it."""
    with pytest.raises(Failed, match="does not hold both"):
        find_kernel(tmp_path)
    tree = make_tree(tmp_path, "6.1", base=base)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-5.10").touch()
    with pytest.raises(Failed, match="does not hold both") as raised:
        find_kernel(tmp_path)
    assert "6.1" in raised.value.problem.proof
    assert "boot/vmlinuz-5.10" in raised.value.problem.proof
    (tree / "vmlinuz").touch()
    assert find_kernel(tmp_path) == (tree / "vmlinuz", tree)
    (tmp_path / "boot" / "vmlinuz-6.1").touch()
    assert find_kernel(tmp_path) == (tmp_path / "boot" / "vmlinuz-6.1", tree)


class Distribution:
    """A PATH whose apt-cache and apt-get know the given packages, and real dpkg beside them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def packages(self, depends: Mapping[str, str], roots: Mapping[str, Path]) -> None:
        """What each package depends on, and what those that can be downloaded hold."""
        cases = "".join(f"{name}) printf '{text}' ;; " for name, text in depends.items())
        self.program(
            "apt-cache", f'case $2 in {cases} *) echo "N: no package" >&2; exit 100;; esac'
        )
        for name, root in roots.items():
            control = root / "DEBIAN" / "control"
            control.parent.mkdir(parents=True)
            text = (
                f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: x\nDescription: x\n"
            )
            control.write_text(text)
            deb = self.folder / f"{name}.deb"
            argv = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(root), str(deb)]
            subprocess.run(argv, check=True, capture_output=True)
        # apt-get -qq download PACKAGE...
        copies = f'shift 2; for name; do cp "{self.folder}/$name.deb" . || exit 100; done'
        self.program("apt-get", copies)


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    return Distribution(tmp_path, monkeypatch)


def test_ubuntu_splits_its_kernel_in_two(distribution: Distribution, tmp_path: Path) -> None:
    """A kernel that only root may read in one package, modules packed with zstd in another."""
    release = "6.8.0-90-generic"
    image, modules = tmp_path / "image", tmp_path / "modules"
    (image / "boot").mkdir(parents=True)
    (image / "boot" / f"vmlinuz-{release}").write_bytes(b"kernel")
    (image / "boot" / f"vmlinuz-{release}").chmod(0o600)
    make_tree(modules, release, ".zst")
    depends = {
        "linux-image-virtual": f"linux-image-virtual\\n  Depends: linux-image-{release}\\n",
        f"linux-image-{release}": (
            f"linux-image-{release}\\n  Depends: kmod\\n  Depends: linux-base\\n"
            f"  Depends: linux-modules-{release}\\n  Conflicts: <linux-image-unsigned-{release}>\\n"
        ),
    }
    roots = {f"linux-image-{release}": image, f"linux-modules-{release}": modules}
    distribution.packages(depends, roots)
    cache, said = tmp_path / "cache", []
    made = ensure_image(cache, said.append)
    assert made.kernel == cache / release / "vmlinuz"
    assert made.kernel.read_bytes() == b"kernel"
    assert made.kernel.stat().st_mode & 0o044, "other users' QEMU reads it too"
    inside = gzip.decompress(made.initrd.read_bytes())
    assert inside.startswith(b"070701")
    for word in (b"bin/busybox\0", b"modules/virtio_net.ko\0", module("net_failover")):
        assert word in inside
    assert said[0].startswith(f"downloading linux-image-{release} ")
    distribution.program("apt-get", "exit 100")
    assert ensure_image(cache, said.append) == made, "the second time nothing is fetched"
    assert sorted(path.name for path in cache.iterdir()) == [release, "lock"]


def test_no_kernel_or_no_network_is_told(distribution: Distribution, tmp_path: Path) -> None:
    """With what was looked for, apt's own words, and the way on without; no scrap stays."""
    cache = tmp_path / "cache"
    distribution.packages({}, {})
    with pytest.raises(Failed, match="no cloud kernel") as raised:
        ensure_image(cache, print)
    assert "linux-image-virtual" in raised.value.problem.proof
    line = "linux-image-cloud-amd64\\n  Depends: linux-image-6.1.0-cloud-amd64\\n"
    distribution.packages({"linux-image-cloud-amd64": line}, {})
    distribution.program("apt-get", "echo 'E: Temporary failure resolving' >&2; exit 100")
    (cache / "fetch-killed").mkdir()
    with pytest.raises(Failed, match="cannot be fetched") as raised:
        ensure_image(cache, print)
    assert "Temporary failure resolving" in raised.value.problem.proof
    assert "--simulated" in raised.value.problem.fix
    assert [path.name for path in cache.iterdir()] == ["lock"]
