"""An upgrade's plan and stages on a terminal, or as JSON."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

from console.headless.tables import print_rows
from console.policy.upgrade.words import label, time_words
from drivers.model.operation import Operation, StageRun, UpgradeHost, UpgradePlan
from screens.format import clean

COLUMNS = ("host", "batch", "vms", "meanwhile", "n_plus_1", "kernel")


def print_upgrade(upgrade: UpgradePlan, say: Callable[[str], None]) -> None:
    """The hosts in order as a table on standard error, and how long it takes."""
    print_rows(COLUMNS, [_row(upgrade, host) for host in upgrade.hosts], out=sys.stderr)
    say(f"  {time_words(upgrade)}")
    for check in upgrade.checks:
        say(f"  {check.verdict}: {check.text} ({check.proof}); {check.fix}")


def _row(upgrade: UpgradePlan, host: UpgradeHost) -> tuple[object, ...]:
    ends = Counter(m.target for m in host.moves if m.target != host.host)
    places = ", ".join(f"{name} ({count})" for name, count in sorted(ends.items()))
    spare = str(host.spare.verdict) if host.spare is not None else ""
    name = label(upgrade, host.host)
    return (name, host.batch, len(host.moves), places, spare, host.kernel)


def stage_line(run: StageRun) -> str:
    """``kvm1 command done: exit status 0 (apt-get update)``."""
    stage = run.stage
    note = f": {run.note}" if run.note else ""
    command = f" ({stage.command})" if stage.command else ""
    return clean(f"{stage.host} {stage.verb} {run.state}{note}{command}")


def stages_json(operation: Operation) -> list[dict[str, object]]:
    """Every stage with its state, the command and the end of what that printed."""
    return [
        {
            "host": run.stage.host,
            "stage": str(run.stage.verb),
            "command": run.stage.command,
            "state": str(run.state),
            "note": run.note,
            "output": run.output,
            "tries": run.tries,
            "ticket": run.ticket,
        }
        for run in operation.stages
    ]
