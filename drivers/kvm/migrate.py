"""Migration: driven by the source's daemon (peer to peer) or by this console (managed).

Peer to peer survives the console, but the source's daemon must reach the destination's by itself.
Managed needs no trust between the hosts; if the console dies, libvirt resumes the source, and the
guest may be left paused. The data always goes from host to host. A VM that is off moves as a
definition (offline); its disks are there before.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from typing import Any

from drivers.errors import Cancelled, DriverError, Failed, Refused, Unsupported
from drivers.kvm import room, volumes
from drivers.kvm.domxml import DomainDef, parse_domain
from drivers.kvm.editxml import repoint
from drivers.kvm.session import LONG_S, Session
from drivers.model.migration import Tuning
from drivers.protocol import MigrationSpec

_ABORT_WAIT_S = 10.0
_GIVEN_UP_S = 10.0
"""Seconds between two looks at a job that libvirt may have given up without ending it."""
_LOST_WORDS = "End of file while reading data: : "
"""All that a source's daemon tells when its connection ended before it passed an error on.

Seen with libvirt 9.0: the destination refuses to prepare, the source hangs up, and the end of that
connection takes the place of the destination's words.
"""


async def migrate(
    source: Session, peer: Session, uuid: str, name: str, spec: MigrationSpec
) -> None:
    """Migrate and return once libvirt says it is done.

    Cancelling the wait leaves a peer-to-peer migration running (``abort_job`` ends it) and aborts
    a managed one, which could not go on without this process.

    Raises:
        DriverError: What libvirt said; a copy's files that this migration made are removed again.
    """
    if spec.p2p and not peer.spec.peer_uri:
        raise Refused(
            f"{peer.spec.name} has no URI for other hosts' daemons",
            "peer_uri is empty in its configuration",
            "set peer_uri, or let the console manage the migration",
        )
    what = f"{name} could not be migrated to {peer.spec.name}"
    definition = parse_domain(await source.call(lambda: _xml(source, uuid, 0), what))
    made = await _absent_files(peer, definition, spec)
    calls: list[asyncio.Future[None]] = []
    try:
        async with _connections(source, peer, calls, p2p=spec.p2p) as (here, there):
            work = asyncio.ensure_future(
                source.call(
                    lambda: _run(source, peer, here, there, uuid, spec), what, deadline_s=LONG_S
                )
            )
            calls.append(work)
            await _wait(source, uuid, work, p2p=spec.p2p)
    except DriverError as failure:
        # Evidence first: the clean-up may free the very space that was missing.
        told = await _with_evidence(source, peer, uuid, definition, spec, failure)
        await _remove(source, peer, uuid, made)
        raise told from None


async def _with_evidence(
    source: Session,
    peer: Session,
    uuid: str,
    definition: DomainDef,
    spec: MigrationSpec,
    failure: DriverError,
) -> DriverError:
    """The failure with what can be proven about its cause; itself where nothing can."""
    said, what = failure.problem.proof, failure.problem.what
    if isinstance(failure, Cancelled):
        return failure
    if spec.copy_disks:
        short = await room.shortage(source, peer, uuid, definition, spec)
        if short:
            proof = f"not enough free space for the copy: {short}; libvirt said: {said}"
            return Failed(what, proof, "free space there, or choose another pool or host")
    if spec.p2p and _LOST_WORDS in said and not source.closed:
        here, there = source.spec.name, peer.spec.name
        return Failed(
            what,
            f"the daemon of {here} lost its connection to that of {there}, and the reason with it: "
            f"{said}",
            f"migrate in mode managed, which hears {there} itself, or look at libvirt's log there",
        )
    return failure


@contextlib.asynccontextmanager
async def _connections(
    source: Session, peer: Session, calls: list[asyncio.Future[None]], *, p2p: bool
) -> AsyncIterator[tuple[Any, Any]]:
    """Connections of the migration's own: libvirtd serves one client five calls at a time."""

    def hangs() -> bool:
        return not all(call.done() for call in calls)

    if p2p:
        async with source.extra(in_use=hangs) as here:
            yield here, None
        return
    async with source.extra_with(peer, in_use=hangs) as ends:
        yield ends


async def _wait(source: Session, uuid: str, work: asyncio.Future[None], *, p2p: bool) -> None:
    watch = asyncio.ensure_future(end_what_hangs(source, uuid))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        if not p2p:
            with contextlib.suppress(DriverError):
                await source.call(
                    lambda: abort(source.lv, source.conn.lookupByUUIDString(uuid)),
                    "the migration was not aborted",
                )
            await asyncio.wait({work}, timeout=_ABORT_WAIT_S)
        work.add_done_callback(_heard)
        raise
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def end_what_hangs(source: Session, uuid: str, every_s: float = _GIVEN_UP_S) -> None:
    """Until cancelled: wake the QEMU of a migration that libvirt gave up and that does not end.

    Args:
        every_s: Seconds between two looks; it is woken when two in a row find that.
    """
    looks, words = 0, "a migration that was given up could not be ended"
    while True:
        await asyncio.sleep(every_s)
        with contextlib.suppress(DriverError):
            given_up = await source.call(lambda: _given_up(source, uuid), words)
            looks = looks + 1 if given_up else 0
            if looks > 1:
                await source.call(
                    lambda: _wake(source.lv, source.conn.lookupByUUIDString(uuid)), words
                )


def _given_up(source: Session, uuid: str) -> bool:
    """Whether the job that the domain still has is one that failed or was cancelled."""
    lv = source.lv
    ended = (lv.VIR_DOMAIN_JOB_FAILED, lv.VIR_DOMAIN_JOB_CANCELLED)
    return source.conn.lookupByUUIDString(uuid).jobStats().get("type") in ended


def _heard(work: asyncio.Future[None]) -> None:
    """Take the error of a migration that nobody waits for any more."""
    if not work.cancelled():
        work.exception()


def abort(lv: Any, domain: Any) -> None:
    """End the domain's job, unless a guest that runs elsewhere already would be lost with it.

    Raises:
        Refused: It was switched to post-copy: QEMU would throw the memory left here away.
    """
    state, reason = domain.state()
    split = (lv.VIR_DOMAIN_PAUSED_POSTCOPY, lv.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
    if state == lv.VIR_DOMAIN_PAUSED and reason in split:
        raise Refused(
            f"the migration of {domain.name()} is past its switch to post-copy",
            "neither host alone has all of its memory: ending the job would lose the guest",
            "wait until the rest has followed, or recover it where its link broke",
        )
    domain.abortJob()
    if state == lv.VIR_DOMAIN_PAUSED and reason == lv.VIR_DOMAIN_PAUSED_MIGRATION:
        _wake(lv, domain)


def _wake(lv: Any, domain: Any) -> None:
    """Let a QEMU end a migration that was cancelled in the moment of its switch.

    QEMU (seen with 7.2, by its stacks) looks whether it is cancelled, and waits then for leave to
    switch: a cancel in between leaves it waiting, and libvirt's job with it, the guest paused, for
    good. Where it does not wait so it refuses these words, or drops them.
    """
    words = '{"execute": "migrate-continue", "arguments": {"state": "cancelling"}}'
    with contextlib.suppress(lv.libvirtError, ImportError):
        importlib.import_module("libvirt_qemu").qemuMonitorCommand(domain, words, 0)


def switch_over(lv: Any, domain: Any, behind_mib: int) -> None:
    """Let the guest run on the destination now.

    Args:
        behind_mib: MiB a second of its memory that is sent unasked; 0 for as fast as it goes.
            What the guest asks for does not wait behind a full line then. A libvirt that knows no
            such cap (before 5.1) switches without.
    """
    if behind_mib > 0:
        with contextlib.suppress(lv.libvirtError):
            domain.migrateSetMaxSpeed(behind_mib, lv.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY)
    domain.migrateStartPostCopy()


def _xml(source: Session, uuid: str, flags: int) -> str:
    return str(source.conn.lookupByUUIDString(uuid).XMLDesc(flags))


def _run(
    source: Session, peer: Session, here: Any, there: Any, uuid: str, spec: MigrationSpec
) -> None:
    """The blocking call, in a thread of its own."""
    lv = source.lv
    domain = here.lookupByUUIDString(uuid)
    if spec.offline:
        _move_definition(lv, domain, there, spec)
        return
    tuning = spec.tuning
    flags = lv.VIR_MIGRATE_LIVE | _flags(lv, tuning)
    flags |= lv.VIR_MIGRATE_POSTCOPY_RESUME if spec.resume else 0
    persistent = bool(domain.isPersistent())
    if persistent if tuning.persist is None else tuning.persist:
        flags |= lv.VIR_MIGRATE_PERSIST_DEST
    if persistent and not tuning.keep_source:
        flags |= lv.VIR_MIGRATE_UNDEFINE_SOURCE
    params = _params(lv, domain, peer, spec, persistent=persistent)
    params.update(_tuned(lv, tuning))
    if spec.copy_disks:
        whole, rest = lv.VIR_MIGRATE_NON_SHARED_DISK, lv.VIR_MIGRATE_NON_SHARED_INC
        flags |= rest if tuning.incremental else whole
        params[lv.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = list(spec.copy_disks)
    if spec.p2p:
        domain.migrateToURI3(peer.spec.peer_uri, params, flags | lv.VIR_MIGRATE_PEER2PEER)
    else:
        domain.migrate3(there, params, flags)


def _move_definition(lv: Any, domain: Any, there: Any, spec: MigrationSpec) -> None:
    """Define there and forget here a domain that is off; libvirt does both or neither."""
    if domain.isActive():
        raise Refused(f"{domain.name()} runs", "it was started meanwhile", "migrate it live")
    if domain.hasManagedSaveImage(0):
        raise Refused(
            f"{domain.name()} has saved memory, which would stay behind",
            "libvirt keeps a managed save of it and moves none",
            "start it and migrate it live, or shut it down from inside first",
        )
    flags = lv.VIR_MIGRATE_OFFLINE | lv.VIR_MIGRATE_PERSIST_DEST | lv.VIR_MIGRATE_UNDEFINE_SOURCE
    params: dict[str, Any] = {}
    if spec.dest_paths:
        paths = {target: (path, "") for target, path in spec.dest_paths.items()}
        whole = lv.VIR_DOMAIN_XML_SECURE | lv.VIR_DOMAIN_XML_INACTIVE
        params[lv.VIR_MIGRATE_PARAM_DEST_XML] = repoint(
            domain.XMLDesc(whole | lv.VIR_DOMAIN_XML_MIGRATABLE), paths
        )
        params[lv.VIR_MIGRATE_PARAM_PERSIST_XML] = repoint(domain.XMLDesc(whole), paths)
    domain.migrate3(there, params, flags)


def _flags(lv: Any, tuning: Tuning) -> int:
    flags = 0 if tuning.carry_on else lv.VIR_MIGRATE_ABORT_ON_ERROR
    flags |= lv.VIR_MIGRATE_AUTO_CONVERGE if tuning.auto_converge else 0
    flags |= lv.VIR_MIGRATE_POSTCOPY if tuning.post_copy else 0
    flags |= lv.VIR_MIGRATE_COMPRESSED if tuning.compression else 0
    flags |= lv.VIR_MIGRATE_PARALLEL if tuning.parallel else 0
    flags |= lv.VIR_MIGRATE_TUNNELLED if tuning.tunnelled else 0
    return int(flags)


def _tuned(lv: Any, tuning: Tuning) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if tuning.compression:
        params[lv.VIR_MIGRATE_PARAM_COMPRESSION] = [tuning.compression]
    if tuning.compression and tuning.compression_level:
        name = f"VIR_MIGRATE_PARAM_COMPRESSION_{tuning.compression.upper()}_LEVEL"
        if not hasattr(lv, name):
            raise Unsupported(
                f"this console's libvirt sets no level for {tuning.compression}",
                f"libvirt {lv.getVersion()} has no {name}",
                "leave the level out",
            )
        params[getattr(lv, name)] = tuning.compression_level
    if tuning.parallel:
        params[lv.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = tuning.parallel
    return params


def _params(
    lv: Any, domain: Any, peer: Session, spec: MigrationSpec, *, persistent: bool
) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if uri := spec.uri or peer.spec.migrate_uri:
        params[lv.VIR_MIGRATE_PARAM_URI] = uri
    if spec.bandwidth_mib > 0:
        params[lv.VIR_MIGRATE_PARAM_BANDWIDTH] = spec.bandwidth_mib
    if spec.dest_paths:
        paths = {target: (path, "") for target, path in spec.dest_paths.items()}
        # SECURE: without it the destination would lose passwords of graphics and disks.
        live = lv.VIR_DOMAIN_XML_SECURE | lv.VIR_DOMAIN_XML_MIGRATABLE
        params[lv.VIR_MIGRATE_PARAM_DEST_XML] = repoint(domain.XMLDesc(live), paths)
        if persistent:
            stored = domain.XMLDesc(live | lv.VIR_DOMAIN_XML_INACTIVE)
            params[lv.VIR_MIGRATE_PARAM_PERSIST_XML] = repoint(stored, paths)
    return params


async def _absent_files(
    peer: Session, definition: DomainDef, spec: MigrationSpec
) -> tuple[str, ...]:
    """Destination paths of the copies that no volume of the peer has yet."""
    absent: list[str] = []
    for disk in definition.disks:
        path = spec.dest_paths.get(disk.target, disk.source)
        if (
            disk.target in spec.copy_disks
            and path.startswith("/")
            and await volumes.find(peer, path) is None
        ):
            absent.append(path)
    return tuple(absent)


async def _remove(source: Session, peer: Session, uuid: str, made: tuple[str, ...]) -> None:
    """Delete what a failed copy left, once it is certain that the guest still runs here."""
    with contextlib.suppress(DriverError):
        if not made or not await source.call(lambda: _active(source, uuid), "the source is unsure"):
            return
        if await peer.call(lambda: _known(peer, uuid), "the destination is unsure"):
            return
        for path in made:
            with contextlib.suppress(DriverError):
                await volumes.delete(peer, path)


def _active(session: Session, uuid: str) -> bool:
    return bool(session.conn.lookupByUUIDString(uuid).isActive())


def _known(session: Session, uuid: str) -> bool:
    return any(d.UUIDString() == uuid for d in session.conn.listAllDomains())
