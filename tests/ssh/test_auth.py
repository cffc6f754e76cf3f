"""Logging in to an in-process server: secrets, deadlines, and many links at once."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from drivers.errors import (
    AuthFailed,
    TimedOut,
    Unreachable,
)
from tests.ssh.conftest import Box, Person, until
from tests.ssh.server import Rules, Server, Start, uri


async def test_password_is_asked_in_the_console(box: Box, start: Start) -> None:
    """A wrong password is asked for again, and is nowhere in what can be printed."""
    port = await start(Rules(password="s3cret-pw"))
    person = Person(answers=[("wrong-pw",), ("s3cret-pw",)])
    link = box.link(uri(port), person)
    await link.connect()
    assert [q.title for q in person.secrets] == ["Password for ops@127.0.0.1"] * 2
    assert "refused" in person.secrets[1].text
    assert person.secrets[0].fields == (("Password", False),)
    assert link.logins[-1].worked == "password"
    assert "s3cret" not in repr(link.logins) + repr(vars(link))
    await link.close()


async def test_two_rounds_of_codes(box: Box, start: Start) -> None:
    """Keyboard-interactive shows the server's own words, harmless, round by round."""
    port = await start(Rules(codes=["111", "222"]))
    person = Person(answers=[("111",), ("222",)])
    link = box.link(uri(port), person)
    await link.connect()
    assert [q.fields for q in person.secrets] == [
        (("Code 1:", False),),
        (("Code 2:", True),),
    ]
    assert "\x1b" not in person.secrets[0].text
    assert link.logins[-1].worked == "keyboard-interactive"
    await link.close()


async def test_nobody_answers(box: Box, start: Start) -> None:
    """Leaving the question unanswered ends the login and says so."""
    port = await start(Rules(password="x"))
    with pytest.raises(AuthFailed, match="question was not answered") as caught:
        await box.link(uri(port), Person()).connect()
    assert not caught.value.answered


async def test_a_refused_or_declined_answer_is_told_apart(box: Box, start: Start) -> None:
    """The console knows that a person had a say, and will not ask again by itself."""
    port = await start(Rules(password="x"))
    for answers in ([("wrong",)], [()]):
        with pytest.raises(AuthFailed) as caught:
            await box.link(uri(port), Person(answers=list(answers))).connect()
        assert caught.value.answered


async def test_no_tty_never_asks(box: Box, start: Start) -> None:
    """no_tty=1 in the URI: a password is not asked for."""
    port = await start(Rules(password="x"))
    person = Person(answers=[("x",)])
    with pytest.raises(AuthFailed):
        await box.link(uri(port, "?no_tty=1"), person).connect()
    assert person.secrets == []


async def test_time_to_type_does_not_count(box: Box, start: Start) -> None:
    """The deadline stands still while a person looks for the token."""
    port = await start(Rules(password="x"))

    class Slow(Person):
        async def secret(self, question: object) -> tuple[str, ...]:
            await asyncio.sleep(1.8)  # longer than the whole deadline
            return ("x",)

    link = box.link(uri(port), Slow(), connect_s=1.5)
    await link.connect()
    await link.close()


async def test_stalled_server_ends_at_the_deadline(box: Box) -> None:
    """A server that accepts and never speaks is told as such, at its deadline."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimedOut, match="did not finish its handshake"):
        await box.link(uri(port), Person(), connect_s=0.6).connect()
    server.close()


async def test_refused_port_and_unknown_name(box: Box) -> None:
    """The two plainest failures, each with its fix."""
    with pytest.raises(Unreachable, match="nothing listens") as caught:
        await box.link(uri(1), Person()).connect()
    assert "start sshd" in caught.value.problem.fix
    with pytest.raises(Unreachable, match="does not resolve"):
        await box.link("qemu+ssh://no-such-host.invalid/system", Person()).connect()


async def test_twenty_links_log_in_a_few_at_a_time(box: Box, start: Start) -> None:
    """Many hosts behind one address never have more than eight logins under way."""
    busy = most = 0

    class Counting(Server):
        async def begin_auth(self, username: str) -> bool:  # type: ignore[override]
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.02)  # a login takes a moment
            busy -= 1
            return True

    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    port = await start(rules, factory=lambda: Counting(rules))
    links = [box.link(uri(port), Person(), connect_s=60.0) for _ in range(20)]
    await asyncio.gather(*(link.connect() for link in links))
    assert 1 <= most <= 8
    await asyncio.gather(*(link.close() for link in links))


async def test_open_questions_hold_up_no_other_host(box: Box, start: Start) -> None:
    """Twelve prompts that nobody has answered yet: a host behind the same address still comes."""
    port = await start(Rules(password="x"))
    asked = 0
    answer = asyncio.Event()

    class Away(Person):
        async def secret(self, question: object) -> tuple[str, ...]:
            nonlocal asked
            asked += 1
            await answer.wait()
            return ("x",)

    waiting = [box.link(uri(port), Away()) for _ in range(12)]
    logins = [asyncio.create_task(link.connect()) for link in waiting]
    there = box.link(uri(port), Person(answers=[("x",)]))
    try:
        await until(lambda: asked == 12, 60)
        await there.connect()
        answer.set()
        await asyncio.gather(*logins)
    finally:
        await asyncio.gather(*(link.close() for link in (there, *waiting)))
