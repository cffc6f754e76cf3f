"""The audit ledger: whatever is changed, taken out, cut off or put elsewhere is found."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.model.audit import Actor, Deed, Entry
from store.api import StoreError
from store.ledger import Ledger

ANNA = Actor("root", "anna", "anna", "192.0.2.7", "/dev/pts/3", "jump1", 4242)


def entry(number: int) -> Entry:
    return Entry(
        Deed.BEGUN,
        1000.0 + number,
        ANNA,
        f"Start web{number} \u202e[bold]\x1b[31m",
        job=f"job-{number}",
        hosts=("kvm1",),
        commands=(f"virsh -c qemu:///system start web{number}",),
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "audit.jsonl")
    for number in range(8):
        made.append(entry(number))
    return made


def lines(ledger: Ledger) -> list[str]:
    return ledger.path.read_text().splitlines(keepends=True)


def test_an_end_that_is_to_be_told_once_is_there_once(ledger: Ledger) -> None:
    """Only the same deed of the same job under the same title is the same; the first stands."""
    end = replace(entry(3), deed=Deed.ENDED, state="done", outcome="3 of 3 moved.")
    first = ledger.append(end, once=True)
    again = ledger.append(replace(end, outcome="other words"), once=True)
    assert again == first
    assert ledger.append(replace(end, job="job-33"), once=True).seq == first.seq + 1
    assert ledger.append(replace(end, title="Cancel"), once=True).seq == first.seq + 2
    assert ledger.append(end).seq == first.seq + 3
    assert not ledger.verify().findings


def test_what_was_written_is_read_back_and_sound(ledger: Ledger) -> None:
    found = list(ledger.entries())
    assert [e.seq for e in found] == list(range(1, 9))
    assert found[3].title == entry(3).title
    assert found[3].actor == ANNA
    verified = ledger.verify()
    assert verified.findings == ()
    assert verified.entries == 8
    assert verified.newest == found[-1].hash
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_an_empty_ledger_is_sound(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "none.jsonl").verify().findings == ()


@pytest.mark.parametrize("seed", range(30))
def test_any_changed_byte_is_found(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(ledger.path.read_bytes())
    at = rng.randrange(len(data))
    data[at] = rng.choice([b for b in range(32, 127) if b != data[at]])
    ledger.path.write_bytes(bytes(data))
    assert ledger.verify().findings, bytes(data[max(0, at - 20) : at + 20])


@pytest.mark.parametrize("gone", range(8))
def test_any_deleted_line_is_found(ledger: Ledger, gone: int) -> None:
    kept = lines(ledger)
    del kept[gone]
    ledger.path.write_text("".join(kept))
    assert ledger.verify().findings


def test_the_whole_end_or_the_whole_file_gone_is_found(ledger: Ledger) -> None:
    ledger.path.write_text("".join(lines(ledger)[:4]))
    assert "at the end" in ledger.verify().findings[0].what
    ledger.path.unlink()
    assert "at the end" in ledger.verify().findings[0].what


@pytest.mark.parametrize("kept", [0, 1, 5, 7])
def test_what_was_cut_off_stays_found_after_work_goes_on(ledger: Ledger, kept: int) -> None:
    if kept:
        ledger.path.write_text("".join(lines(ledger)[:kept]))
    else:
        ledger.path.unlink()
    for number in range(20, 23):
        ledger.append(entry(number))
    assert ledger.verify().findings, kept


def test_a_head_that_a_crash_left_one_behind_is_no_fault(ledger: Ledger) -> None:
    before = ledger.head.read_text()
    ledger.append(entry(8))
    ledger.head.write_text(before)
    ledger.append(entry(9))
    assert ledger.verify().findings == ()


def test_lines_in_another_order_are_found(ledger: Ledger) -> None:
    kept = lines(ledger)
    kept[2], kept[5] = kept[5], kept[2]
    ledger.path.write_text("".join(kept))
    assert ledger.verify().findings


def test_a_changed_line_with_a_hash_made_anew_breaks_the_chain(ledger: Ledger) -> None:
    kept = lines(ledger)
    forged = Ledger(ledger.path.with_name("forged.jsonl"))
    for number in range(3):
        forged.append(entry(number))
    other = forged.append(Entry(Deed.BEGUN, 1003.0, ANNA, "Nothing happened"))
    assert other.seq == 4
    kept[3] = forged.path.read_text().splitlines(keepends=True)[3]
    ledger.path.write_text("".join(kept))
    assert [f.line for f in ledger.verify().findings] == [5]


def test_a_field_added_by_hand_is_found(ledger: Ledger) -> None:
    kept = lines(ledger)
    fields = json.loads(kept[1])
    fields["note"] = "approved"
    kept[1] = json.dumps(fields) + "\n"
    ledger.path.write_text("".join(kept))
    assert [f.line for f in ledger.verify().findings] == [2]


def test_a_line_cut_short_by_a_crash_is_taken_out_and_told(ledger: Ledger) -> None:
    with ledger.path.open("a") as file:
        file.write('{"seq":9,"deed":"beg')
    assert ledger.verify().findings
    ledger.append(entry(9))
    found = list(ledger.entries())
    assert [e.deed for e in found[-2:]] == [Deed.REPAIRED, Deed.BEGUN]
    assert ledger.verify().findings == ()


def test_a_spoilt_last_line_stops_nobody_and_stays_found(ledger: Ledger) -> None:
    with ledger.path.open("a") as file:
        file.write("garbage\n")
    assert ledger.append(entry(9)).seq == 9
    assert [f.line for f in ledger.verify().findings] == [9]


def test_a_long_entry_is_followed_rightly(ledger: Ledger) -> None:
    long = Entry(Deed.BEGUN, 1.0, ANNA, "Drain", commands=("x" * 100,) * 5000)
    ledger.append(long)
    ledger.append(entry(10))
    assert ledger.verify().findings == ()


def test_a_full_disk_refuses_and_leaves_the_file_as_it_was(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()

    def full(path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, len(before) + 20))
        try:
            Ledger(path).append(entry(9))
        except StoreError as error:
            os._exit(7 if "cannot be written" in error.problem.what else 8)
        os._exit(9)

    child = multiprocessing.get_context("fork").Process(target=full, args=(ledger.path,))
    child.start()
    child.join()
    assert child.exitcode == 7
    assert ledger.path.read_bytes() == before
    assert ledger.verify().findings == ()


def _many(path: Path, first: int) -> None:
    for number in range(first, first + 25):
        Ledger(path).append(entry(number))


def test_many_consoles_append_at_once_without_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_many, args=(path, 100 * n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    verified = Ledger(path).verify()
    assert verified.findings == ()
    assert verified.entries == 100
