"""Several VMs moved together: one list of targets that says what fits whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from console.backend import NO_OPTIONS
from console.bulk import combined
from drivers.model.job import Action, Check, TargetFit, Verdict
from drivers.model.vm import Vm
from screens.dialogs.target import TargetDialog
from tests.screens.backend import FakeBackend, done
from tests.screens.conftest import Running, until
from tests.screens.fleets import make_fleet, make_vm
from tests.screens.test_app import shown

ROOM = Check("memory", Verdict.OK, "room enough")
WIDE = Check("cpu", Verdict.BLOCKED, "kvm3 lacks avx512f", fix="use another model")


def two() -> tuple[Vm, Vm]:
    """web1 and web2 of the fleet, on one host."""
    return make_vm(1, "kvm1"), make_vm(2, "kvm1")


def test_a_target_that_fits_all_stands_before_one_that_fits_some() -> None:
    """Each line says how many fit, and below it which VM does not and why."""
    one, other = two()
    offers = [
        (one, (TargetFit("kvm3", True, "p2p", (ROOM,)), TargetFit("kvm2", True, "p2p", (ROOM,)))),
        (other, (TargetFit("kvm2", True, "p2p", (ROOM,)), TargetFit("kvm3", False, "", (WIDE,)))),
    ]
    both, some = combined(offers, make_fleet())
    assert (both.target, both.fits, both.mode) == ("kvm2", True, "all fit")
    assert (some.target, some.fits, some.mode) == ("kvm3", True, "1 of 2 fit")
    assert Check(other.name, Verdict.BLOCKED, "kvm3 lacks avx512f", fix="use another model") in (
        some.reasons
    )


def test_a_target_that_fits_none_cannot_be_chosen() -> None:
    """It stands last, with a reason for each VM."""
    one, other = two()
    no = (TargetFit("kvm3", False, "", (WIDE,)),)
    (fit,) = combined([(one, no), (other, no)], make_fleet())
    assert not fit.fits
    assert [check.name for check in fit.reasons] == [one.name, other.name]


def test_a_vm_that_is_there_already_stays() -> None:
    """Marks over several hosts: the VM that is on the target is no obstacle."""
    one, other = make_vm(1, "kvm1"), make_vm(2, "kvm3")
    offers = [(one, (TargetFit("kvm3", True, "p2p"),)), (other, (TargetFit("kvm1", True, "p2p"),))]
    fits = {fit.target: fit for fit in combined(offers, make_fleet())}
    assert any("already" in check.text for check in fits["kvm3"].reasons)


def test_vms_that_fit_alone_but_not_together_are_told() -> None:
    """The memory of all of them is held against what is free."""
    vms = [replace(make_vm(n, "kvm1"), memory=1 << 50) for n in (1, 2)]
    offers = [(vm, (TargetFit("kvm2", True, "p2p"),)) for vm in vms]
    (fit,) = combined(offers, make_fleet())
    assert fit.reasons[0].name == "together"
    assert fit.reasons[0].verdict is Verdict.WARN


def test_one_vm_has_its_own_list() -> None:
    """Nothing is changed where there is nothing to combine."""
    fits = (TargetFit("kvm2", True, "p2p", (ROOM,)),)
    assert combined([(make_vm(1, "kvm1"), fits)], make_fleet()) is fits


class Choosy(FakeBackend):
    """kvm3 takes web1 alone; kvm2 takes everybody."""

    def targets(  # type: ignore[override]
        self, action: Action, uuid: str, disk: str = "", options: Mapping[str, str] = NO_OPTIONS
    ) -> object:
        self._note("targets", action, uuid, disk, dict(options))
        first = self.snapshot.vm(uuid)
        alone = first is not None and first.name == "web1"
        third = TargetFit("kvm3", alone, "p2p", (ROOM if alone else WIDE,))
        return done((third, TargetFit("kvm2", True, "p2p", (ROOM,))))


async def test_marked_vms_are_migrated_to_one_target(
    running: Running, backend: FakeBackend
) -> None:
    """Marks, m, a look at who fits where, options by Tab and Enter, and a preview of all."""
    backend.__class__ = Choosy
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "slash", *"web[135]", "enter")
        await pilot.press("g", "space", "space", "m")
        await until(pilot, lambda: isinstance(app.screen, TargetDialog) and "2 VMs" in shown(app))
        await until(pilot, lambda: "1 of 2 fit" in shown(app))
        await pilot.press("tab", "tab", "enter", "enter", "tab", "enter")
        await until(pilot, lambda: "this console" in shown(app) and "delete the old" in shown(app))
        await pilot.press("shift+tab", "shift+tab", "shift+tab", "enter")
        await until(pilot, lambda: "plan" in backend.verbs())
        (requests,) = next(args for verb, args in backend.asked if verb == "plan")
        assert {request.target for request in requests} == {"kvm2"}
        assert len(requests) == 2
        assert dict(requests[0].options) == {"mode": "managed", "remove_source": "yes"}


async def test_another_mode_asks_again_what_fits(running: Running, backend: FakeBackend) -> None:
    """The list shows what fits when this console drives, with the cursor where it was."""
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "slash", *"web1", "enter", "m")
        await until(pilot, lambda: isinstance(app.screen, TargetDialog))
        dialog = app.screen
        assert isinstance(dialog, TargetDialog)
        await pilot.press("down", "tab", "tab", "enter", "enter")
        await until(pilot, lambda: dialog.fits[0].mode == "managed")
        assert backend.asked[-1][1][3] == {"mode": "managed"}
        assert dialog._current is not None
        assert dialog._current.target == "kvm4"
        assert "Asking" not in shown(app)
