"""The boundary at which a flow's failure becomes a toast instead of the end of the console."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from drivers.errors import DriverError
from drivers.model.problem import Problem
from store.api import StoreError


class Guard:
    """Runs flows; whatever the backend does, the interface goes on."""

    def __init__(self, tell: Callable[[Problem], None]) -> None:
        self._tell = tell

    async def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Await the work and tell its failure."""
        try:
            await work
        except (DriverError, StoreError) as error:
            self._tell(error.problem)
        except Exception as error:  # noqa: BLE001 - worker boundary: a bug must not end the console
            fix = "look at the jobs and the VM before trying again"
            self._tell(Problem("Something unexpected went wrong.", repr(error), fix))
