"""Dialogs in their order: from an action asked for, over plan and preview, to its jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from console.attach import attach
from console.backend import AttachedStream
from console.bulk import combined
from console.policy.changes import CHANGED
from drivers.errors import DriverError
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Plan, Request, TargetFit
from drivers.model.problem import Problem
from drivers.model.vm import Vm
from screens.base import FleetScreen
from screens.dialogs.delete import DeleteDialog
from screens.dialogs.dialog import Dialog
from screens.dialogs.disk import DiskDialog, why_fixed
from screens.dialogs.preview import PreviewDialog
from screens.dialogs.target import TargetDialog
from screens.messages import ActionRequested

if TYPE_CHECKING:
    from console.app import NovaCronApp

T = TypeVar("T")
Options = tuple[tuple[str, str], ...]
FitsOf = Callable[[Options], Awaitable[tuple[TargetFit, ...]]]

DIALOG_S = 1.0
"""Seconds that keys wait for the next dialog of a flow; then they go to the screen there is."""


class Flows:
    """Runs inside workers of the App: each step may wait for a person or for the backend."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app
        self._open = 0
        self._since = 0.0
        self._choosing: tuple[TargetDialog, FitsOf] | None = None

    @property
    def dialog_comes(self) -> bool:
        """Whether a flow is about to show a dialog that the next key belongs to."""
        app, screen = self._app, self._app.screen
        soon = time.monotonic() - self._since < DIALOG_S
        coming = screen is app.front or (isinstance(screen, TargetDialog) and screen.waiting)
        return self._open > 0 and soon and coming

    def expected(self, flow: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        """The same flow; from this moment on its first dialog is waited for."""
        self._open += 1
        self._since = time.monotonic()
        return self._counted(flow)

    async def _counted(self, flow: Coroutine[Any, Any, None]) -> None:
        try:
            await flow
        finally:
            self._open -= 1

    async def _answered(self, dialog: Dialog[T]) -> T | None:
        answer = await self._app.push_screen_wait(dialog)
        self._since = time.monotonic()
        return answer

    async def act(self, asked: ActionRequested, snapshot: FleetSnapshot) -> None:
        """Complete what was asked for, plan it, preview it and run it; any step may end it."""
        requests = await self._requests(asked, snapshot)
        if not requests:
            return
        await self._preview(lambda: self._app.backend.plan(requests))

    async def _preview(self, planned: Callable[[], Future[tuple[Plan, ...]]]) -> None:
        """Show plans and run exactly those that can run, if the person says so.

        When what was shown is not true any more, that is told and a fresh preview follows.
        """
        plans = await answer(planned())
        if not plans or not await self._answered(PreviewDialog(plans)):
            return
        ready = tuple(plan for plan in plans if plan.refusal is None)
        if not ready:
            return
        try:
            await answer(self._app.backend.run(ready))
        except DriverError as error:
            if error.problem.code != CHANGED:
                raise
            self._app.tell(error.problem)
            await self._preview(planned)

    async def followup(self, job_id: str, choice: str) -> None:
        """What an ended job offers: straight away, or over a preview when it needs one."""
        await self._preview(lambda: self._app.backend.followup(job_id, choice))

    async def fetch_matrix(
        self, screen: FleetScreen | None, uuids: tuple[str, ...], hosts: tuple[str, ...]
    ) -> None:
        """A pre-flight, or why there is none, for the screen that asked."""
        from screens.preflight import PreflightScreen  # after the first paint

        try:
            matrix = await answer(self._app.backend.preflight(uuids, hosts))
        except DriverError as error:
            if isinstance(screen, PreflightScreen) and screen.is_attached:
                screen.failure = error.problem
            return
        if isinstance(screen, PreflightScreen) and screen.is_attached:
            screen.matrix = matrix

    async def attach_to(self, opened: Callable[[], Future[AttachedStream]]) -> None:
        """Give the terminal to a stream and take it back."""
        attached = await answer(opened())
        with self._app.suspend():
            ended = attach(attached)
        if ended:
            self._app.notify(ended, markup=False)

    async def _requests(
        self, asked: ActionRequested, snapshot: FleetSnapshot
    ) -> tuple[Request, ...]:
        vms = [vm for uuid in asked.uuids if (vm := snapshot.vm(uuid)) is not None]
        if not vms:
            self._app.tell(Problem("That VM is on no host any more.", fix="refresh with Ctrl-r"))
            return ()
        if asked.action is Action.DELETE:
            return await self._deletions(vms)
        if asked.target or asked.action not in (Action.MIGRATE, Action.TIER):
            given = dict(asked.options)
            return tuple(Request(asked.action, vm.uuid, asked.target, given) for vm in vms)
        return await self._moves(asked, vms, snapshot)

    async def _moves(
        self, asked: ActionRequested, vms: list[Vm], snapshot: FleetSnapshot
    ) -> tuple[Request, ...]:
        """One target for all; which disk is asked for each VM that has several."""
        disks = {vm.uuid: dict(asked.options).get("disk", "") for vm in vms}
        if asked.action is Action.TIER:
            for vm in vms:
                found = disks[vm.uuid] or await self._disk(vm)
                if found is None:
                    return ()
                disks[vm.uuid] = found
        ask = self._app.backend.targets

        async def fits(options: Options) -> tuple[TargetFit, ...]:
            given = dict((*asked.options, *options))
            asking = [ask(asked.action, vm.uuid, disks[vm.uuid], given) for vm in vms]
            return combined([*zip(vms, [await answer(a) for a in asking], strict=True)], snapshot)

        profiles = self._app.settings.profiles
        dialog = TargetDialog(vms[0], asked.action, None, count=len(vms), profiles=profiles)
        self._choosing = dialog, fits
        self._app.run_guarded(self.fit_again(()))
        chosen = await self._answered(dialog)
        if chosen is None:
            return ()
        target, options = chosen
        given = dict((*asked.options, *options))
        return tuple(
            Request(asked.action, vm.uuid, target, given | _disk_option(disks[vm.uuid]))
            for vm in vms
            if asked.action is not Action.MIGRATE or vm.host != target
        )

    async def fit_again(self, options: Options) -> None:
        """What fits with other options, for the dialog that asked, if it still has them."""
        if self._choosing is None:
            return
        dialog, fits = self._choosing
        try:
            found = await fits(options)
        except DriverError:
            if dialog.is_current:
                dialog.dismiss(None)
            raise
        dialog.take(found, options)

    async def _disk(self, vm: Vm) -> str | None:
        movable = [disk.target for disk in vm.disks if not why_fixed(disk)]
        if len(movable) == 1:
            return movable[0]
        return await self._answered(DiskDialog(vm))

    async def _deletions(self, vms: list[Vm]) -> tuple[Request, ...]:
        requests = []
        for vm in vms:
            volumes = await answer(self._app.backend.volumes_of(vm.uuid))
            paths = await self._answered(DeleteDialog(vm, volumes))
            if paths is None:
                return ()
            requests.append(Request(Action.DELETE, vm.uuid, options={"volumes": ",".join(paths)}))
        return tuple(requests)


def _disk_option(disk: str) -> dict[str, str]:
    return {"disk": disk} if disk else {}


async def answer(future: Future[T]) -> T:
    """Wait for the backend without holding the interface."""
    return await asyncio.wrap_future(future)
