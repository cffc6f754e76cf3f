"""The first and the last line of every screen: how the fleet stands, and which keys apply."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from drivers.model.deadletter import dead_jobs, dead_operations, operation_failed_for_good
from drivers.model.host import LinkState
from drivers.model.operation import OperationState
from screens.format import ascii_only, clean, plural
from screens.render.degraded import degraded, suspicion

if TYPE_CHECKING:
    from screens.base import View

CLOCK = "%H:%M:%S"

SIMULATED = Content.styled("SIMULATED", "bold reverse $badge")
"""The mark of a make-believe fleet; it is never dropped for want of room."""


class TopLine(Horizontal):
    """Fleet, badges, hosts, recording and jobs at the left; the clock at the right."""

    DEFAULT_CSS = """
    TopLine { dock: top; height: 1; background: $panel; color: $foreground; }
    TopLine #topline { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    TopLine #clock { width: 9; height: 1; color: $faint; }
    """

    def compose(self) -> ComposeResult:
        """Two parts, so that a tick of the clock repaints nothing else."""
        yield Static(id="topline", markup=False)
        yield Static(id="clock", markup=False)

    def show(self, view: View, heading: str) -> None:
        """Show this standing; unchanged parts are not repainted."""
        self._set("#topline", standing(view, heading, self.size.width - 9))
        self._set("#clock", Content(time.strftime(CLOCK, time.localtime(view.now))))

    def _set(self, selector: str, content: Content) -> None:
        part = self.query_one(selector, Static)
        if part.content != content:
            part.update(content, layout=False)


class _Piece(NamedTuple):
    """A part of the header: the highest rank gives way first, to its short form if it has one."""

    content: Content
    rank: int
    short: Content = Content("")


def standing(view: View, heading: str, width: int) -> Content:
    """The header's text: the most important parts that fit into ``width`` cells."""
    pieces = [piece for piece in _pieces(view, heading) if piece.content.plain]
    gap = Content("  ")
    while len(pieces) > 1 and gap.join(p.content for p in pieces).cell_length > width - 2:
        at = max(range(len(pieces)), key=lambda n: pieces[n].rank)
        short = pieces[at].short
        pieces[at : at + 1] = [_Piece(short, 1)] if short.plain else []
    line = Content(" ") + gap.join(p.content for p in pieces)
    return Content(ascii_only(line.plain)) if view.ascii and not line.plain.isascii() else line


def _pieces(view: View, heading: str) -> list[_Piece]:
    """Parts of the header: what is bad stays before what is under way, that before what is."""
    paused = Content.styled("PAUSED", "bold reverse $care") if view.paused else Content("")
    only = Content.styled("problems only", "$care") if view.problems_only else Content("")
    return [
        _Piece(Content.styled(clean(view.fleet) or "NovaCron", "bold"), 6),
        _Piece(SIMULATED if view.snapshot.simulated else Content(""), 0),
        _Piece(Content.styled(heading, "bold $calm"), 3),
        _hosts(view),
        _Piece(paused, 1),
        _Piece(only, 5),
        _degraded(view),
        _Piece(_jobs(view), 4),
        _waiting(view),
        _Piece(_failed(view), 2),
        _Piece(_recording(view), 5 if view.store.warning else 6),
    ]


def _hosts(view: View) -> _Piece:
    """How many are up; those that are neither up nor down give way to what failed."""
    hosts = view.snapshot.hosts
    if view.snapshot.all_down:
        words, late = suspicion(view.snapshot), view.snapshot.late_s
        short = f"this console ran {late:.1f} s late" if view.snapshot.starved else words
        told = (Content.styled(f"all hosts down: {text}", "bold $bad") for text in (words, short))
        return _Piece(next(told), 1, next(told))
    states = [host.link.state for host in hosts]
    down = states.count(LinkState.DOWN)
    rest = len(states) - down - states.count(LinkState.UP)
    line = Content(f"hosts {states.count(LinkState.UP)}/{len(hosts)} up")
    if down:
        line += Content.styled(f" {down} down", "bold $bad")
    if not rest:
        return _Piece(line, 1)
    return _Piece(line + Content.styled(f" {rest} not ready", "$care"), 3, line)


def _jobs(view: View) -> Content:
    running = sum(not job.state.ended for job in view.jobs)
    return Content.styled(f"{plural(running, 'job')} running", "$busy") if running else Content("")


def _waiting(view: View) -> _Piece:
    """Operations that stand still until a person resumes them, as those of an ended console."""
    waits = [
        o.plan
        for o in view.operations
        if o.state is OperationState.PAUSED and not operation_failed_for_good(o)
    ]
    if not waits:
        return _Piece(Content(""), 2)
    one = f"{waits[0].kind.value} of {clean(waits[0].host)}"
    words = f"{one if len(waits) == 1 else plural(len(waits), 'operation')} paused"
    short = f"{plural(len(waits), 'operation')} paused"
    return _Piece(Content.styled(words, "$care"), 2, Content.styled(short, "$care"))


def _failed(view: View) -> Content:
    dead = len(dead_jobs(view.jobs, view.operations)) + len(dead_operations(view.operations))
    return Content.styled(f"{dead} failed for good", "$bad") if dead else Content("")


def _degraded(view: View) -> _Piece:
    """The worst of what is missing now; the list of problems on Fleet has all of it.

    Hosts that are missing are counted beside it, so their names are the first to give way. That
    something is missing is always said.
    """
    lacks = degraded(view.snapshot, view.store)
    if not lacks or view.snapshot.all_down:
        return _Piece(Content(""), 7)
    more = f" +{len(lacks) - 1}" if len(lacks) > 1 else ""
    words = Content.styled(f"DEGRADED: {lacks[0].text}{more}", "bold $bad")
    return _Piece(words, 7 if lacks[0].hosts else 3, Content.styled("DEGRADED", "bold $bad"))


def _recording(view: View) -> Content:
    store = view.store
    if store.paused:
        return Content("")
    if store.warning:
        return Content.styled(f"history: {clean(store.warning)}", "$care")
    words = {"writer": "rec", "reader": f"rec by {store.writer_pid or 'another'}"}
    return Content.styled(words.get(store.role, "rec off"), "$faint")


ALWAYS = ("app.help", "app.quit")
"""Keys that stay in the last line, however narrow it is."""


class KeyLine(Static):
    """The keys that matter most here, then the command line, the help and the way out.

    Args:
        wanted: As ``FleetScreen.footer``.
    """

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; color: $foreground;
              text-wrap: nowrap; text-overflow: ellipsis; padding: 0 1; }
    """

    def __init__(self, wanted: Sequence[str]) -> None:
        super().__init__(markup=False)
        self._wanted = (*wanted, "app.command", *ALWAYS)

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self._follow(self.screen)

    def _follow(self, screen: Screen[object]) -> None:
        if not self.is_attached:
            return
        known: dict[str | None, Binding] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if enabled:
                known.setdefault(binding.id, binding)
        words = []
        for entry in self._wanted:
            ident, _, label = entry.partition("=")
            if (found := known.get(ident)) is not None:
                key = Content.styled(self.app.get_key_display(found), "bold $calm")
                words.append(key + Content(f" {label or found.description}"))
        line = key_line(words, self.app.size.width - 2)
        if line != self.content:
            self.update(line, layout=False)

    def on_resize(self) -> None:
        """Other keys fit."""
        self._follow(self.screen)


def key_line(words: Sequence[Content], width: int) -> Content:
    """As many keys as fit, from the left; the last two, help and quit, are always among them."""
    gap, last = Content("  "), len(ALWAYS)
    words = list(words)
    while len(words) > last and gap.join(words).cell_length > width:
        del words[-last - 1]
    return gap.join(words)
