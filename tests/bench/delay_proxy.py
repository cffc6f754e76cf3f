"""A proxy that holds every byte for a while: a far network on one machine.

Run as ``python delay_proxy.py LISTEN TARGET MS``, in a process of its own so that its CPU time is
not counted to the client. LISTEN and TARGET are paths of Unix sockets or ``address:port``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Pass bytes on, each ``delay_s`` seconds after it came."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(delay_s, writer.write, data)
    loop.call_later(delay_s, writer.close)


def _tcp(place: str) -> tuple[str, int] | None:
    """Address and port, None for the path of a Unix socket."""
    address, _, port = place.rpartition(":")
    return None if place.startswith("/") else (address, int(port))


async def serve(listen: str, target: str, delay_s: float) -> None:
    """Serve until killed."""
    far, near = _tcp(target), _tcp(listen)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await (
            asyncio.open_connection(*far) if far else asyncio.open_unix_connection(target)
        )
        with contextlib.suppress(ConnectionError):  # either side may hang up as it likes
            await asyncio.gather(
                pump(reader, far_writer, delay_s), pump(far_reader, writer, delay_s)
            )

    server = await (
        asyncio.start_server(client, *near) if near else asyncio.start_unix_server(client, listen)
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000.0))
