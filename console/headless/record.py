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
    engine.start(_log)
    print(f"recording to {context.database}", flush=True)
    ending.wait()
    engine.stop()
    return Exit.OK


def _log(news: News) -> None:
    if isinstance(news, StoreReady):
        status = news.status
        words = status.paused or status.warning
        print(f"{_stamp()} history: {status.role}{f': {words}' if words else ''}", flush=True)
    elif isinstance(news, EventsReady):
        for event in news.events:
            if event.kind in (EventKind.CONNECTION, EventKind.STORE):
                out = sys.stdout if event.severity is Severity.INFO else sys.stderr
                print(f"{_stamp()} {event.host}: {event.text}", file=out, flush=True)


def _stamp() -> str:
    return time.strftime(STAMP)
