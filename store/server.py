"""The store's Unix socket: same user, or a configured group, and nobody else."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

from store.api import StoreError
from store.plain import to_plain
from store.service import Service
from store.wire import REPLY_LIMIT, REQUEST_LIMIT, WireError, receive, send

_CONNECTIONS = 64
_IDLE_S = 300.0
_CREDENTIALS = struct.Struct("3i")


def peer(sock: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process at the other end, as the kernel tells."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid


def allowed(uid: int, gid: int, group: str) -> bool:
    """True for the same user, and for members of ``group`` when one is configured."""
    if uid == os.geteuid():
        return True
    if not group:
        return False
    try:
        wanted = grp.getgrnam(group).gr_gid
        return gid == wanted or wanted in os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return False


class Server:
    """Listens beside the file; each connection is served by a daemon thread.

    Args:
        path: The socket. It is reached through its folder's descriptor, so its length is free.
        service: Answers the requests.
        group: Group whose members may connect; empty for the same user only.
    """

    def __init__(self, path: Path, service: Service, group: str = "") -> None:
        self._path = path
        self._service = service
        self._group = group
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Replace a stale socket and begin to serve; the caller holds the writer's lock.

        Raises:
            StoreError: The socket cannot be made.
        """
        try:
            self._path.unlink(missing_ok=True)
            bind_in_folder(self._listener, self._path)
            self._path.chmod(0o600)
            if self._group:
                os.chown(self._path, -1, grp.getgrnam(self._group).gr_gid)
                self._path.chmod(0o660)
                os.chown(self._path.parent, -1, grp.getgrnam(self._group).gr_gid)
                self._path.parent.chmod(0o710)
        except (OSError, KeyError) as error:
            self._listener.close()
            raise StoreError(
                f"cannot open the store's socket {self._path}", str(error), code="socket"
            ) from error
        self._listener.listen(32)
        threading.Thread(target=self._accept, name="store-accept", daemon=True).start()

    def close(self) -> None:
        """Stop serving; every client sees the end at once."""
        with self._lock:
            self._closed = True
            connections = list(self._connections)
        with suppress(OSError):
            self._path.unlink()
        for sock in (self._listener, *connections):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                continue
            with self._lock:
                full = self._closed or len(self._connections) >= _CONNECTIONS
                if not full:
                    self._connections.add(sock)
            if full:
                sock.close()
                continue
            threading.Thread(
                target=self._serve, args=(sock,), name="store-serve", daemon=True
            ).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(_IDLE_S)
            _, uid, gid = peer(sock)
            if not allowed(uid, gid, self._group):
                refusal = StoreError(
                    "this store serves its own user only",
                    f"uid {uid} asked",
                    "run as that user, or configure a group",
                    "forbidden",
                )
                send(sock, {"error": to_plain(refusal.problem)}, REPLY_LIMIT)
                return
            own = uid == os.geteuid()
            while (request := receive(sock, REQUEST_LIMIT)) is not None:
                self._reply(sock, self._answer(request, own))
        except (WireError, OSError):
            return  # the other end is gone or talks nonsense: nothing is owed to it
        finally:
            with self._lock:
                self._connections.discard(sock)
            sock.close()

    def _answer(self, request: object, own: bool) -> dict[str, object]:
        try:
            if not isinstance(request, dict) or not isinstance(request.get("args"), dict):
                raise StoreError("the request makes no sense", code="bad-request")
            op, source = str(request.get("op")), str(request.get("source"))[:200]
            return {"ok": self._service.answer(op, request["args"], source, own=own)}
        except StoreError as error:
            return {"error": to_plain(error.problem)}
        except Exception as error:  # noqa: BLE001 - edge of the worker: one request must not end it
            problem = StoreError("the request failed", type(error).__name__, code="internal")
            return {"error": to_plain(problem.problem)}

    def _reply(self, sock: socket.socket, reply: dict[str, object]) -> None:
        try:
            send(sock, reply, REPLY_LIMIT)
        except WireError as error:
            problem = StoreError("the answer is too large", str(error), "ask for less", "too-large")
            send(sock, {"error": to_plain(problem.problem)}, REPLY_LIMIT)


def bind_in_folder(sock: socket.socket, path: Path) -> None:
    """Bind under a name of any length: an address holds 107 bytes, a descriptor's path fits."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    mask = os.umask(0o177)
    try:
        sock.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.umask(mask)
        os.close(folder)


def connect_in_folder(sock: socket.socket, path: Path) -> None:
    """Connect likewise."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
