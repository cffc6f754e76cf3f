"""Questions on a terminal, for verbs that run without the interface."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable
from typing import TypeVar

from drivers.lane import Lane
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion

T = TypeVar("T")

PATIENCE_S = 300.0


class TerminalPrompter:
    """Asks on the terminal, one question at a time; refuses everything when there is none."""

    def __init__(self) -> None:
        self._lane = Lane("terminal", PATIENCE_S)
        self._turn = asyncio.Lock()

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        """Show the fingerprint, old and new, and take ``once``, ``always`` or nothing."""
        return await self._ask(lambda: _ask_key(question), KeyDecision.REFUSE)

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        """Ask each field, hidden unless the server wants it echoed."""
        return await self._ask(lambda: _ask_secret(question), None)

    async def _ask(self, ask: Callable[[], T], otherwise: T) -> T:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return otherwise
        async with self._turn:
            try:
                return await self._lane.run(ask)
            except (EOFError, OSError):
                return otherwise


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _ask_key(question: HostKeyQuestion) -> KeyDecision:
    if question.changed:
        _say(f"WARNING: the host key of {question.address} has CHANGED.")
        for known in question.known:
            _say(f"  on record: {known}")
        _say("Somebody may be in the middle, or the host was installed anew.")
    else:
        _say(f"The host key of {question.address} is not known.")
    _say(f"  offered now: {question.fingerprint} ({question.algorithm})")
    _say("Trust it? Type `once`, `always` (kept in known_hosts), or anything else to refuse.")
    answer = input().strip().lower()
    return {"once": KeyDecision.ONCE, "always": KeyDecision.REMEMBER}.get(
        answer, KeyDecision.REFUSE
    )


def _ask_secret(question: SecretQuestion) -> tuple[str, ...] | None:
    _say(question.title)
    if question.text:
        _say(question.text)
    answers: list[str] = []
    for prompt, echo in question.fields:
        if echo:
            print(prompt, end=" ", file=sys.stderr, flush=True)
            answers.append(input())
        else:
            answers.append(getpass.getpass(f"{prompt} "))
    return tuple(answers)
