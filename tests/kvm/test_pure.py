"""Small pure parts: image checksums, sockets, clock skew, event words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from drivers.kvm.events import tell
from drivers.kvm.facts import skew, version_words
from drivers.kvm.imagehash import NotReadableError, digest_file
from drivers.kvm.sockets import choose, local_uri, stock_uri
from drivers.kvm.volumes import last_written
from drivers.uri import parse_uri


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_the_same_content_has_one_checksum_in_every_format(tmp_path: Path) -> None:
    """A guest's bytes count, not the file's: raw, qcow2 and compressed qcow2 agree."""
    raw = tmp_path / "a.raw"
    with raw.open("wb") as file:
        file.write(os.urandom(300_000))
        file.seek(3 << 20)
        file.write(b"text " * 50_000)
        file.truncate((5 << 20) + 512)
    digests = {digest_file(str(raw), "raw")}
    for options in ((), ("-c",), ("-o", "cluster_size=4k"), ("-o", "compat=0.10")):
        image = tmp_path / "a.qcow2"
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, str(raw), str(image)],
            check=True,
        )
        digests.add(digest_file(str(image), "qcow2"))
    assert len(digests) == 1


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_an_image_that_leans_on_another_is_not_guessed(tmp_path: Path) -> None:
    """A backing file or an unknown format is said to be unreadable instead of hashed wrongly."""
    base, top = tmp_path / "base.qcow2", tmp_path / "top.qcow2"
    for argv in (
        ["qemu-img", "create", "-q", "-f", "qcow2", str(base), "1M"],
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(top)],
    ):
        subprocess.run(argv, check=True)
    with pytest.raises(NotReadableError, match="backing"):
        digest_file(str(top), "qcow2")
    with pytest.raises(NotReadableError, match="vmdk"):
        digest_file(str(base), "vmdk")


def test_the_socket_is_chosen_as_libvirt_would() -> None:
    """The URI's own socket first, then mode, then what exists on the host."""
    probed = (
        "sock /run/libvirt/virtqemud-sock\nsock /run/libvirt/libvirt-sock\nrun /run/user/5\n"
        "session /run/user/5/libvirt/libvirt-sock\nsession /run/user/5/libvirt/libvirt-sock\n"
    )

    def chosen(uri: str) -> tuple[str, ...]:
        return choose(parse_uri(uri), probed)

    assert chosen("qemu+ssh://h/system?socket=/x") == ("/x",)
    assert chosen("qemu+ssh://h/system")[0] == "/run/libvirt/virtqemud-sock"
    assert chosen("qemu+ssh://h/system?mode=legacy") == ("/run/libvirt/libvirt-sock",)
    assert chosen("qemu+ssh://h/session") == ("/run/user/5/libvirt/libvirt-sock",)
    assert chosen("test+ssh://h/default") == ("/run/libvirt/libvirt-sock",)


def test_addresses_given_to_libvirt() -> None:
    """Paths are quoted, and libvirt's own SSH client may never prompt on the terminal."""
    uri = parse_uri("qemu+ssh://root@h/system")
    assert local_uri(uri, "/tmp/a b&c") == "qemu+unix:///system?socket=/tmp/a%20b%26c"
    assert stock_uri(uri).endswith("?no_tty=1")


def test_a_slow_answer_is_no_clock_skew() -> None:
    """Only what lies outside the question's own window counts as skew."""
    assert skew(105.0, 100.0, 110.0) == 0.0
    assert skew(120.0, 100.0, 110.0) == 10.0
    assert skew(90.0, 100.0, 110.0) == -10.0
    assert version_words(9_000_000) == "9.0.0"


@pytest.mark.parametrize(
    ("name", "args", "change", "text"),
    [
        ("LIFECYCLE", (2, 0), "started", "started (booted)"),
        ("LIFECYCLE", (99, 99), "lifecycle", "event 99"),
        ("BLOCK_JOB_2", ("vda", 2, 3), "block-ready", "block copy of vda ready"),
        ("BLOCK_JOB_2", ("vd\x1ba", 77, 77), "block-job", "block job of vda status 77"),
        ("JOB_COMPLETED", ({"time_elapsed": 1500},), "job-completed", "job completed after 1.5 s"),
        ("IO_ERROR_REASON", (None, None, 1, None), "io-error", "I/O error on a disk (paused)"),
        ("REBOOT", ("surprise",), "reboot", "reboot"),
    ],
)
def test_events_read_as_sentences(
    name: str, args: tuple[object, ...], change: str, text: str
) -> None:
    """Each libvirt event is one clear line; unknown numbers and shapes break nothing."""
    told = tell(name, args)
    assert (told[1], told[2]) == (change, text)


@pytest.mark.parametrize(("kind", "told"), [("file", "1700000000.25"), ("block", "")])
def test_only_a_file_tells_when_it_was_last_written(kind: str, told: str) -> None:
    """The time of a device node is not that of what lies on the device."""
    times = "<timestamps><atime>9</atime><mtime>1700000000.25</mtime></timestamps>"
    text = f"<volume type='{kind}'><name>x</name><target>{times}</target></volume>"
    assert last_written(text) == told
    assert last_written(text.replace(times, "")) == ""
