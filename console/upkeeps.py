"""What screens ask for hosts as a whole: plans of operations, their start, and cordons."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from console.flows import answer
from drivers.errors import DriverError
from drivers.model.operation import OperationKind, WishVerb
from screens import messages as ask
from screens.base import FleetScreen

if TYPE_CHECKING:
    from console.app import NovaCronApp


class Upkeeps:
    """Runs inside workers of the App; a screen that is gone by then gets nothing."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app

    def of(self, message: ask.Upkeep) -> Coroutine[Any, Any, None]:
        """The work that answers a message."""
        match message:
            case ask.PlanWanted():
                return self._plan(self._app.front, message)
            case ask.OperationStarted():
                return self._start(message)
            case ask.OperationSteered():
                return self._steer(message)
            case ask.OperationDismissed():
                return answer(self._app.backend.maintenance.dismiss(message.operation_id))
            case ask.MoveRetargeted():
                desk = self._app.backend.maintenance
                return answer(desk.retarget(message.operation_id, message.uuid, message.target))
            case ask.CordonSet():
                return self._cordon(message)
            case _:
                raise NotImplementedError(type(message).__name__)

    async def _plan(self, screen: FleetScreen | None, message: ask.PlanWanted) -> None:
        from screens.operating import OperationScreen  # after the first paint

        desk, parent = self._app.backend.maintenance, ""
        try:
            choices, pins = dict(message.choices), dict(message.pins)
            if message.kind is OperationKind.DRAIN:
                plan = await answer(desk.plan_drain(message.host, choices, pins))
            elif message.kind is OperationKind.UPGRADE:
                hosts = message.host.split(",")
                plan = await answer(desk.plan_upgrade(hosts, message.rules, choices))
            else:
                plan, parent = await answer(desk.plan_back(message.kind, message.host, choices))
        except DriverError as error:
            if isinstance(screen, OperationScreen) and screen.is_attached:
                screen.failure = error.problem
            return
        if isinstance(screen, OperationScreen) and screen.is_attached:
            screen.parent_id = parent
            screen.plan = plan

    async def _start(self, message: ask.OperationStarted) -> None:
        await answer(self._app.backend.maintenance.start(message.plan, message.parent))

    async def _steer(self, message: ask.OperationSteered) -> None:
        desk = self._app.backend.maintenance
        steer = {
            WishVerb.PAUSE: desk.pause,
            WishVerb.RESUME: desk.resume,
            WishVerb.CANCEL: desk.cancel,
            WishVerb.SKIP: desk.skip,
        }
        await answer(steer[message.verb](message.operation_id))

    async def _cordon(self, message: ask.CordonSet) -> None:
        desk = self._app.backend.maintenance
        if message.closed:
            await answer(desk.cordon(message.host))
            told = f"{message.host} takes no VMs until it is uncordoned"
        else:
            opened = await answer(desk.uncordon(message.host))
            told = f"{message.host} " + ("takes VMs again" if opened else "is not cordoned")
        self._app.notify(told, markup=False)
