"""The content of the volumes of a tier move: read under a person's eyes, and watched for writes."""

from __future__ import annotations

import asyncio

from console.jobs.work import Work
from drivers.errors import Unsupported
from drivers.model.vm import JobProgress

UNREAD = "unread"
"""The journaled content of a volume that only its size was compared of."""


async def checksum(work: Work, path: str, phase: str) -> str:
    """SHA-256 of a volume of the job's host; a cancel ends the reading.

    Raises:
        Cancelled: A person wants the job stopped.
        DriverError: It could not be read.
    """
    started = work.now()
    task = asyncio.create_task(work.driver().checksum(path))
    try:
        while not task.done():
            work.check_cancel()
            work.show(JobProgress(phase, work.now(), started))
            await work.pause()
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


async def written_since(work: Work, path: str) -> str:
    """How it is known that a volume has changed since it was compared; empty when it has not.

    The host tells when a file was last written to. Where it does not, as of block devices, the
    whole volume is read again. What was never compared, as in a live move, is not looked at.
    """
    content, before = work.facts.get("content", ""), work.facts.get("written", "")
    if not content:
        return ""
    volume = await work.driver().find_volume(path)
    if volume is None:
        return ""
    if before:
        return "" if volume.written == before else f"written at {volume.written}, not {before}"
    if content == UNREAD:
        return ""
    try:
        now = await checksum(work, path, "reading the original again")
    except Unsupported as error:
        return error.problem.what
    return "" if now == content else f"SHA-256 {now[:16]}..., it was {content[:16]}..."
