"""What looks like a secret in a command line or in what it printed, and the text without it. Pure.

Found are values of names such as ``password``, ``token`` or ``api_key``, whether after ``=``, ``:``
or as an option's word; passwords in URLs and after ``-u user:``; bearer tokens; tokens of known
shape. A reference such as ``$PW`` or ``@file`` is no secret. It is a net with holes: what it does
not know goes through.
"""

from __future__ import annotations

import re

MASK = "***"
"""Stands where a secret was."""

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|"
    r"(?:api|access|auth|secret|private|encryption)[-_]?key)"
)
_VALUE = r"""(?P<{0}>"[^"\n]+"|'[^'\n]+'|[^\s"';&|<>()$@*][^\s"';&|<>()]*)"""
_KNOWN = (
    # PASSWORD=x, --db-password=x, "token": "x"
    rf"""(?i)(?<![a-z]){_NAME}["']?\s*[=:]\s*{_VALUE.format("a")}""",
    rf"""(?i)[a-z0-9][-_]{_NAME}["']?\s*[=:]\s*{_VALUE.format("a")}""",
    # --password x
    rf"(?i)(?<!\S)--?(?:[a-z0-9]+[-_])*{_NAME}\s+(?!-){_VALUE.format('a')}",
    rf"(?<!\S)sshpass\s+-p\s*{_VALUE.format('a')}",
    # curl -u user:x, scheme://user:x@host
    rf"(?<!\S)(?:-u|--user)[ =]\s*[^\s:'\"]+:{_VALUE.format('a')}",
    r"[a-zA-Z][\w+.-]*://[^\s/:@]*:(?P<a>[^\s/@$*][^\s/@]*)@",
    r"(?i)\b(?:bearer|basic)\s+(?P<a>[\w+/=.~-]{8,})",
    r"\b(?P<a>gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16})\b",
    r"\b(?P<a>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<a>[^-]+)",
)
_PATTERNS = tuple(re.compile(pattern) for pattern in _KNOWN)
_QUOTES = "\"'"
_SHORTEST = 4
"""Characters from which on a secret is looked for by itself: less is found everywhere."""


def secrets_in(text: str) -> tuple[str, ...]:
    """The values in a text that look like secrets, without their quotes."""
    found = (m["a"].strip(_QUOTES) for pattern in _PATTERNS for m in pattern.finditer(text))
    return tuple(dict.fromkeys(value for value in found if value and value[0] not in "$@*"))


def redacted(text: str, known: tuple[str, ...] = ()) -> str:
    """A text with ``MASK`` in place of what looks like a secret, and of ``known`` ones.

    Redacting what was redacted changes nothing.
    """
    secrets = {*secrets_in(text), *(value for value in known if len(value) >= _SHORTEST)}
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    return text


def _masked(match: re.Match[str]) -> str:
    value = match["a"].strip(_QUOTES)
    if not value or value[0] in "$@*":
        return match[0]
    begin, end = match.span("a")
    begin, end = begin - match.start(), end - match.start()
    return f"{match[0][:begin]}{MASK}{match[0][end:]}"
