"""A preview that is not true any more: the reason is told and a fresh one is shown."""

from __future__ import annotations

from concurrent.futures import Future

from console.jobs.admission import Changed
from drivers.model.job import Plan
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.test_app import shown


async def test_a_stale_preview_is_told_and_shown_afresh(
    running: Running, backend: FakeBackend
) -> None:
    """Yes to a plan that has changed runs nothing; yes to the fresh one runs that."""
    run = backend.run

    def refuse_once(_plans: tuple[Plan, ...]) -> Future[tuple[str, ...]]:
        future: Future[tuple[str, ...]] = Future()
        future.set_exception(Changed("reboot web1 is not what its preview showed", "on kvm2 now"))
        backend.run = run  # type: ignore[method-assign]
        return future

    backend.run = refuse_once  # type: ignore[method-assign]
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "colon", *"reboot web1", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 3)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "on kvm2 now" in shown(app))
        assert backend.verbs().count("plan") == 2
        assert "run" not in backend.verbs()
        await until(pilot, lambda: len(app.screen_stack) == 3)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "run" in backend.verbs())
        assert backend.verbs().count("plan") == 2
