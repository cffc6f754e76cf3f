"""One login at one sshd: host key judged, keys offered, questions asked, all of it recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncssh

from drivers.model.ask import SecretQuestion
from drivers.protocol import Prompter
from drivers.ssh.config import Target
from drivers.ssh.desk import Desk, Patience
from drivers.ssh.identities import Offer
from drivers.ssh.knownhosts import OnRecord
from drivers.ssh.words import clean, one_line

# sshd's default MaxAuthTries is 6: five keys leave one attempt for a password.
KEYS_A_LOGIN = 5
_SECRET_TRIES = 3


@dataclass(slots=True)
class Login:
    """The record of one login, for errors and the doctor.

    Attributes:
        stage: ``tcp``, ``handshake``, ``authentication`` or ``done``.
        methods: Methods the server offered and that were tried, in order.
        worked: What the server accepted.
        banner: The server's own words before the login.
        shown: The host key it showed.
        verdict: ``known``, ``authority``, ``once``, ``unknown``, ``changed``, ``revoked``,
            ``unchecked``.
        unanswered: A question got no answer.
        answered: A person answered a question, or declined to.
    """

    target: Target
    stage: str = "tcp"
    methods: list[str] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    worked: str = ""
    banner: str = ""
    server: str = ""
    peer: str = ""
    shown: asyncssh.SSHKey | None = field(default=None, repr=False)
    verdict: str = ""
    unanswered: bool = False
    answered: bool = False


class Questions:
    """Puts one login's questions to a person, with the deadline stopped.

    Args:
        login: The login it is for; ``unanswered`` is set once nobody answers.
        prompter: Whom to ask; None never asks.
        patience: Stops its clock while a person is asked.
        name: The host's name in this fleet.

    Attributes:
        aside: Called before each question: whoever waits for a person holds up nobody else.
    """

    def __init__(
        self, login: Login, prompter: Prompter | None, patience: Patience, name: str
    ) -> None:
        self._login = login
        self._prompter = prompter
        self._patience = patience
        self._name = name
        self.aside: Callable[[], None] | None = None

    @property
    def nobody(self) -> bool:
        """True when asking is pointless."""
        return self._prompter is None or self._login.unanswered

    async def ask(
        self, title: str, text: str, fields: tuple[tuple[str, bool], ...]
    ) -> tuple[str, ...] | None:
        """One answer a field; None when nobody answers, and from then on for this login."""
        if self._prompter is None or self._login.unanswered:
            self._login.unanswered = True
            return None
        # By host as well: many behind one bastion ask the same, each for an answer of its own.
        ident = f"secret:{self._name}:{self._login.target.address}:{title}"
        question = SecretQuestion(ident, self._name, title, text, fields)
        if self.aside is not None:
            self.aside()
        async with self._patience.person():
            answers = await self._prompter.secret(question)
        if answers is not None:
            self._login.answered = True
        if answers is None or len(answers) != len(fields):
            self._login.unanswered = True
            return None
        return answers

    async def passphrase(self, path: str, again: bool) -> str | None:
        """The passphrase of a key file that the server would accept."""
        text = "That passphrase does not open the key." if again else ""
        answers = await self.ask(f"Passphrase for {path}", text, (("Passphrase", False),))
        return answers[0] if answers else None


class LoginClient(asyncssh.SSHClient):
    """asyncssh's callbacks for one login.

    Args:
        login: Where everything is recorded.
        record: What known_hosts has for the address.
        desk: Keys accepted once.
        offers: Keys to try on this connection.
        questions: Asks a person for passwords and codes.
        lost: Called when the connection ends.

    Attributes:
        settled: Called once the handshake is over and the login begins.
    """

    def __init__(
        self,
        login: Login,
        record: OnRecord,
        desk: Desk,
        offers: list[Offer],
        *,
        questions: Questions,
        lost: Callable[[Exception | None], None],
    ) -> None:
        self._login = login
        self._record = record
        self._desk = desk
        self._queue = list(offers)
        self._questions = questions
        self._lost = lost
        self._offered: Offer | None = None
        self._passwords = 0
        self._rounds = 0
        self._last = ""
        self.settled: Callable[[], None] | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """TCP is up; sshd has not spoken yet."""
        self._login.stage = "handshake"
        peer = conn.get_extra_info("peername")
        self._login.peer = str(peer[0]) if peer else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._lost(exc)

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002 - asyncssh's signature
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Judge a host key that no known_hosts line trusts; nothing is sent when it fails."""
        self._login.shown = key
        if self._desk.trusts(self._login.target.key_name, key):
            self._login.verdict = "once"
            return True
        self._login.verdict = "changed" if self._record.keys else "unknown"
        return False

    def begin_auth(self, username: str) -> None:  # noqa: ARG002 - asyncssh's signature
        """The host key is settled; authentication begins."""
        self._login.stage = "authentication"
        if self.settled is not None:
            self.settled()

    def auth_banner_received(self, msg: str, lang: str) -> None:  # noqa: ARG002
        """Keep the server's words before the login."""
        self._login.banner = clean(msg)

    def auth_completed(self) -> None:
        """Record what worked."""
        self._login.stage = "done"
        if self._last == "publickey" and self._offered is not None:
            self._offered.outcome = "accepted"
            self._login.worked = self._offered.label
        else:
            self._login.worked = self._last or "no authentication was asked for"

    def _method(self, name: str) -> None:
        if name not in self._login.methods:
            self._login.methods.append(name)
        self._last = name

    def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """The next key to offer; None when there is none left."""
        if self._offered is not None and self._offered.outcome == "offered":
            self._offered.outcome = "refused"
        while self._queue:
            offer = self._queue.pop(0)
            if offer.pair is None:
                continue
            self._method("publickey")
            self._offered = offer
            offer.outcome = "offered"
            return offer.pair
        if "publickey" not in self._login.methods:
            self._login.methods.append("publickey")
        return None

    async def password_auth_requested(self) -> str | None:
        """Ask for the password, three times at most."""
        self._method("password")
        if self._passwords >= _SECRET_TRIES:
            return None
        again = "The server refused that password. " if self._passwords else ""
        self._passwords += 1
        who = f"{self._login.target.user}@{self._login.target.alias}"
        answers = await self._questions.ask(
            f"Password for {who}", again + self._login.banner, (("Password", False),)
        )
        return answers[0] if answers else None

    def kbdint_auth_requested(self) -> str | None:
        """Take part in keyboard-interactive, three rounds of refusal at most."""
        self._method("keyboard-interactive")
        self._rounds += 1
        if self._questions.nobody or self._rounds > _SECRET_TRIES:
            return None
        return ""

    async def kbdint_challenge_received(
        self,
        name: str,
        instructions: str,
        lang: str,  # noqa: ARG002 - asyncssh's signature
        prompts: Sequence[tuple[str, bool]],
    ) -> list[str] | None:
        """Put the server's own prompts (a one-time code, say) to the person."""
        if not prompts:
            return []
        who = f"{self._login.target.user}@{self._login.target.alias}"
        title = one_line(name, 100) or f"Login of {who}"
        fields = tuple((one_line(prompt, 200) or "Answer", echo) for prompt, echo in prompts)
        answers = await self._questions.ask(
            title, clean(instructions) or self._login.banner, fields
        )
        return list(answers) if answers is not None else None


async def hang_up(
    connections: Sequence[asyncssh.SSHClientConnection], seconds: float = 0.8
) -> None:
    """Close connections in order, politely, then hard; returns within about ``seconds``."""
    for connection in connections:
        connection.close()
    waiting = {asyncio.create_task(c.wait_closed()): c for c in connections}
    _, late = await asyncio.wait(waiting, timeout=seconds)
    for task in late:
        waiting[task].abort()
        task.cancel()
