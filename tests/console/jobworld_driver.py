"""One host of the small world of job tests, behind the driver protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from drivers.errors import Busy, Cancelled, Failed, Gone, Refused
from drivers.model.caps import DomainNeeds
from drivers.model.storage import Volume
from drivers.model.vm import JobProgress, VmState
from drivers.protocol import BlockJob, MigrationSpec, SlowReading
from tests.console.jobworld import Console, Domain, Killed, Mirror, Move


class WorldDriver:
    """One host of the world, as one console reaches it."""

    simulated = True

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.world, self.name = console, console.world, name
        self.spec = self.world.spec(name)

    def _domain(self, uuid: str) -> Domain:
        try:
            return self.world.domains[(self.name, uuid)]
        except KeyError:
            raise Gone("domain not found") from None

    async def _act(self, name: str, act: Callable[[], object]) -> object:
        await asyncio.sleep(0)
        lose = self.console.enter(name)
        answer = act()
        self.console.leave(lose)
        return answer

    async def read_slow(self) -> SlowReading:
        await self._act("read_slow", lambda: None)
        return SlowReading(self.world.now, self.world.vms(self.name))

    async def xml(self, uuid: str, *, inactive: bool = False) -> str:
        await self._act("xml", lambda: None)
        return f"<domain><source file='{self._domain(uuid).path}'/></domain>"

    async def needs(self, uuid: str) -> DomainNeeds:
        await self._act("needs", lambda: None)
        snapshots = self._domain(uuid).snapshots
        return DomainNeeds(uuid, "", self.world.now, snapshots=snapshots, tpm=self.world.tpm)

    async def _set(self, name: str, uuid: str, state: VmState) -> None:
        def act() -> None:
            self._domain(uuid).state = state

        await self._act(name, act)

    async def start(self, uuid: str) -> None:
        if self._domain(uuid).state.active:
            raise Refused("domain is already running")
        await self._set("start", uuid, VmState.RUNNING)

    async def shutdown(self, uuid: str) -> None:
        wanted = VmState.OFF if self.world.obeys else VmState.RUNNING
        await self._set("shutdown", uuid, wanted)

    async def reboot(self, uuid: str) -> None:
        await self._set("reboot", uuid, VmState.RUNNING)

    async def reset(self, uuid: str) -> None:
        await self._set("reset", uuid, VmState.RUNNING)

    async def suspend(self, uuid: str) -> None:
        await self._set("suspend", uuid, VmState.PAUSED)

    async def resume(self, uuid: str) -> None:
        await self._set("resume", uuid, VmState.RUNNING)

    async def destroy(self, uuid: str) -> None:
        await self._set("destroy", uuid, VmState.OFF)

    async def set_autostart(self, uuid: str, on: bool) -> None:
        def act() -> None:
            self._domain(uuid).autostart = on

        await self._act("set_autostart", act)

    async def undefine(self, uuid: str, *, nvram: bool = False) -> None:
        await self._act("undefine", lambda: self.world.domains.pop((self.name, uuid)))

    async def migrate(self, uuid: str, spec: MigrationSpec) -> None:
        target = spec.peer.spec.name
        if spec.offline:
            await self._move_definition(uuid, target, spec)
            return

        def begin() -> Move:
            domain = self._domain(uuid)
            path = spec.dest_paths.get("vda", domain.path)
            move = Move(self.name, target, path, spec.p2p)
            domain.was = domain.state
            self.world.moves[uuid] = move
            return move

        move = await self._act("migrate", begin)
        assert isinstance(move, Move)
        while not move.ended:
            if self.console.dead:
                raise Killed
            if move.aborted:
                self.world.moves.pop(uuid, None)
                raise Cancelled("operation aborted: canceled by client")
            await asyncio.sleep(0)
        if move.ended == "lost":
            raise Failed("the migration failed", proof="End of file while reading data")

    async def _move_definition(self, uuid: str, target: str, spec: MigrationSpec) -> None:
        """libvirt defines there first and forgets here last: a console can die in between."""

        def define() -> None:
            domain = self._domain(uuid)
            if domain.state.active:
                raise Refused("domain is running")
            path = spec.dest_paths.get("vda", domain.path)
            if (target, path) not in self.world.volumes:
                self.world.damage.append(f"defined without {path}")
            self.world.domains[(target, uuid)] = replace(domain, path=path)

        await self._act("define_there", define)
        await self._act("forget_here", lambda: self.world.domains.pop((self.name, uuid)))

    async def send_volume(self, path: str, peer: WorldDriver, there: str,
                          progress: Callable[[int, int], None]) -> None:  # fmt: skip
        if (peer.name, there) not in self.world.volumes:
            raise Gone("no such volume", proof=there)
        await self._act("send_volume", lambda: self.world.volumes.update({
            (peer.name, there): "partial"}))  # fmt: skip
        for done in range(3):
            progress(done, 3)
            await asyncio.sleep(0)
            if self.console.dead:
                raise Killed
        await self._act("send_end", lambda: self.world.volumes.update({
            (peer.name, there): self.world.volumes[(self.name, path)]}))  # fmt: skip

    async def job_progress(self, uuid: str, *, ended: bool = False) -> JobProgress | None:
        await self._act("job_progress", lambda: None)
        if ended:
            return JobProgress("copying memory", self.world.now, self.world.now - 2, 4 << 20)
        move = self.world.moves.get(uuid)
        if move is None or move.source != self.name:
            return None
        return JobProgress("copying memory", self.world.now, done=move.ticks, total=3)

    async def guest_answers(self, uuid: str) -> bool | None:
        await self._act("guest_answers", lambda: None)
        self.world.agent_asked += 1
        self.world.tick(self.world.agent_s)
        return self.world.agent

    async def abort_job(self, uuid: str) -> None:
        def act() -> None:
            move = self.world.moves.get(uuid)
            if move is None:
                raise Refused("no job is active on the domain")
            move.aborted, move.ended = True, ""
            self.world.moves.pop(uuid)

        await self._act("abort_job", act)

    async def block_copy(
        self, uuid: str, disk: str, path: str, fmt: str, bandwidth_mib: int = 0
    ) -> None:
        def act() -> None:
            if not self._domain(uuid).state.active:
                raise Refused("domain is not running")
            if (self.name, path) not in self.world.volumes:
                raise Failed("no such volume", proof=path)
            self.world.mirrors[(self.name, uuid)] = Mirror(path)

        await self._act("block_copy", act)

    async def block_job(self, uuid: str, disk: str) -> BlockJob | None:
        await self._act("block_job", lambda: None)
        mirror = self.world.mirrors.get((self.name, uuid))
        if mirror is None:
            return None
        if mirror.ticks >= 2 and (self.name, mirror.path) in self.world.volumes:
            self.world.volumes[(self.name, mirror.path)] = "data"
        return BlockJob(min(mirror.ticks, 2), 2, mirror.ticks >= 2)

    async def block_pivot(self, uuid: str, disk: str) -> None:
        def act() -> None:
            mirror = self.world.mirrors.pop((self.name, uuid), None)
            if mirror is None or mirror.ticks < 2:
                raise Failed("block copy not ready")
            self._domain(uuid).path = mirror.path

        await self._act("block_pivot", act)

    async def block_abort(self, uuid: str, disk: str) -> None:
        await self._act("block_abort", lambda: self.world.mirrors.pop((self.name, uuid), None))

    async def repoint_disk(self, uuid: str, disk: str, path: str, fmt: str) -> None:
        def act() -> None:
            if self._domain(uuid).state.active:
                self.world.damage.append("repointed a running domain")
            self._domain(uuid).path = path

        await self._act("repoint_disk", act)

    async def create_volume(
        self, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
    ) -> Volume:
        def act() -> Volume:
            self._make(f"/{pool}/{name}", "empty")
            return self.world.volume(self.name, f"/{pool}/{name}")

        return await self._act("create_volume", act)  # type: ignore[return-value]

    def _make(self, path: str, content: str) -> None:
        if (self.name, path) in self.world.volumes:
            self.world.damage.append(f"wrote over {path}")
            raise Refused("storage volume already exists")
        self.world.volumes[(self.name, path)] = content

    async def clone_volume(self, path: str, pool: str, name: str,
                           progress: Callable[[int, int], None]) -> Volume:  # fmt: skip
        new = f"/{pool}/{name}"
        await self._act("clone_volume", lambda: self._make(new, "partial"))
        for done in range(3):
            progress(done, 3)
            await asyncio.sleep(0)
            if self.console.dead:
                raise Killed
        await self._act("clone_end", lambda: self.world.volumes.update({
            (self.name, new): self.world.volumes[(self.name, path)]}))  # fmt: skip
        return self.world.volume(self.name, new)

    async def checksum(self, path: str) -> str:
        await self._act("checksum", lambda: None)
        return self.world.volumes[(self.name, path)]

    async def delete_volume(self, path: str) -> None:
        def act() -> None:
            if (self.name, path) not in self.world.volumes:
                raise Gone("no such volume", proof=path)
            named = [d for (h, _), d in self.world.domains.items()
                     if h == self.name and d.path == path]  # fmt: skip
            mirrored = [m for (h, _), m in self.world.mirrors.items()
                        if h == self.name and m.path == path]  # fmt: skip
            moving = [m for m in self.world.moves.values()
                      if m.target == self.name and m.path == path]  # fmt: skip
            if named or mirrored or moving:
                self.world.damage.append(f"deleted {path}, which is in use")
                raise Busy("in use")
            del self.world.volumes[(self.name, path)]

        await self._act("delete_volume", act)

    async def find_volume(self, path: str) -> Volume | None:
        await self._act("find_volume", lambda: None)
        found = (self.name, path) in self.world.volumes
        return self.world.volume(self.name, path) if found else None
