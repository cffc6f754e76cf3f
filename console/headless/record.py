"""``novacron record``: keep the history without an interface."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType

from console.backend import EventsReady, News, StoreReady
from console.engine import Engine
from console.headless.context import Context
from console.headless.prompter import TerminalPrompter
from console.headless.status import Exit
from drivers.model.event import EventKind, Severity

STAMP = "%Y-%m-%d %H:%M:%S"


def run_record(context: Context) -> int:
    """Record until SIGTERM or SIGINT, with one log line for whatever changes."""
    ending = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ending.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    engine = Engine(
        context.source(),
        store=context.open_store,
        prompter=TerminalPrompter(),
        interval_s=context.fleet.history.interval,
    )
    engine.start(Log().take)
    print(f"recording to {context.database}", flush=True)
    ending.wait()
    engine.stop()
    return Exit.OK


class Log:
    """One line for each change; the store tells of itself far more often than it changes."""

    def __init__(self) -> None:
        self._history = ""

    def take(self, news: News) -> None:
        """Print what an operator wants to find in the journal."""
        if isinstance(news, StoreReady):
            words = news.status.paused or news.status.warning
            history = f"{news.status.role}{f': {words}' if words else ''}"
            if history != self._history:
                print(f"{_stamp()} history: {history}", flush=True)
            self._history = history
        elif isinstance(news, EventsReady):
            for event in news.events:
                if event.kind in (EventKind.CONNECTION, EventKind.STORE):
                    out = sys.stdout if event.severity is Severity.INFO else sys.stderr
                    print(f"{_stamp()} {event.host}: {event.text}", file=out, flush=True)


def _stamp() -> str:
    return time.strftime(STAMP)
