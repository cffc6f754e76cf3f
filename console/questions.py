"""Questions of connecting hosts, put to the person one at a time."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from textual.widgets import Input

from console.backend import QuestionAsked, QuestionSettled
from drivers.model.ask import HostKeyQuestion, KeyDecision, Question
from screens.dialogs.host_key import HostKeyDialog
from screens.dialogs.secret import SecretDialog

if TYPE_CHECKING:
    from console.app import NovaCronApp

QUIET_S = 0.7
"""Seconds without a key before a question comes: a key meant for a list answers nothing."""

WRITING_S = 5.0
"""The same while a line is being typed into."""


class Questions:
    """Shows a dialog for each question; one that settles itself closes unanswered."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app
        self._waiting: deque[Question] = deque()
        self._shown: tuple[str, HostKeyDialog | SecretDialog] | None = None

    def take(self, news: QuestionAsked | QuestionSettled) -> None:
        """A question came, or needs no answer any more."""
        if isinstance(news, QuestionAsked):
            self._waiting.append(news.question)
            self._next()
            return
        self._waiting = deque(q for q in self._waiting if q.id != news.question_id)
        if self._shown is not None and self._shown[0] == news.question_id:
            dialog = self._shown[1]
            if dialog.is_current:
                dialog.dismiss(None)

    def _next(self) -> None:
        if self._shown is not None or not self._waiting or self._app.front is None:
            return  # the last: a timer of a console that is closing has nobody left to ask
        if (left := self._busy_for()) > 0:
            self._app.set_timer(left, self._next)
            return
        question = self._waiting.popleft()
        if isinstance(question, HostKeyQuestion):
            self._ask_key(question)
        else:
            secret = SecretDialog(question)
            self._shown = (question.id, secret)
            self._app.push_screen(secret, lambda answers: self._told(question.id, answers))

    def _busy_for(self) -> float:
        """Seconds until a person at the keys has paused for long enough."""
        pause = WRITING_S if isinstance(self._app.focused, Input) else QUIET_S
        return self._app.key_at + pause - time.monotonic()

    def _ask_key(self, question: HostKeyQuestion) -> None:
        dialog = HostKeyDialog(question)
        self._shown = (question.id, dialog)

        def decided(decision: KeyDecision | None) -> None:
            answer = decision or KeyDecision.REFUSE
            self._app.backend.answer_host_key(question.id, answer)
            self._go_on()

        self._app.push_screen(dialog, decided)

    def _told(self, ident: str, answers: tuple[str, ...] | None) -> None:
        self._app.backend.answer_secret(ident, answers)
        self._go_on()

    def _go_on(self) -> None:
        self._shown = None
        self._next()
