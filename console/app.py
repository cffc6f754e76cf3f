"""The Textual App: news in, one view out to the screen in front, requests on to the backend."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from console.appkeys import APP_KEYS
from console.appsettings import AppSettings
from console.backend import Backend, News
from console.fetches import Fetches
from console.flows import Flows, answer
from console.guard import Guard
from console.helping import help_entries, last_resort, leave, save_picture
from console.inbox import Inbox, applied
from console.keys import use_keys
from console.looks import Looks
from console.palette import FleetCommands
from console.places import Places
from console.questions import Questions
from console.run_command import CommandLine, run_command
from console.trends import Trends
from console.typeahead import TypeAheadApp
from console.upkeeps import Upkeeps
from console.views import Place
from drivers.model.problem import Problem
from screens import messages as ask
from screens.base import FleetScreen, View
from screens.format import clean_block
from screens.help import HelpScreen
from themes import THEMES

REST = 2.0
"""Rest after showing news, as a multiple of the time it took: redrawing never fills the loop."""


class NewsCame(Message, bubble=False):
    """Something waits in the inbox."""


class NovaCronApp(TypeAheadApp):
    """Thin on purpose: what decides is in the helpers and behind the backend."""

    TITLE = "NovaCron"
    COMMANDS = {FleetCommands}  # noqa: RUF012 - Textual's type
    CSS = """
    App.-ascii * { scrollbar-size: 0 0; }
    App.-ascii Toast { border: none; }
    SearchIcon { display: none; }
    App.-ascii CommandPalette #--input, App.-ascii CommandList { border: none; }
    App.-ascii CommandList { scrollbar-size: 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = APP_KEYS

    view: reactive[View] = reactive(View, always_update=True, repaint=False)
    """All that screens may show; the one in front gets it at once."""

    def __init__(
        self,
        backend: Backend,
        *,
        settings: AppSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.backend = backend
        self.settings = settings or AppSettings()
        self._clock = clock
        self._inbox = Inbox()
        self._trends = Trends()
        self._places = Places(self)
        self._questions = Questions(self)
        self._flows = Flows(self)
        self._fetches = Fetches(self)
        self._upkeeps = Upkeeps(self)
        self._guard = Guard(self.tell)
        self._rest_until = 0.0
        self._line = CommandLine(self)
        self.animation_level = "none"
        self._looks = Looks(self)
        self._looks.use_theme(self.settings.theme)
        self.stylesheet.set_variables(self.get_css_variables())
        first = View(now=clock(), ascii=self.settings.ascii, fleet=self.settings.fleet)
        self.set_reactive(NovaCronApp.view, first)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables in every theme, Textual's own included."""
        return dict(THEMES[0].variables)

    def get_key_display(self, binding: Binding) -> str:
        """The key as it is shown; in words where arrows and signs are not ASCII."""
        shown = super().get_key_display(binding)
        return shown if shown.isascii() or not self.view.ascii else binding.key

    @property
    def front(self) -> FleetScreen | None:
        """The screen under any dialogs."""
        fronts = (s for s in reversed(self.screen_stack) if isinstance(s, FleetScreen))
        return next(fronts, None)

    # -- life ---------------------------------------------------------------------------------

    async def on_mount(self) -> None:
        """Show the first screen, then start the backend."""
        self.set_class(self.settings.ascii, "-ascii")
        await self._places.arrive()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self._lost)
        for problem in use_keys(self, self.settings.keys):
            self.tell(problem)
        self.backend.start(self._publish)
        self.set_interval(1.0, self._tick)

    def _lost(self) -> None:
        """The terminal went away: leave, even if it takes no more bytes."""
        last_resort(self.backend.stop)
        self.exit()

    def on_unmount(self) -> None:
        """Let go of the hosts."""
        self.backend.stop()

    # -- news ---------------------------------------------------------------------------------

    def _publish(self, news: News) -> None:
        """Called from the backend's thread."""
        if self._inbox.put(news):
            self.post_message(NewsCame())

    def on_news_came(self) -> None:
        """Show what waits, after a rest if showing takes long."""
        wait = self._rest_until - time.perf_counter()
        if wait > 0:
            self.set_timer(wait, self._take_news)
        else:
            self._take_news()

    def _take_news(self) -> None:
        started = time.perf_counter()
        batch, now = self._inbox.take(), self._clock()
        if batch.snapshot is not None:
            self._trends.take(batch.snapshot, now)
        self.view = applied(batch, self.view, now, self._trends.values)
        for question in batch.questions:
            self._questions.take(question)
        ended = time.perf_counter()
        self._rest_until = ended + REST * (ended - started)

    def _tick(self) -> None:
        now = self._clock()
        if now - self.view.now > 0.5:
            self.view = replace(self.view, now=now)

    def watch_view(self, view: View) -> None:
        """Hand the view to the screen in front."""
        if (front := self.front) is not None and front.is_mounted:
            front.view = view

    # -- places -------------------------------------------------------------------------------

    def go(self, place: Place) -> None:
        """Show a place and remember the way."""
        self._places.go(place)

    def screen_of(self, place: Place) -> FleetScreen:
        """The screen kept for a place, or a new one."""
        return self._places.screen_of(place)

    def keys_wait(self) -> bool:
        """Whether the next key belongs to a screen or dialog on its way."""
        return self._places.travelling or self._flows.dialog_comes or super().keys_wait()

    def run_guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a flow; its failure is told, and the interface goes on."""
        self.run_worker(self._guard.run(work), group="flow")

    def tell(self, problem: Problem) -> None:
        """A toast: what happened, its proof, and what to do."""
        lines = [line for line in (problem.proof, problem.fix and f"Fix: {problem.fix}") if line]
        text = clean_block("\n".join([problem.what, *lines]))
        self.notify(text, title="Not done", severity="error", timeout=12, markup=False)

    # -- what screens ask for -----------------------------------------------------------------

    def on_vm_opened(self, message: ask.VmOpened) -> None:
        """Show one VM."""
        self.go(Place("vm", message.uuid))

    def on_host_opened(self, message: ask.HostOpened) -> None:
        """Show one host."""
        self.go(Place("host", message.host))

    def on_view_requested(self, message: ask.ViewRequested) -> None:
        """Show a top-level view."""
        self.go(Place(message.view, message.arg))

    def on_went_back(self) -> None:
        """Esc: the place before."""
        self.action_step(-1)

    def on_action_requested(self, message: ask.ActionRequested) -> None:
        """Plan, preview, run."""
        self.run_guarded(self._flows.expected(self._flows.act(message, self.view.snapshot)))

    def on_job_cancelled(self, message: ask.JobCancelled) -> None:
        """Stop a job."""
        self.run_guarded(answer(self.backend.cancel(message.job_id)))

    def on_lever_pulled(self, message: ask.LeverPulled) -> None:
        """Pull a lever of a running migration."""
        self.run_guarded(answer(self.backend.pull(message.job_id, message.lever, 0.0)))

    def on_job_followup(self, message: ask.JobFollowup) -> None:
        """Do what an ended job offers."""
        flow = self._flows.followup(message.job_id, message.choice)
        self.run_guarded(self._flows.expected(flow))

    def on_fits_requested(self, message: ask.FitsRequested) -> None:
        """Ask again which targets fit."""
        self.run_guarded(self._flows.fit_again(message.options))

    def on_xml_requested(self, message: ask.XmlRequested) -> None:
        """Show a definition, or fetch it for the screen that shows one."""
        place = Place("xml", message.uuid)
        if self._places.here == place:
            self.run_guarded(self._fetches.xml(self.front, message.uuid, message.inactive))
        else:
            self.go(place)

    def on_matrix_requested(self, message: ask.MatrixRequested) -> None:
        """Ask the hosts for the asking screen's pre-flight."""
        self.run_guarded(self._flows.fetch_matrix(self.front, message.uuids, message.hosts))

    @on(ask.Upkeep)
    def _upkeep(self, message: ask.Upkeep) -> None:
        """Plan, start or steer what is done to a whole host."""
        self.run_guarded(self._upkeeps.of(message))

    @on(ask.Fetch)
    def _fetch(self, message: ask.Fetch) -> None:
        """Fetch what the screen in front waits for."""
        self.run_guarded(self._fetches.of(message))

    def on_console_requested(self, message: ask.ConsoleRequested) -> None:
        """Give the terminal to a VM's serial console."""
        self.run_guarded(self._flows.attach_to(partial(self.backend.attach_console, message.uuid)))

    def on_shell_requested(self, message: ask.ShellRequested) -> None:
        """Give the terminal to a shell on a host."""
        size, term = self.size, os.environ.get("TERM", "xterm")
        opened = partial(self.backend.attach_shell, message.host, size.width, size.height, term)
        self.run_guarded(self._flows.attach_to(opened))

    def on_refresh_requested(self, message: ask.RefreshRequested) -> None:
        """Read again now."""
        self.backend.refresh(message.host)

    def on_theme_chosen(self, message: ask.ThemeChosen) -> None:
        """Use and remember a theme."""
        self._looks.choose_theme(message.name)

    def on_setting_chosen(self, message: ask.SettingChosen) -> None:
        """Use and remember the character set."""
        self._looks.choose(message.name, message.value)

    # -- actions ------------------------------------------------------------------------------

    def action_view(self, view: str) -> None:
        """Go to a top-level view."""
        if view == "help":
            self.action_help()
        else:
            self.go(Place(view))
            self._looks.show()

    def action_step(self, by: int) -> None:
        """Back or forward."""
        self._places.step(by)

    def action_last(self) -> None:
        """Back to the last other place."""
        self._places.swap()

    def action_help(self) -> None:
        """All keys that apply where the help was asked for."""
        if self._places.here.view != "help":
            screen = self.screen_of(Place("help"))
            if isinstance(screen, HelpScreen):
                screen.entries = help_entries(self.screen)
            self.go(Place("help"))

    async def action_command_line(self, value: str = "") -> None:
        """Type a command that begins with ``value``."""
        if (front := self.front) is not None:
            await front.open_prompt(self._line.prompt(value))

    def run_command(self, text: str) -> None:
        """Do what a ``:`` line says."""
        run_command(self, text)

    def action_problems(self) -> None:
        """Only what wants attention, or all."""
        self.view = replace(self.view, problems_only=not self.view.problems_only)

    def action_pause(self) -> None:
        """Stop or resume reading."""
        self.view = replace(self.view, paused=not self.view.paused)
        self.backend.pause(self.view.paused)

    def action_refresh_hosts(self) -> None:
        """Read all hosts again now."""
        self.backend.refresh()

    def action_save(self) -> None:
        """Save the screen as a picture."""
        try:
            path = save_picture(self, self.settings.save_to, self._clock())
        except OSError as error:
            self.tell(Problem("The screen could not be saved.", str(error)))
        else:
            self.notify(f"Saved {path}", markup=False)

    def action_leave(self) -> None:
        """Quit; with jobs running, ask first."""
        leave(self, self.view.jobs)
