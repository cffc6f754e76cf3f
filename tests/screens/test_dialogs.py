"""Dialogs: what they show, what they default to, and what they hand back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList

from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.job import Action, Check, Confirm, TargetFit, Verdict
from drivers.model.storage import Volume
from screens.dialogs.action_menu import ActionMenu
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.delete import DeleteDialog
from screens.dialogs.disk import DiskDialog
from screens.dialogs.followup import FollowupDialog
from screens.dialogs.host_key import HostKeyDialog
from screens.dialogs.pick import PickDialog
from screens.dialogs.preview import PreviewDialog
from screens.dialogs.secret import SecretDialog
from screens.dialogs.target import TargetDialog
from tests.screens.stage import (
    DB,
    WEB,
    Stage,
    fits,
    fleet,
    jobs,
    plan,
    refused,
    shown_text,
    volume,
    web,
)

SIZE = (80, 24)
UNKNOWN = HostKeyQuestion(
    "q1", "kvm1", "kvm1:22", "ssh-ed25519", "SHA256:new", (), "/root/.ssh/known_hosts"
)
CHANGED = replace(UNKNOWN, known=("SHA256:old",))
CODES = SecretQuestion(
    "q2", "kvm1", "Two factors for root@kvm1", "Hello.", (("Password: ", False), ("Code: ", True))
)


def volumes() -> tuple[Volume, ...]:
    return (
        volume("hot", "web1.qcow2", "kvm1", 1 << 30, WEB),
        volume("hot", "shared.qcow2", "kvm1", 1 << 30, WEB, DB),
        volume("hot", "more.qcow2", "kvm1", 1 << 30, WEB),
    )


def every_dialog() -> list[ModalScreen[object]]:
    return [
        PreviewDialog((plan(),)),
        PreviewDialog((plan(confirm=Confirm.TYPED),)),
        PreviewDialog((plan(), refused())),
        PreviewDialog(tuple(plan(id=str(n), confirm=Confirm.TYPED) for n in range(40))),
        TargetDialog(web(), Action.MIGRATE, fits()),
        DiskDialog(web()),
        DeleteDialog(web(), volumes()),
        HostKeyDialog(UNKNOWN),
        HostKeyDialog(CHANGED),
        SecretDialog(CODES),
        ActionMenu((web(),), fleet()),
        FollowupDialog(jobs()[1]),
        ConfirmDialog.for_stopping(jobs()[0]),
        PickDialog("Which?", [("a", "one"), ("b", "two")]),
    ]


@pytest.mark.parametrize("number", range(len(every_dialog())))
async def test_escape_means_no_and_everything_fits_80x24(number: int) -> None:
    """Every dialog shows its buttons inside 80x24, and Esc closes it with nothing decided."""
    app = Stage(every_dialog()[number])
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        screen = app.screen.region
        for widget in (*app.screen.query(Button), *app.screen.query(Input)):
            assert widget.region.height == 1
            assert screen.contains_region(widget.region), widget
        await pilot.press("escape")
        await pilot.pause()
        assert app.result in (None, KeyDecision.REFUSE)


@pytest.mark.parametrize("rows", [24, 30, 40, 50, 80])
async def test_buttons_lie_inside_the_frame_of_a_long_preview(rows: int) -> None:
    """However high the window is, a text longer than it gives way to the buttons."""
    checks = tuple(Check(f"check {n}", Verdict.OK, "fine", "proof") for n in range(60))
    app = Stage(PreviewDialog((plan(checks=checks),)))
    async with app.run_test(size=(132, rows)) as pilot:
        await pilot.pause()
        frame = app.screen.query_one("#frame")
        for button in app.screen.query(Button):
            assert frame.content_region.contains_region(button.region), frame.region


@pytest.mark.parametrize(
    "dialog",
    [
        lambda: PreviewDialog((plan(),)),
        lambda: PreviewDialog((plan(), refused())),
        lambda: DeleteDialog(web(), volumes()),
        lambda: HostKeyDialog(UNKNOWN),
        lambda: HostKeyDialog(CHANGED),
        lambda: ConfirmDialog.for_stopping(jobs()[0]),
    ],
)
async def test_enter_at_once_does_nothing(dialog: object) -> None:
    """Whoever presses Enter without looking has cancelled: Cancel has the focus."""
    app = Stage(dialog())  # type: ignore[operator]
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert app.result in (None, KeyDecision.REFUSE)


async def test_preview_shows_plan_checks_and_virsh_lines() -> None:
    """The preview tells effects, verdicts as words, steps and the same as virsh lines."""
    app = Stage(PreviewDialog((plan(),)))
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        text = shown_text(app)
        for words in ("Unsaved data in the guest is lost.", "warn", "not tested", "ok",
                      "press Ctrl-r and look again", "1. Pull the plug of web1",
                      "$ virsh -c qemu+ssh://root@kvm1/system destroy"):  # fmt: skip
            assert words in text
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert app.result is True


@pytest.mark.parametrize(
    ("label", "shown"),
    [("Finish: delete the old copy",) * 2, ("Take over",) * 2, ("", "Move disk")],
)
async def test_the_run_button_says_what_it_does(label: str, shown: str) -> None:
    """What a recovery's plan is called; else the name of the action."""
    app = Stage(PreviewDialog((plan(Action.TIER, label=label),)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert str(app.screen.query_one("#run", Button).label) == shown
        assert shown in shown_text(app)


async def test_what_cannot_be_undone_needs_the_name() -> None:
    """The button stays shut until exactly the VM's name is typed."""
    app = Stage(PreviewDialog((plan(Action.DELETE, confirm=Confirm.TYPED),)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        run = app.screen.query_one("#run", Button)
        assert run.disabled
        app.screen.query_one("#typed", Input).focus()
        await pilot.press(*"web", "enter")
        assert run.disabled
        await pilot.press("1")
        assert not run.disabled
        await pilot.press("enter")
        assert app.result == "still open"
        await pilot.press("enter")
        await pilot.pause()
        assert app.result is True


async def test_a_name_that_cannot_be_typed_gives_way_to_the_uuid() -> None:
    """A name of control characters alone is confirmed by the head of the UUID."""
    app = Stage(PreviewDialog((plan(vm_name="\x1b\x07", confirm=Confirm.TYPED),)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "Type 11111111 to confirm" in shown_text(app)


async def test_a_refused_plan_can_only_be_read() -> None:
    """A refusal says what, why and what to do; there is no button that runs it."""
    app = Stage(PreviewDialog((refused(),)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        text = shown_text(app)
        assert "kvm1 is read-only" in text
        assert "set protect to confirm or rw" in text
        assert not app.screen.query("#run")


async def test_bulk_preview_counts_what_runs_and_what_does_not() -> None:
    """Many plans are summed up, refusals with their reason."""
    app = Stage(PreviewDialog((plan(), refused())))
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        text = shown_text(app)
        assert "1 VM of 2 will be acted on" in text
        assert "1 VM left alone" in text
        assert "kvm1 is read-only" in text


async def test_bulk_that_cannot_be_undone_needs_action_and_number() -> None:
    """Deleting three VMs is confirmed by ``delete 3``, not by one name."""
    three = tuple(plan(Action.DELETE, id=str(n), confirm=Confirm.TYPED) for n in range(3))
    app = Stage(PreviewDialog(three))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "Type delete 3 to confirm" in shown_text(app)


async def test_targets_say_why_not_and_refuse_what_does_not_fit() -> None:
    """Hosts that fit come first; one that does not is refused with its reason."""
    app = Stage(TargetDialog(web(), Action.MIGRATE, fits()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        text = shown_text(app)
        assert text.index("kvm2") < text.index("kvm5") < text.index("kvm4")
        assert "lacks avx512f" in text
        assert "if this console dies, the migration goes on" in " ".join(
            text.replace("│", " ").split()
        )
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert app.result == "still open"
        assert "give web1 the model Haswell" in shown_text(app)
        await pilot.press("up", "enter")
        await pilot.pause()
        assert app.result == ("kvm5", ())


async def test_target_with_a_bandwidth_limit() -> None:
    """A typed limit comes back as an option; letters do not get in."""
    app = Stage(TargetDialog(web(), Action.MIGRATE, fits()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("tab", *"1x00", "enter")
        await pilot.pause()
        assert app.result == ("kvm2", (("bandwidth_mib", "100"),))


async def test_no_target_at_all() -> None:
    """Without candidates the dialog says so and offers nothing."""
    app = Stage(TargetDialog(web(), Action.MIGRATE, ()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "There is no other host" in shown_text(app)
        assert app.screen.query_one("#go", Button).disabled


async def test_only_disks_that_can_move_are_offered() -> None:
    """A cdrom is listed with the reason and cannot be chosen."""
    app = Stage(DiskDialog(web()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "no: no medium" in shown_text(app)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert app.result == "vdb"


async def test_deleting_keeps_disks_unless_chosen() -> None:
    """Nothing is chosen at first; a disk that another VM uses cannot be."""
    app = Stage(DeleteDialog(web(), volumes()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "DELETE " not in shown_text(app).replace("into DELETE", "")
        assert "1 other VM too" in shown_text(app)
        app.screen.query_one("#volumes", OptionList).focus()
        await pilot.press("down", "space")
        await pilot.pause()
        app.screen.query_one("#go", Button).focus()
        await pilot.press("enter")
        await pilot.pause()
        assert app.result in (("/pools/hot/web1.qcow2",), ("/pools/hot/more.qcow2",))


async def test_unknown_host_key() -> None:
    """Fingerprint, algorithm and address are shown; remembering takes two deliberate keys."""
    app = Stage(HostKeyDialog(UNKNOWN))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        text = shown_text(app)
        for words in ("kvm1:22", "ssh-ed25519", "SHA256:new", "known_hosts"):
            assert words in text
        await pilot.press("tab", "tab", "enter")
        await pilot.pause()
        assert app.result is KeyDecision.REMEMBER


async def test_changed_host_key_needs_the_host_typed() -> None:
    """Old and new fingerprints stand side by side, and nothing is accepted untyped."""
    app = Stage(HostKeyDialog(CHANGED))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        text = shown_text(app)
        assert "THE HOST KEY HAS CHANGED" in text
        assert "SHA256:new" in text
        assert "SHA256:old" in text
        assert app.screen.query_one("#once", Button).disabled
        app.screen.query_one("#typed", Input).focus()
        await pilot.press(*"kvm1", "tab", "tab", "enter")
        await pilot.pause()
        assert app.result is KeyDecision.ONCE


async def test_secrets_are_hidden_and_handed_over_once() -> None:
    """A password never shows; Enter goes from field to field and then sends."""
    app = Stage(SecretDialog(CODES))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*"s3cret")
        assert "s3cret" not in shown_text(app)
        await pilot.press("enter", *"424242")
        assert "424242" in shown_text(app)
        fields = list(app.screen.query(Input))
        await pilot.press("enter")
        await pilot.pause()
        assert app.result == ("s3cret", "424242")
        assert [field.value for field in fields] == ["", ""]


async def test_action_menu_bars_what_makes_no_sense() -> None:
    """A running VM is not offered a start; a letter chooses; a read-only host offers nothing."""
    app = Stage(ActionMenu((web(),), fleet()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "no: it is running" in shown_text(app)
        await pilot.press("s")
        assert app.result == "still open"
        await pilot.press("d")
        await pilot.pause()
        assert app.result is Action.SHUTDOWN


async def test_action_menu_of_a_read_only_host() -> None:
    """Every line says that the host is read-only."""
    mail = fleet().hosts[1].vms[0]
    app = Stage(ActionMenu((mail,), fleet()))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert shown_text(app).count("kvm2 is read-only") == 12


async def test_each_action_for_many_vms_is_one_line() -> None:
    """At 80 columns no words go on in a line of their own."""
    app = Stage(ActionMenu((web(), *(web(name=f"web{n}") for n in range(1200))), fleet()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        menu = app.screen.query_one(OptionList)
        assert menu.virtual_size.height == menu.option_count


async def test_followups_of_an_interrupted_job() -> None:
    """What an ended job offers is listed with what it means."""
    app = Stage(FollowupDialog(jobs()[2]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "the copy in cold is incomplete" in shown_text(app)
        await pilot.press("u")
        await pilot.pause()
        assert app.result == "undo"


async def test_what_is_typed_in_a_short_list_chooses_as_in_a_long_one() -> None:
    """A name is found as a whole, also where it begins with a letter that moves elsewhere."""
    names = ("kvm1", "vm web1 on kvm2", "kvm2", "job", "kvm20")
    app = Stage(PickDialog("Which?", [(name, name) for name in names]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        picked = app.screen.query_one(OptionList)
        for typed, line in (("kvm2", 2), ("0", 4), ("web", 1), ("job", 3), ("k", 0)):
            await pilot.press(*typed)
            await pilot.pause()
            assert picked.highlighted == line, typed
        await pilot.press("down", *"kvm20", "enter")
        await pilot.pause()
        assert app.result == "kvm20"


async def test_hostile_target_names() -> None:
    """Names with markup and control characters are shown as text."""
    bad = (TargetFit("[red]\x1b[2Jx", True, "p2p", ()),)
    app = Stage(TargetDialog(web(name="[b]\x07web"), Action.MIGRATE, bad))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "[red][2Jx" in shown_text(app)
        assert "[b]web" in shown_text(app)
