"""What many VMs have in common is said once."""

from __future__ import annotations

from console.policy.gathering import gathered
from drivers.model.job import Check, Verdict
from drivers.model.vm import VmState
from screens.render.maintenance import plan_text
from tests.policy.test_drain import drain, fleet, guest


def warning(name: str, text: str, proof: str = "", fix: str = "") -> Check:
    return Check(name, Verdict.WARN, text, proof, fix)


def test_one_vm_is_named():
    """By its own words, or before them."""
    own, other = warning("emulation", "web1 is emulated"), warning("memory", "kvm2 is nearly full")
    assert [c.text for c in gathered([("web1", own), ("web1", other)])] == [
        "web1 is emulated",
        "web1: kvm2 is nearly full",
    ]


def test_what_all_share_is_said_of_each():
    """The same but for the name is one line with their number, one proof and one fix."""
    said = [(f"web{n}", warning("emulation", f"web{n} is emulated", "by QEMU 7", "update")) for n in
            range(8)]  # fmt: skip
    assert gathered(said) == (
        warning("emulation", "8 VMs: each is emulated", "by QEMU 7", "update"),
    )


def test_what_differs_has_an_example():
    """A name at the head of another word is no name."""
    said = [("a", warning("usb", "all of usb 1", fix="pull 1")),
            ("b", warning("usb", "all of usb 2", fix="pull 2"))]  # fmt: skip
    (found,) = gathered(said)
    assert (found.text, found.fix) == ("2 VMs: such as a: all of usb 1", "pull 1 (and so on)")


def test_what_was_gathered_is_gathered_again():
    """For VMs of each host, then for the hosts of an upgrade: an example of examples is one."""
    said = [
        (f"web{n}", warning("autostart", f"web{n} starts here", fix=f"fix {n}")) for n in (1, 2)
    ]
    hosts = [("kvm1", *gathered(said)), ("kvm2", *gathered(said[:1]))]
    (found,) = gathered(hosts, "host")
    assert found.text == "2 hosts: such as kvm1: 2 VMs: each starts here"
    assert found.fix == "fix 1 (and so on)"


def test_a_drain_says_each_warning_once():
    """Its lines name what warns, and the text below says it for all of them, with the proof."""
    wide = [guest(n, vcpus=9) for n in range(3)]
    plan = drain(fleet(*wide, guest(4)))
    assert sorted(m.reason for m in plan.moves) == [
        *3 * ["fits, but mind vcpus"],
        "it fits there",
    ]
    (found,) = plan.warned
    assert found.text in (
        "3 VMs: such as web0: more vCPUs than kvm2 has CPUs",
        "3 VMs: such as web0: more vCPUs than kvm3 has CPUs",
    )
    told = [line.label.plain + line.text.plain for line in plan_text(plan)]
    (line,) = (line for line in told if "more vCPUs" in line)
    assert line == f"warn vcpus: {found.text} ({found.proof})"


def test_many_that_need_a_choice_for_one_reason_are_one_paragraph():
    """Six are named, the others counted; one alone keeps its own line."""
    local = [guest(n, shared=False) for n in range(8)]
    plan = drain(fleet(*local, guest(9, state=VmState.PAUSED)))
    told = [line.label.plain + line.text.plain for line in plan_text(plan)]
    (line,) = (line for line in told if "storage is not shared" in line)
    assert line.startswith("web0, web1, web2, web3, web4, web5 and 2 more: its storage")
    assert any(line.startswith("web9 it is paused") for line in told)
