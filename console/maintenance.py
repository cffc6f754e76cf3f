"""Cordons and operations for the interface and the command line; every call returns a future."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from console.operations.finishing import take_up_jobs
from drivers.model.operation import Choice, Operation, OperationKind, OperationPlan

if TYPE_CHECKING:
    from console.answers import Books, Submit
    from console.operations.runner import OperationRunner

T = TypeVar("T")
Holders = Callable[[], Coroutine[None, None, dict[str, str]]]


class Maintenance:
    """Passes on to the operation runner once the history is open.

    Failures arrive as DriverError in the futures.
    """

    def __init__(self, submit: Submit, books: Books, holders: Holders) -> None:
        self._submit = submit
        self._books = books
        self._holders = holders

    def plan_drain(
        self, host: str, choices: Mapping[str, Choice], pins: Mapping[str, str]
    ) -> Future[OperationPlan]:
        """How a host would be emptied; ``pins`` is VM UUID to the target it must have."""
        return self._ask(lambda o: o.plan_drain(host, choices, pins))

    def plan_back(
        self, kind: OperationKind, name: str, choices: Mapping[str, Choice]
    ) -> Future[tuple[OperationPlan, str]]:
        """How a host's VMs come home (RETURN, a host), or an operation is undone (UNDO, its id)."""
        if kind is OperationKind.RETURN:
            return self._ask(lambda o: o.plan_return(name, choices))
        return self._ask(lambda o: o.plan_undo(name, choices))

    def plan_upgrade(
        self,
        hosts: Sequence[str],
        name: str,
        choices: Mapping[str, Choice],
        *,
        max_out: int = 0,
        canary: str = "",
    ) -> Future[OperationPlan]:
        """How these hosts would be upgraded, as ``[upgrade]`` or ``[upgrades.NAME]`` says."""
        return self._ask(
            lambda o: o.plan_upgrade(hosts, name, choices, max_out=max_out, canary=canary)
        )

    def start(self, plan: OperationPlan, parent: str = "") -> Future[str]:
        """Record a plan as an operation and begin it; returns its id."""
        return self._ask(lambda o: o.start(plan, parent))

    def resume(self, operation_id: str) -> Future[None]:
        """Go on with a paused operation, or with one whose console has ended."""
        return self._ask(lambda o: o.resume(operation_id))

    def skip(self, operation_id: str) -> Future[None]:
        """Count what failed in an upgrade as done, and go on."""
        return self._ask(lambda o: o.skip(operation_id))

    def pause(self, operation_id: str) -> Future[None]:
        """Begin nothing more; what moves now arrives."""
        return self._ask(lambda o: o.pause(operation_id))

    def cancel(self, operation_id: str) -> Future[None]:
        """Stop what moves now and give up the rest."""
        return self._ask(lambda o: o.cancel(operation_id))

    def dismiss(self, operation_id: str) -> Future[None]:
        """Take an operation that failed for good off that list."""
        return self._ask(lambda o: o.dismiss(operation_id))

    def retarget(self, operation_id: str, uuid: str, target: str) -> Future[None]:
        """Give a VM that still waits another target."""
        return self._ask(lambda o: o.retarget(operation_id, uuid, target))

    def cordon(self, host: str, reason: str = "") -> Future[None]:
        """Close a host to new VMs."""
        return self._ask(lambda o: o.cordon(host, reason))

    def uncordon(self, host: str) -> Future[bool]:
        """Open it again; False where it was open."""
        return self._ask(lambda o: o.uncordon(host))

    def recorded(self) -> Future[tuple[Operation, ...]]:
        """Operations, newest first, as the store holds them now."""
        return self._ask(lambda o: o.recorded())

    def read_jobs(self, operation_id: str) -> Future[None]:
        """Take up an operation's jobs from the history, also other consoles'; they are news."""

        async def read(runner: OperationRunner) -> None:
            for operation in runner.operations:
                if operation.id == operation_id:
                    await take_up_jobs(self._books, operation)

        return self._ask(read)

    def leases(self) -> Future[dict[str, str]]:
        """Host to who holds its lease now, in their words, as far as hosts tell."""
        return self._submit(self._holders())

    def _ask(self, question: Callable[[OperationRunner], Coroutine[None, None, T]]) -> Future[T]:
        async def ask() -> T:
            return await question(await self._books.maintenance())

        return self._submit(ask())
