"""The lines an upgrade runs: told and kept without what looks like a secret, run as configured."""

from __future__ import annotations

from dataclasses import replace

from console.policy.redact import MASK, redacted
from drivers.model.job import Check, Verdict
from drivers.model.problem import Problem
from drivers.model.upgrade import UpgradeRules


def lines_of(rules: UpgradeRules) -> tuple[str, ...]:
    """Every line that may be run."""
    return (*rules.commands, rules.reboot_command, *rules.health)


def told_rules(rules: UpgradeRules) -> UpgradeRules:
    """The rules as they are shown, kept and audited."""
    return replace(
        rules,
        commands=tuple(redacted(line) for line in rules.commands),
        reboot_command=redacted(rules.reboot_command),
        health=tuple(redacted(line) for line in rules.health),
    )


def ambiguous(rules: UpgradeRules) -> Problem | None:
    """Why these lines could not be told apart later; None when they can."""
    seen: dict[str, str] = {}
    for line in lines_of(rules):
        told = redacted(line)
        if seen.setdefault(told, line) != line:
            what = f"two lines differ only in what looks like a secret: {told}"
            return Problem(what, fix=_FIX, code="secret")
    return None


def configured_line(told: str, rules: UpgradeRules | None) -> str | None:
    """The line to run for one that was told; None where its secret is not configured any more."""
    if MASK not in told:
        return told
    lines = lines_of(rules) if rules is not None else ()
    return next((line for line in lines if redacted(line) == told), None)


def secret_checks(told: UpgradeRules) -> tuple[Check, ...]:
    """A warning for each line that holds what looks like a secret."""
    lines = dict.fromkeys(line for line in lines_of(told) if MASK in line)
    return tuple(
        Check(
            "secret",
            Verdict.WARN,
            f"a line holds what looks like a secret, which everybody on the host can see: {line}",
            "it is neither recorded nor shown here: a resume needs this line in the fleet file",
            _FIX,
        )
        for line in lines
    )


_FIX = "put it in a file on the hosts that only root may read, and let the line read that"
