"""Whether the console that owns a job still lives, told by machine, boot, namespace and process."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from console.jobs.owner import Place, owner_alive, owner_place, this_owner, this_place

HERE = this_place()


def test_an_owner_reads_who_where_and_which_process():
    """The first words are those of older consoles; what identifies the machine comes after."""
    user, _, rest = this_owner().rpartition("@")
    words = rest.split(":")
    assert user
    assert words[:2] == [socket.gethostname(), str(os.getpid())]
    assert words[2].isdigit()
    assert owner_place(this_owner()) == HERE
    assert HERE.boot
    assert HERE.space.isdigit()


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"host": "renamed"}, True),
        ({"boot": "0000aaaa"}, False),
        ({"host": "renamed", "boot": "0000aaaa"}, False),
        ({"machine": "another"}, None),
        ({"machine": "another", "boot": "0000aaaa"}, None),
        ({"space": "1"}, None),
    ],
)
def test_a_machine_is_known_by_its_id_and_not_its_name(changes, alive):
    """A changed host name hides nobody; another boot has ended it; another machine is not known."""
    here = replace(HERE, machine="this one")
    assert owner_alive(this_owner(replace(here, **changes)), here=here) is alive


def test_without_machine_id_the_host_name_counts():
    """Containers may have none: then the name tells machines apart, and the boot still counts."""
    here = replace(HERE, machine="")
    assert owner_alive(this_owner(here), here=here) is True
    assert owner_alive(this_owner(replace(here, host="other")), here=here) is None
    assert owner_alive(this_owner(replace(here, boot="0000aaaa")), here=here) is False


def test_owners_of_older_consoles_are_understood():
    """``user@host:pid:start``: same pid with another start time is dead, another host not known."""
    pid, start = this_owner().rpartition("@")[2].split(":")[1:3]
    host = socket.gethostname()
    assert owner_alive(f"me@{host}:{pid}:{start}") is True
    assert owner_alive(f"me@{host}:{pid}:1") is False
    assert owner_alive(f"me@{host}:{2**22 + os.getpid()}:1") is False
    assert owner_alive("me@elsewhere.invalid:1:1") is None
    assert owner_alive("me@:0:1") is False
    assert owner_alive("nonsense") is False


def test_a_process_that_may_not_be_looked_at_is_not_taken_for_dead(tmp_path: Path):
    """Only a process that is not there has ended."""
    place = Place("ops1")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").mkdir()
    assert owner_alive("me@ops1:7:1", tmp_path, place) is None
    assert owner_alive("me@ops1:8:1", tmp_path, place) is False
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "stat").write_text(f"9 (a) b) Z {' '.join(['0'] * 18)} 1 0")
    assert owner_alive("me@ops1:9:1", tmp_path, place) is False
    (tmp_path / "9" / "stat").write_text(f"9 (a) b) S {' '.join(['0'] * 18)} 1 0")
    assert owner_alive("me@ops1:9:1", tmp_path, place) is True


def test_what_the_kernel_does_not_tell_is_left_empty(tmp_path: Path):
    """No machine-id, no /proc: the host name is what is left."""
    assert this_place(tmp_path) == Place(socket.gethostname())
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    told = this_place(tmp_path).machine
    assert len(told) == 12
    assert "0123456789ab" not in told
