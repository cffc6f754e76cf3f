"""``novacron record --unit``: a systemd user unit for this installation and configuration."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.headless.status import Exit

_UNIT = """\
# novacron record --unit >~/.config/systemd/user/novacron-record.service
# systemctl --user daemon-reload && systemctl --user enable --now novacron-record
# It ends with your last session, unless: loginctl enable-linger
[Unit]
Description=NovaCron history recorder

[Service]
Type=exec
{environment}ExecStart={command}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={usage}
UMask=0077

[Install]
WantedBy=default.target
"""

_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_$-]+")
_UNSAFE = re.compile(r"[\"'\\\x00-\x1f\x7f]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%"}


def print_unit(args: argparse.Namespace) -> int:
    """Print the unit."""
    chosen = args.config or os.environ.get("NOVACRON_CONFIG", "")
    words = ["--config", str(Path(chosen).expanduser().absolute())] if chosen else []
    words += ["record", *(word for uri in args.uri or () for word in ("--uri", uri))]
    print(unit_text(_program(sys.argv[0]), words, os.environ), end="")
    return Exit.OK


def unit_text(program: Sequence[str], words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The unit that runs a program with these words, in the folders that this user has chosen."""
    first, *rest = [*program, *words]
    if _UNSAFE.search(first):  # systemd runs no such program itself
        first, rest = "/bin/sh", ["-c", 'exec "$0" "$@"', first, *rest]
    command = [quoted(first), *(quoted(word).replace("$", "$$") for word in rest)]
    places = [f"{name}={environ[name]}" for name in _PLACES if environ.get(name)]
    return _UNIT.format(
        environment="".join(f"Environment={quoted(place)}\n" for place in places),
        command=" ".join(command),
        usage=int(Exit.USAGE),
    )


def quoted(word: str) -> str:
    """A word as systemd reads it back: quotes, escapes and doubled percent signs (systemd.syntax).

    Dollar signs are left: only words after the program are searched for variables.
    """
    text = "".join(
        _ESCAPES.get(sign) or (sign if sign.isprintable() else _hex(sign)) for sign in word
    )
    return text if _PLAIN.fullmatch(word) else f'"{text}"'


def _hex(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


def _program(called: str) -> list[str]:
    """How to run this very installation from anywhere."""
    script = Path(called).absolute()
    if script.name == "novacron" and os.access(script, os.X_OK):
        return [str(script)]
    found = shutil.which("novacron")
    return [found] if found else [sys.executable, "-P", "-m", "console.cli"]
