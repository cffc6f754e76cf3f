"""Where a VM or a disk could go: every candidate, whether it fits, and why not."""

from __future__ import annotations

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Button, Input, Label, OptionList
from textual.widgets.option_list import Option

from drivers.model.job import Action, TargetFit, Verdict
from drivers.model.vm import Vm
from screens.dialogs.cycle import Cycle
from screens.dialogs.dialog import Dialog
from screens.dialogs.tuning import TuningDialog
from screens.format import clean, fit
from screens.messages import FitsRequested
from screens.prose import BAD, DIM, GOOD, WARN, Prose, para
from screens.render_plan import fit_text

_WAYS = {
    True: (
        ("mode", "Driven by", (("", "auto"), ("p2p", "the hosts (p2p)"),
                               ("managed", "this console"), ("offline", "nobody (off)"))),
        ("remove_source", "Copied disks", (("", "keep the old"),
                                           ("yes", "delete the old"))),
    ),
    False: (("keep_old", "Old volume", (("", "delete at the end"), ("yes", "keep"))),),
}  # fmt: skip
"""Ways to migrate (True) or to move a disk: option, its words, its values; empty is the default."""

_WHEN = {"live": "while it runs", "cold": "while it is off"}
"""How a disk is moved, in words that no tier has."""

Answer = tuple[str, tuple[tuple[str, str], ...]]


class TargetDialog(Dialog[Answer]):
    """Dismisses (target, options) or None; a target that does not fit cannot be chosen.

    The options, each only where it differs from the default, are ``bandwidth_mib`` (MiB a second);
    for a migration ``mode`` (``p2p``, ``managed`` or ``offline``), ``remove_source`` (``yes``) and
    what ``TuningDialog`` adds; for a tier move ``keep_old`` (``yes``). At another mode it asks by
    ``FitsRequested`` what fits now; the answer is set as ``fits``.

    Args:
        vm: The VM, or the first of several.
        fits: What is known already; None while it is still being asked.
        count: How many VMs go there together.
        profiles: Migration profiles of the fleet file, name to options.
    """

    AUTO_FOCUS = "#targets"

    fits: reactive[tuple[TargetFit, ...]] = reactive((), init=False, always_update=True)
    """The targets in the order listed; set again when another mode was asked about."""

    def __init__(
        self,
        vm: Vm,
        action: Action,
        fits: tuple[TargetFit, ...] | None,
        *,
        count: int = 1,
        profiles: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        verb = "Migrate" if action is Action.MIGRATE else "Move a disk of"
        what = clean(vm.name) if count == 1 else f"{'each of ' * (verb != 'Migrate')}{count} VMs"
        super().__init__(f"{verb} {what}: where to?")
        self._action = action
        self._profiles = profiles or {}
        self._more: tuple[tuple[str, str], ...] = ()
        self.set_reactive(TargetDialog.fits, self.validate_fits(fits or ()))
        self.waiting = fits is None
        """What fits is still being asked."""

    def validate_fits(self, fits: tuple[TargetFit, ...]) -> tuple[TargetFit, ...]:
        """What fits first."""
        return tuple(sorted(fits, key=lambda item: not item.fits))

    def watch_fits(self, before: tuple[TargetFit, ...], _after: tuple[TargetFit, ...]) -> None:
        """List them anew; the cursor stays on its target."""
        if self.is_mounted and self.is_attached:
            self._list(before)

    def take(self, fits: tuple[TargetFit, ...], options: tuple[tuple[str, str], ...]) -> None:
        """What fits with those options; too late when others are chosen by now."""
        if options == self.options:
            self.waiting = False
            self.fits = fits

    def on_mount(self) -> None:
        """List what is known so far."""
        self._list(())

    def _list(self, before: tuple[TargetFit, ...]) -> None:
        targets = self.query_one("#targets", OptionList)
        at = targets.highlighted
        name = before[at].target if at is not None and at < len(before) else ""
        targets.clear_options()
        targets.add_options([self._option(item) for item in self.fits])
        places = [n for n, item in enumerate(self.fits) if item.target == name]
        targets.highlighted = places[0] if places else 0 if self.fits else None
        self.query_one("#go", Button).disabled = not any(item.fits for item in self.fits)
        self._explain()

    def compose_body(self) -> ComposeResult:
        """The list, then what speaks for and against the line under the cursor."""
        yield OptionList(id="targets")
        with VerticalScroll(id="reasons", can_focus=False):
            yield Prose(id="why")

    def _option(self, item: TargetFit) -> Option:
        warnings = sum(check.verdict is Verdict.WARN for check in item.reasons)
        blocked = next((c.text for c in item.reasons if c.verdict is Verdict.BLOCKED), "")
        line = Content(f" {fit(clean(item.target), 24, plain=self.plain)} ")
        if not item.fits:
            room = max(2, self.room - line.cell_length)
            told = fit(f"NO  {clean(blocked)}", room, plain=self.plain)
            return Option(line + Content.styled(told, BAD))
        word = f"fits, {warnings} to note" if warnings else "fits"
        line += Content.styled(fit(word, 18), WARN if warnings else GOOD)
        way = _WHEN.get(item.mode, item.mode) if self._action is Action.TIER else item.mode
        return Option(line + Content.styled(clean(way), DIM))

    def compose_form(self) -> ComposeResult:
        """The bandwidth limit, and how it is done."""
        with Horizontal(classes="field"):
            yield Label("Limit, MiB/s (empty for none):")
            yield Input(id="bandwidth", type="integer", max_length=7, placeholder="none")
        with Horizontal(id="ways"):
            for ident, name, values in _WAYS[self._action is Action.MIGRATE]:
                yield Cycle(name, values, id=ident)

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then on to the preview."""
        yield from super().compose_buttons()
        if self._action is Action.MIGRATE:
            yield Button("Options", id="more", compact=True)
        none = not any(item.fits for item in self.fits)
        yield Button("Preview", id="go", compact=True, variant="primary", disabled=none)

    @property
    def _current(self) -> TargetFit | None:
        place = self.query_one("#targets", OptionList).highlighted
        return self.fits[place] if place is not None and place < len(self.fits) else None

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """What differs from the defaults: (option, value)."""
        if not self.is_mounted or not self.is_attached:
            return ()
        limit = self.query_one("#bandwidth", Input).value.strip()
        own = [("bandwidth_mib", limit), *((way.id, way.value) for way in self.query(Cycle))]
        chosen = dict(self._more) | {str(name): value for name, value in own if value}
        return tuple(chosen.items())

    def choose(self, button: str) -> None:
        """On to the preview, or to the options first."""
        if button != "more":
            super().choose(button)
            return
        lacking = self._current.lacking if self._current else ()
        dialog = TuningDialog(self._more, self._profiles, lacking)
        self.app.push_screen(dialog, self._tuned)

    def _tuned(self, options: tuple[tuple[str, str], ...] | None) -> None:
        if options is None:
            return
        self._more = options
        count = f" ({len(options)})" if options else ""
        more = self.query_one("#more", Button)
        more.label = f"Options{count}"
        more.refresh(layout=True)
        self._asked_again()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._explain()

    def _explain(self) -> None:
        told = fit_text(self._current)
        if self.waiting:
            told = [para("Asking the hosts what fits...", DIM), *told]
        elif not self.fits:
            what = "other host" if self._action is Action.MIGRATE else "other pool"
            told = [para(f"There is no {what} in this fleet.")]
        self.query_one("#why", Prose).paras = tuple(told)
        self.query_one("#reasons", VerticalScroll).scroll_home(animate=False)

    @on(Cycle.Changed)
    def _ask_again(self, event: Cycle.Changed) -> None:
        """What fits may depend on who drives the migration."""
        event.stop()
        self._asked_again()

    def _asked_again(self) -> None:
        if self._action is Action.MIGRATE:
            self.waiting = True
            self._explain()
            self.post_message(FitsRequested(self.options))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.accept()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.accept()

    def accept(self) -> None:
        """Dismiss with the line under the cursor, or say why it cannot be."""
        current = self._current
        if current is None:
            return
        if not current.fits:
            reasons = [check for check in current.reasons if check.verdict is Verdict.BLOCKED]
            why = reasons[0].text if reasons else "it does not fit"
            self.notify(f"{clean(current.target)}: {clean(why)}", severity="error", markup=False)
            return
        self.dismiss((current.target, self.options))

    def action_scroll(self, direction: int) -> None:
        """Scroll the reasons; the list keeps its own keys."""
        self.query_one("#reasons", VerticalScroll).scroll_relative(y=direction, animate=False)

    def action_page(self, direction: int) -> None:
        """Scroll the reasons by a page."""
        reasons = self.query_one("#reasons", VerticalScroll)
        reasons.scroll_relative(y=direction * max(1, reasons.size.height - 1), animate=False)
