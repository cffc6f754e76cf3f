"""The desk where drivers leave questions and a person's answers come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from console.backend import News, QuestionAsked, QuestionSettled
from drivers.model.ask import HostKeyQuestion, KeyDecision, Question, SecretQuestion
from drivers.protocol import Prompter

T = TypeVar("T")


class WaitingPrompter:
    """A host's questions, with word to the poller that a person is being waited for.

    Args:
        prompter: Who answers.
        waiting: Told True when a question is open and False when it is settled, so that the
            connection's deadline does not cut a person short.
    """

    def __init__(self, prompter: Prompter, waiting: Callable[[bool], None]) -> None:
        self._prompter = prompter
        self._waiting = waiting

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        """Pass a host key question on."""
        self._waiting(True)
        try:
            return await self._prompter.host_key(question)
        finally:
            self._waiting(False)

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        """Pass a question for secrets on."""
        self._waiting(True)
        try:
            return await self._prompter.secret(question)
        finally:
            self._waiting(False)


class QuestionDesk:
    """A Prompter that publishes questions and waits for answers, inside one event loop.

    Args:
        publish: Where questions go. The answers come in by ``decide`` and ``answer``.
        patience_s: Seconds a question stays open before it counts as refused.
    """

    def __init__(self, publish: Callable[[News], None], patience_s: float = 300.0) -> None:
        self._publish = publish
        self._patience_s = patience_s
        self._keys: dict[str, asyncio.Future[KeyDecision]] = {}
        self._secrets: dict[str, asyncio.Future[tuple[str, ...] | None]] = {}

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        """Ask about a host key; REFUSE when nobody answers in time."""
        return await self._ask(question, self._keys, KeyDecision.REFUSE)

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        """Ask for secrets; None when nobody answers in time."""
        return await self._ask(question, self._secrets, None)

    def decide(self, question_id: str, decision: KeyDecision) -> None:
        """Pass on a decision; one that comes too late does nothing."""
        future = self._keys.get(question_id)
        if future is not None and not future.done():
            future.set_result(decision)

    def answer(self, question_id: str, answers: tuple[str, ...] | None) -> None:
        """Pass on answers; they are kept nowhere."""
        future = self._secrets.get(question_id)
        if future is not None and not future.done():
            # Declined by a person, which is not the same as nobody being there.
            future.set_result(() if answers is None else answers)

    async def _ask(
        self, question: Question, waiting: dict[str, asyncio.Future[T]], otherwise: T
    ) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting[question.id] = future
        self._publish(QuestionAsked(question))
        try:
            async with asyncio.timeout(self._patience_s):
                return await future
        except TimeoutError:
            return otherwise
        finally:
            if waiting.get(question.id) is future:
                del waiting[question.id]
            self._publish(QuestionSettled(question.id))
