"""The far end of the store's socket: asks the process that holds the file."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.api import StoreError
from store.server import connect_in_folder, peer
from store.wire import REPLY_LIMIT, REQUEST_LIMIT, WireError, receive, send

_ANSWER_S = 60.0


class WriterGone(Exception):
    """Nobody serves the socket (any more)."""


class Client:
    """One connection; used by one thread at a time.

    Args:
        path: The socket.
        source: Tells this console from the others.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._source = source
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(2.0)
        try:
            connect_in_folder(self._sock, path)
            trusted = path.parent.stat().st_uid
        except PermissionError as error:
            self._sock.close()
            raise StoreError(
                f"the store at {path.parent} is somebody else's",
                str(error),
                "run as its user, or configure a group",
                "forbidden",
            ) from error
        except OSError as error:
            self._sock.close()
            raise WriterGone(str(error)) from error
        uid = peer(self._sock)[1]
        if uid != trusted:
            self._sock.close()
            raise StoreError(
                f"the store's socket {path} is served by another user",
                f"uid {uid}, but its folder belongs to uid {trusted}",
                code="forbidden",
            )

    def ask(self, op: str, args: Mapping[str, Any], timeout_s: float = _ANSWER_S) -> Any:
        """The answer as JSON values.

        Raises:
            StoreError: The store refused, or did not answer in time.
            WriterGone: The process that held the file ended.
        """
        self._sock.settimeout(timeout_s)
        request = {"op": op, "args": args, "source": self._source}
        try:
            send(self._sock, request, REQUEST_LIMIT)
        except WireError as error:
            raise StoreError("the request is too large", str(error), code="too-large") from error
        except OSError as error:
            raise WriterGone(str(error)) from error
        try:
            reply = receive(self._sock, REPLY_LIMIT, timeout_s)
        except TimeoutError as error:
            raise StoreError(
                f"the store did not answer within {timeout_s:g} s", code="timeout"
            ) from error
        except (WireError, OSError) as error:
            raise WriterGone(str(error)) from error
        if not isinstance(reply, dict):
            raise WriterGone("it closed the connection")
        if "error" in reply:
            raise _error(reply["error"])
        return reply.get("ok")

    def close(self) -> None:
        """End the connection."""
        self._sock.close()


def _error(data: object) -> StoreError:
    fields = data if isinstance(data, dict) else {}
    words = [str(fields.get(name, "")) for name in ("what", "proof", "fix", "code")]
    return StoreError(words[0] or "the store refused", words[1], words[2], words[3] or "store")
