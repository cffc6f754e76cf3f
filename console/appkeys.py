"""Keys of every screen."""

from __future__ import annotations

from textual.binding import BindingType

from console.commands import VIEWS
from screens.binding import bind


def _named(view: str) -> str:
    return "VMs" if view == "vms" else view.title()


APP_KEYS: list[BindingType] = [
    bind("app.command", "colon", "command_line", "Command", "Type a command"),
    bind("app.help", "question_mark", "help", "Help", "All keys that apply here"),
    *(
        bind(f"app.view-{n}", str(n), f"view('{view}')", _named(view), f"Go to {_named(view)}")
        for n, view in enumerate(VIEWS, 1)
    ),
    bind("app.older", "left_square_bracket", "step(-1)", "Back", "The place before"),
    bind("app.newer", "right_square_bracket", "step(1)", "Forward", "The place after"),
    bind("app.last", "minus", "last", "Last", "Back to the last other place"),
    bind("app.problems", "ctrl+z", "problems", "Problems", "Only what wants attention"),
    bind("app.pause", "Z", "pause", "Pause", "Stop or resume reading the hosts"),
    bind("app.refresh", "ctrl+r", "refresh_hosts", "Refresh", "Read all hosts again now"),
    bind("app.save", "ctrl+s,f2", "save", "Save", "Save this screen as an SVG picture"),
    bind("app.quit", "q,ctrl+c", "leave", "Quit", "Leave the console"),
]
