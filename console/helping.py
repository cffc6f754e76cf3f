"""Entries of the help, of the settings and of the question before leaving, from what there is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.app import App
from textual.screen import Screen
from textual.theme import Theme

from console.commands import COMMANDS
from drivers.model.job import Job
from screens.dialogs.confirm import ConfirmDialog
from screens.format import plural
from screens.prose import para
from screens.render.help import FILTER_HELP, KeyHelp
from screens.settings import Choice
from screens.table import LineTable

LAST_S = 3.0
"""Seconds an interface whose terminal went away has to end by itself."""


def help_entries(screen: Screen[Any]) -> tuple[KeyHelp, ...]:
    """Every binding that applies on ``screen`` now, every command, and the filter's grammar."""
    keys: dict[tuple[str, str, str], list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id and binding.description:
            section = _section(active.node)
            entry = (section, binding.tooltip or binding.description, binding.id)
            keys.setdefault(entry, []).append(screen.app.get_key_display(binding))
    bound = [KeyHelp(where, " ".join(k), text, ident) for (where, text, ident), k in keys.items()]
    letters = [
        KeyHelp("Lists", column.letter, f"Sort by {column.title}, again the other way round")
        for table in screen.query(LineTable)
        for column in table.columns
        if column.letter and table.has_focus
    ]
    commands = [KeyHelp("Commands", command.usage, command.help) for command in COMMANDS]
    return (*bound, *letters, *commands, *FILTER_HELP)


def _section(node: object) -> str:
    if isinstance(node, App):
        return "Everywhere"
    return "Lists" if isinstance(node, LineTable) else "This screen"


_THEME_WORDS = {
    "novacron-dark": "calm colours on dark",
    "novacron-light": "for bright rooms",
    "novacron-contrast": "strongest contrast",
    "novacron-16": "the terminal's own sixteen colours",
}


def choices(
    themes: Iterable[Theme], current: str, ascii_only: bool, keys: Mapping[str, str]
) -> tuple[Choice, ...]:
    """What the settings offer, and the keys the configuration changed."""
    return (
        *(Choice("theme", t.name, _THEME_WORDS.get(t.name, ""), t.name == current) for t in themes),
        Choice("ascii", "off", "blocks, lines and arrows", not ascii_only),
        Choice("ascii", "on", "every screen in plain ASCII", ascii_only),
        *(Choice("key", ident, f"on {key}, by the configuration") for ident, key in keys.items()),
    )


def leave(app: App[Any], jobs: Iterable[Job]) -> None:
    """Quit; with jobs running, ask first."""
    running = [job for job in jobs if not job.state.ended]

    def decided(sure: bool | None) -> None:
        if sure:
            app.exit()

    if running:
        app.push_screen(leaving_dialog(running), decided)
    else:
        app.exit()


def leaving_dialog(running: Sequence[Job]) -> ConfirmDialog:
    """Asks before leaving while jobs run, and says what becomes of them."""
    told = (
        "Peer-to-peer migrations and copies of disks go on in the hosts. A migration that this "
        "console manages is ended; the VM stays where it is. What is open then is taken up again "
        "at the next start, from the journal."
    )
    lines = [para(job.plan.title or job.plan.vm_name, "bold") for job in running[:5]]
    title = f"Leave with {plural(len(running), 'job')} running?"
    return ConfirmDialog(title, [*lines, para(told)], yes="Leave", no="Stay")


def last_resort(stop: Callable[[], None]) -> None:
    """End the process after ``LAST_S`` even if the interface cannot end itself.

    Writing to a terminal that is gone may block for ever; jobs are safe in their journal.
    """

    def end() -> None:
        stop()
        os._exit(128 + signal.SIGHUP)

    timer = threading.Timer(LAST_S, end)
    timer.daemon = True
    timer.start()


def save_picture(app: App[Any], folder: Path, now: float) -> str:
    """Save what the screen shows as an SVG picture; returns its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = time.strftime("novacron-%Y%m%d-%H%M%S.svg", time.localtime(now))
    return app.save_screenshot(name, str(folder))
