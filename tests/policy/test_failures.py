"""The failure catalogue: a host's words, its cause, what to do."""

from __future__ import annotations

import re

import pytest

from console.policy.failure_texts import KNOWN
from console.policy.failures import Scene, explain
from console.policy.truth import Sighting, Whereabouts, where_sentence, whereabouts
from drivers.model.problem import Problem
from drivers.model.vm import VmState
from tests.policy.fleet import vm

SCENE = Scene("web1", "kvm1", "kvm2", "novacron migrate web1 --to kvm2")

TEXTS = [
    ("Unsafe migration: Migration without shared storage is unsafe", "unsafe-storage"),
    ("internal error: Attempt to migrate guest to the same host 0000-11", "same-host"),
    ("operation failed: guest CPU doesn't match specification: missing features: avx2,bmi1",
     "cpu-features"),
    ("unable to connect to server at 'kvm2:49152': Connection refused", "data-port"),
    ("unable to resolve address 'kvm2' service '49152': Name or service not known",
     "name-resolution"),
    ("Cannot recv data: Host key verification failed.: Connection reset by peer", "peer-login"),
    ("Cannot recv data: root@kvm2: Permission denied (publickey).: Connection reset by peer",
     "peer-login"),
    ("End of file while reading data: Host key verification failed.: Input/output error",
     "peer-login"),
    ("operation failed: Failed to connect to remote libvirt URI qemu+ssh://root@kvm2/system: "
     "Cannot recv data: ssh: connect to host kvm2 port 22: Connection refused: "
     "Connection reset by peer", "peer-unreachable"),
    ("the daemon of kvm1 lost its connection to that of kvm2, and the reason with it: "
     "End of file while reading data: : Input/output error", "words-lost"),
    ("not enough free space for the copy: 6.0 MiB needed in /srv/hot, 0.0 MiB free; "
     "libvirt said: End of file while reading data: : Input/output error", "copy-space"),
    ("operation aborted: migration out: canceled by client", "cancelled"),
    ("Network not found: no network with matching name 'lan'", "no-network"),
    ("Timed out during operation: cannot acquire state change lock", "monitor-stuck"),
    ("internal error: process exited: Failed to get \"write\" lock", "image-locked"),
    ("cannot migrate a domain with 2 snapshots", "snapshots"),
    ("Requested operation is not valid: domain is not running", "not-running"),
    ("error writing to /srv/x: No space left on device", "no-space"),
    ("Requested operation is not valid: storage pool 'hot' is not active", "pool-inactive"),
    ("unsupported machine type 'pc-q35-9.2'", "machine-type"),
    ("Requested operation is not valid: domain 'web1' is not processing incoming migration",
     "post-copy-gone"),
    ("internal error: qemu unexpectedly closed the monitor: check_section_footer: "
     "Read section footer failed: -5", "qemu-ended"),
    ("pre-creation of storage targets for incremental storage migration is not supported",
     "base-missing"),
    ("internal error: client socket is closed", "target-lost"),
    ("operation failed: job 'migration out' unexpectedly failed", "gave-up"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), TEXTS)
def test_known_words_get_cause_and_fix(text, code):
    """The host's own words stay whole as proof beside cause and fix."""
    told = explain(Problem("libvirt refused", text), SCENE)
    assert told.code == code
    assert text in told.proof
    assert told.fix
    assert "{" not in told.what + told.fix


def test_unknown_words_are_shown_whole_with_the_retry_command():
    """Nothing is hidden because it is not in the catalogue."""
    told = explain(Problem("libvirt: something new", "deep words"), SCENE)
    assert told.what == "libvirt: something new"
    assert told.proof == "deep words"
    assert "novacron migrate web1 --to kvm2" in told.fix


def test_a_lost_connection_alone_is_no_proof_of_a_failed_login():
    """libvirt ends a connection for many reasons: nobody is sent to look at keys without proof."""
    told = explain(
        Problem(
            "web1 could not be migrated", "End of file while reading data: : Input/output error"
        ),
        SCENE,
    )
    assert told.code != "peer-login"
    assert "log in" not in told.what


@pytest.mark.parametrize(("text", "code"), TEXTS)
def test_what_can_be_tried_again_comes_with_its_command(text, code):
    """A line to copy, wherever trying again can help; none where it cannot by itself."""
    known = next(k for k in KNOWN if k.code == code)
    told = explain(Problem("libvirt refused", text), SCENE)
    assert (SCENE.retry in told.fix) is known.retry


def test_the_command_leaves_out_what_made_it_fail():
    scene = Scene("web 1", "kvm1", "kvm2", "novacron migrate 'web 1' --to kvm2 --incremental")
    told = explain(Problem("refused", "incremental storage migration is not supported"), scene)
    assert told.fix.endswith("; then: novacron migrate 'web 1' --to kvm2")


def test_a_missing_place_is_told_in_figures():
    """The sentence itself says how much is needed and how much is free."""
    said = "not enough free space for the copy: 6.0 MiB needed in /hot, 0.5 MiB free; libvirt said"
    told = explain(Problem("web1 could not be migrated", said), SCENE)
    assert told.what == (
        "kvm2 has not enough free space for the copy: 6.0 MiB needed in /hot, 0.5 MiB free"
    )


def test_every_entry_compiles_and_has_its_own_code():
    """A code names one entry."""
    assert len({k.code for k in KNOWN}) == len(KNOWN)
    for known in KNOWN:
        re.compile(known.pattern)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (VmState.RUNNING, None, Whereabouts.SOURCE),
        (VmState.PAUSED, VmState.OFF, Whereabouts.SOURCE),
        (None, VmState.RUNNING, Whereabouts.TARGET),
        (VmState.OFF, VmState.RUNNING, Whereabouts.TARGET),
        (VmState.RUNNING, VmState.PAUSED, Whereabouts.BOTH),
        (VmState.OFF, None, Whereabouts.NOWHERE),
    ],
)
def test_whereabouts_needs_both_ends(here, there, expected):
    """One answer only where the readings leave one."""
    source = Sighting("kvm1", vm(here) if here else None)
    target = Sighting("kvm2", vm(there, host="kvm2") if there else None)
    assert whereabouts(source, target) is expected
    lost = Sighting("kvm2", known=False, why="no route to host")
    assert whereabouts(source, lost) is Whereabouts.UNKNOWN
    assert "kvm2 is not known: no route to host" in where_sentence("web1", (source, lost))
