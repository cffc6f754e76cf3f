"""Questions of hosts that connect side by side, each answered for itself."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from console.backend import News, QuestionAsked
from console.prompts import QuestionDesk
from drivers.model.ask import SecretQuestion
from drivers.ssh.client import Login, Questions
from drivers.ssh.desk import Patience


async def test_hosts_behind_one_bastion_get_their_own_answers() -> None:
    """Two hosts ask for the bastion's one-time code at once: neither takes the other's."""
    asked: asyncio.Queue[SecretQuestion] = asyncio.Queue()

    def publish(news: News) -> None:
        if isinstance(news, QuestionAsked) and isinstance(news.question, SecretQuestion):
            asked.put_nowait(news.question)

    desk = QuestionDesk(publish)

    async def ask(host: str) -> tuple[str, ...] | None:
        target = SimpleNamespace(address="bastion:22")
        login = cast(Login, SimpleNamespace(target=target, unanswered=False))
        async with Patience(5.0) as patience:
            questions = Questions(login, desk, patience, host)
            return await questions.ask("Login of root@bastion", "", (("Code", False),))

    first, second = asyncio.create_task(ask("kvm1")), asyncio.create_task(ask("kvm2"))
    for _ in range(2):
        question = await asyncio.wait_for(asked.get(), 5)
        desk.answer(question.id, (f"code for {question.host}",))
    assert await asyncio.wait_for(first, 5) == ("code for kvm1",)
    assert await asyncio.wait_for(second, 5) == ("code for kvm2",)
