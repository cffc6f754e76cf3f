"""An in-process SSH server that lets in what a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncssh

if TYPE_CHECKING:
    from tests.ssh.conftest import Box


@dataclass
class Rules:
    """What the server lets in, and what it saw."""

    keys: list[asyncssh.SSHKey] = field(default_factory=list)
    password: str = ""
    codes: list[str] = field(default_factory=list)
    seen_auth: list[str] = field(default_factory=list)


class Server(asyncssh.SSHServer):
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.left = list(rules.codes)

    def begin_auth(self, username: str) -> bool:
        self.rules.seen_auth.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self.rules.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data in [known.public_data for known in self.rules.keys]

    def password_auth_supported(self) -> bool:
        return bool(self.rules.password)

    def validate_password(self, username: str, password: str) -> bool:
        return password == self.rules.password

    def kbdint_auth_supported(self) -> bool:
        return bool(self.rules.codes)

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "Token", "Look at your \x1b[31mtoken", "", [("Code 1:", False)]

    def validate_kbdint_response(
        self, username: str, responses: list[str]
    ) -> bool | tuple[str, str, str, list[tuple[str, bool]]]:
        if list(responses) != [self.left.pop(0)]:
            return False
        return ("", "Once more", "", [("Code 2:", True)]) if self.left else True


Start = Callable[..., Awaitable[int]]


def uri(port: int, more: str = "") -> str:
    return f"qemu+ssh://ops@127.0.0.1:{port}/system{more}"


def encrypted(box: Box, phrase: str) -> asyncssh.SSHKey:
    """A new key in ``locked``; opening it costs little, so that a busy machine is in time."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = box.folder / "locked"
    key.write_private_key(path, passphrase=phrase, rounds=1, ignore_few_rounds=True)
    path.chmod(0o600)
    return key
