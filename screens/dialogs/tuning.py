"""How a migration is carried out: a profile, and every option beyond where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label

from screens.dialogs.cycle import Cycle
from screens.dialogs.dialog import Dialog
from screens.format import clean
from screens.prose import DIM, Prose, para

Options = tuple[tuple[str, str], ...]

_YES = (("", "no"), ("yes", "yes"))


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of a few values; the first is the default."""

    option: str
    words: str
    values: tuple[tuple[str, str], ...] = _YES


@dataclass(frozen=True, slots=True)
class _Field:
    """Something to type; ``number`` where only digits are taken."""

    option: str
    words: str
    hint: str = ""
    number: bool = True


_ROWS: tuple[tuple[_Choice | _Field, ...], ...] = (
    (_Field("downtime_ms", "Pause allowed, ms", "300"),
     _Field("longest_downtime_ms", "raised up to, ms", "as allowed")),
    (_Choice("auto_converge", "Slow the guest"), _Choice("post_copy", "Post-copy")),
    (_Choice("compression", "Compress", (("", "no"), ("xbzrle", "xbzrle"), ("mt", "mt"),
                                         ("zlib", "zlib"), ("zstd", "zstd"))),
     _Field("compression_level", "level", "its own"), _Field("parallel", "connections", "1")),
    (_Field("migrate_uri", "Send memory to", "the host's own address", number=False),
     _Choice("tunnelled", "Tunnel")),
    (_Choice("persist", "Define there", (("", "as here"), ("yes", "yes"), ("no", "no"))),
     _Choice("keep_source", "Keep the definition here")),
    (_Choice("incremental", "Copied disks", (("", "whole"), ("yes", "top only"))),
     _Choice("carry_on", "At a disk error", (("", "end it"), ("yes", "go on")))),
    (_Field("timeout_s", "Time limit, s", "none"),
     _Choice("at_timeout", "then", (("", "cancel"), ("pause", "pause the guest"),
                                    ("post-copy", "post-copy")))),
    (_Field("finish_s", "Promise to end in, s", "none"),
     _Field("levers", "by", "bandwidth,downtime,...", number=False)),
)  # fmt: skip
"""The form, a line each: two or three of them side by side fit 80 columns."""

_LEAVE = "leave"


class TuningDialog(Dialog[Options]):
    """Dismisses the options that differ from the defaults, or None.

    Args:
        chosen: What was chosen before.
        profiles: Name to the options of each profile of the fleet file.
        lacking: (option or method, reason) of what the two hosts cannot do.
    """

    AUTO_FOCUS = "Cycle, Input"

    def __init__(
        self,
        chosen: Options,
        profiles: Mapping[str, Mapping[str, str]],
        lacking: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__("How is it migrated?")
        self._chosen = dict(chosen)
        self._profiles = profiles
        self._lacking = dict(lacking)

    def compose_body(self) -> ComposeResult:
        """What these hosts lack, and why."""
        told = [
            para(f"{name.replace('_', '-')}: {clean(why)}", DIM, label="Not here: ")
            for name, why in self._lacking.items()
        ]
        yield Prose(told or [para("These hosts can do all of it.", DIM)])

    def compose_form(self) -> ComposeResult:
        """A profile first: it fills what follows."""
        names = tuple((name, clean(name)) for name in self._profiles)
        with Horizontal(classes="row"):
            yield Cycle("Profile", ((_LEAVE, "none"), *names), id="profile")
        for row in _ROWS:
            with Horizontal(classes="row"):
                for item in row:
                    yield from self._widgets(item)

    def _widgets(self, item: _Choice | _Field) -> ComposeResult:
        now = self._chosen.get(item.option, "")
        if isinstance(item, _Choice):
            usable = tuple(v for v in item.values if v[0] not in self._lacking)
            cycle = Cycle(item.words, usable, id=item.option)
            cycle.choose(now)
            cycle.disabled = item.option in self._lacking
            yield cycle
            return
        yield Label(f"{item.words}:")
        kind = "integer" if item.number else "text"
        box = Input(now, id=item.option, type=kind, placeholder=item.hint, max_length=64)  # type: ignore[arg-type]
        box.disabled = item.option in self._lacking
        yield box

    def compose_buttons(self) -> ComposeResult:
        """Cancel, or take it."""
        yield from super().compose_buttons()
        yield Button("Take", id="go", compact=True, variant="primary")

    @on(Cycle.Changed)
    def _fill(self, event: Cycle.Changed) -> None:
        """A profile fills the form; what it leaves open goes back to its default."""
        event.stop()
        profile = self.query_one("#profile", Cycle)
        if event.cycle is not profile:
            return
        given = self._profiles.get(profile.value, {})
        for item in (item for row in _ROWS for item in row):
            if isinstance(item, _Choice):
                self.query_one(f"#{item.option}", Cycle).choose(given.get(item.option, ""))
            else:
                self.query_one(f"#{item.option}", Input).value = given.get(item.option, "")

    @property
    def options(self) -> Options:
        """What differs from the defaults: (option, value)."""
        profile = self._profiles.get(self.query_one("#profile", Cycle).value, {})
        kept = {name: profile[name] for name in ("mode", "bandwidth_mib") if name in profile}
        for item in (item for row in _ROWS for item in row):
            if isinstance(item, _Choice):
                kept[item.option] = self.query_one(f"#{item.option}", Cycle).value
            else:
                kept[item.option] = self.query_one(f"#{item.option}", Input).value.strip()
        return tuple((name, value) for name, value in kept.items() if value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.accept()

    def accept(self) -> None:
        """Dismiss with what is set."""
        self.dismiss(self.options)
