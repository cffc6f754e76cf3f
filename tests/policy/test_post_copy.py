"""The risk of post-copy is said before, with what is known of the way back."""

from __future__ import annotations

from console.policy.post_copy import post_copy_check
from drivers.model.job import Verdict


def test_it_is_always_a_risk() -> None:
    check = post_copy_check("web1", "", ())
    assert check.verdict is Verdict.WARN
    assert "web1 stops" in check.text
    assert "leave post-copy out" in check.fix


def test_versions_that_cannot_recover_win_over_devices() -> None:
    check = post_copy_check("web1", "needs libvirt 8.5, kvm1 has 8.0", ("disk vda",))
    assert "to recover it needs libvirt 8.5" in check.proof
    assert "disk vda" not in check.proof


def test_a_guest_that_the_main_thread_leaves_alone_can_be_recovered() -> None:
    proof = post_copy_check("web1", "", ()).proof
    assert "it can be recovered after" in proof
    assert "once its old connection is ended by hand" in proof


def test_devices_of_the_main_thread_are_named_with_the_remedy() -> None:
    check = post_copy_check("web1", "", ("disk vda without iothread", "balloon statistics"))
    assert "only by luck" in check.proof
    assert "for disk vda without iothread, balloon statistics" in check.proof
    assert "iothreads" in check.fix


def test_a_definition_that_was_not_read_is_no_promise() -> None:
    check = post_copy_check("web1", "", None)
    assert "whether it can be recovered after depends" in check.proof
