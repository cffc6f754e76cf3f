"""Known words of libvirt and QEMU, with their cause and what to do; unknown ones stay whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from console.policy.failure_texts import KNOWN
from drivers.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Scene:
    """Who was involved, to put names into a fix."""

    vm: str = "the VM"
    source: str = "the source"
    target: str = "the target"
    retry: str = ""

    def words(self) -> Mapping[str, str]:
        """The names a text may use in braces."""
        return {"vm": self.vm, "source": self.source, "target": self.target}


def explain(problem: Problem, scene: Scene) -> Problem:
    """The same failure with its cause and fix, where its text is known.

    The host's own words stay whole as proof. A fix the driver gave is kept unless a better one is
    known; the command that tries again is added once there is something to try.
    """
    own = " ".join(part for part in (problem.what, problem.proof) if part)
    for failure in KNOWN:
        found = re.search(failure.pattern, own, re.IGNORECASE)
        if found is None:
            continue
        names = dict(scene.words())
        names.update({k: v for k, v in found.groupdict().items() if v is not None})
        fix = _fill(failure.fix, names)
        if failure.retry and scene.retry:
            fix = f"{fix}; then: {_without(scene.retry, failure.without)}"
        return Problem(_fill(failure.cause, names), own, fix, failure.code)
    if problem.fix or not scene.retry:
        return problem
    return replace(problem, fix=f"when the cause is gone: {scene.retry}")


def _without(line: str, switches: frozenset[str]) -> str:
    if not switches:
        return line
    return shlex.join(word for word in shlex.split(line) if word not in switches)


def _fill(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: names.get(m.group(1), m.group(0)), text)
