"""What screens ask for. Messages carry ids and plain values; the App answers them.

Screens never act: they post one of these and wait for new values in their reactives.
"""

from __future__ import annotations

from textual.message import Message

from drivers.model.ask import KeyDecision
from drivers.model.event import EventQuery
from drivers.model.history import HistoryQuery
from drivers.model.job import Action
from drivers.model.migration import Lever
from drivers.model.operation import Choice, OperationKind, OperationPlan, WishVerb


class VmOpened(Message):
    """Show one VM."""

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid


class HostOpened(Message):
    """Show one host."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host


class ViewRequested(Message):
    """Go to a top-level view by name: fleet, hosts, vms, storage, jobs, events, history."""

    def __init__(self, view: str, arg: str = "") -> None:
        super().__init__()
        self.view = view
        self.arg = arg


class ActionRequested(Message):
    """Plan an action for one or more VMs; the answer is a preview."""

    def __init__(
        self,
        action: Action,
        uuids: tuple[str, ...],
        target: str = "",
        options: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__()
        self.action = action
        self.uuids = uuids
        self.target = target
        self.options = options


class PlansConfirmed(Message):
    """Run exactly the previewed plans."""

    def __init__(self, plan_ids: tuple[str, ...]) -> None:
        super().__init__()
        self.plan_ids = plan_ids


class JobCancelled(Message):
    """Stop a running job."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id


class LeverPulled(Message):
    """Pull a lever of a running migration."""

    def __init__(self, job_id: str, lever: Lever) -> None:
        super().__init__()
        self.job_id = job_id
        self.lever = lever


class JobFollowup(Message):
    """Do what an ended job offers: ``force-off``, ``finish``, ``undo``, ``dismiss``, ``retry``.

    With an operation's id ``finish`` is done for all its jobs.
    """

    def __init__(self, job_id: str, choice: str) -> None:
        super().__init__()
        self.job_id = job_id
        self.choice = choice


class FitsRequested(Message):
    """Ask again which targets fit, with other options; the answer reaches the dialog's ``fits``."""

    def __init__(self, options: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.options = options


class XmlRequested(Message):
    """Fetch a domain's XML."""

    def __init__(self, uuid: str, inactive: bool = False) -> None:
        super().__init__()
        self.uuid = uuid
        self.inactive = inactive


class Fetch(Message):
    """Something to fetch for the screen in front; the answer is set as one of its values."""


class JobsWanted(Fetch):
    """Read the jobs of an operation from the history, also other consoles'; they come as news."""

    def __init__(self, operation_id: str) -> None:
        super().__init__()
        self.operation_id = operation_id


class MatrixRequested(Message):
    """Fetch the pre-flight of VMs against hosts (none: all) for the screen in front.

    The answer reaches its ``matrix``, or why there is none its ``failure``.
    """

    def __init__(self, uuids: tuple[str, ...], hosts: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.uuids = uuids
        self.hosts = hosts


class HistoryRequested(Fetch):
    """Fetch recorded series; the answer reaches the asking screen's ``series``."""

    def __init__(self, queries: tuple[HistoryQuery, ...]) -> None:
        super().__init__()
        self.queries = queries


class EventsRequested(Fetch):
    """Fetch recorded events; the answer reaches the asking screen's ``page``."""

    def __init__(self, query: EventQuery) -> None:
        super().__init__()
        self.query = query


class NamesRequested(Fetch):
    """Fetch the names of everything recorded; they reach the asking screen's ``names``.

    ``names`` is a tuple of (kind, identity, name), kind being ``vm`` or ``host``.
    """


class ConsoleRequested(Message):
    """Leave for a VM's serial console."""

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid


class ShellRequested(Message):
    """Leave for a shell on a host."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host


class RefreshRequested(Message):
    """Read again now: one host, or all when empty. Also closes an open circuit breaker."""

    def __init__(self, host: str = "") -> None:
        super().__init__()
        self.host = host


class HostKeyDecided(Message):
    """A person decided about a host key."""

    def __init__(self, question_id: str, decision: KeyDecision) -> None:
        super().__init__()
        self.question_id = question_id
        self.decision = decision


class SecretAnswered(Message):
    """A person answered (or dismissed: None) a password or 2FA question."""

    def __init__(self, question_id: str, answers: tuple[str, ...] | None) -> None:
        super().__init__()
        self.question_id = question_id
        self.answers = answers


class ThemeChosen(Message):
    """Use and remember a theme."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class WentBack(Message):
    """Return to where the person was before."""


class SettingChosen(Message):
    """Use and remember a setting: ``ascii`` with ``on`` or ``off``."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__()
        self.name = name
        self.value = value


class Upkeep(Message):
    """Something about the maintenance of a host; failures are told."""


class PlanWanted(Upkeep):
    """Plan an operation for the screen in front; the answer reaches its ``plan``.

    An upgrade's ``host`` is all its hosts with commas, ``rules`` the name of ``[upgrades.NAME]``.

    ``choices`` and ``pins`` are (VM UUID, choice) and (VM UUID, target).
    """

    def __init__(
        self,
        kind: OperationKind,
        host: str,
        choices: tuple[tuple[str, Choice], ...] = (),
        pins: tuple[tuple[str, str], ...] = (),
        rules: str = "",
    ) -> None:
        super().__init__()
        self.kind = kind
        self.host = host
        self.choices = choices
        self.pins = pins
        self.rules = rules


class OperationStarted(Upkeep):
    """Run exactly the plan that was shown."""

    def __init__(self, plan: OperationPlan, parent: str = "") -> None:
        super().__init__()
        self.plan = plan
        self.parent = parent


class OperationSteered(Upkeep):
    """Pause, resume or cancel an operation."""

    def __init__(self, operation_id: str, verb: WishVerb) -> None:
        super().__init__()
        self.operation_id = operation_id
        self.verb = verb


class OperationDismissed(Upkeep):
    """Take an operation that failed for good off that list."""

    def __init__(self, operation_id: str) -> None:
        super().__init__()
        self.operation_id = operation_id


class MoveRetargeted(Upkeep):
    """Send a VM that still waits to another target."""

    def __init__(self, operation_id: str, uuid: str, target: str) -> None:
        super().__init__()
        self.operation_id = operation_id
        self.uuid = uuid
        self.target = target


class CordonSet(Upkeep):
    """Close a host to new VMs, or open it again."""

    def __init__(self, host: str, closed: bool) -> None:
        super().__init__()
        self.host = host
        self.closed = closed
