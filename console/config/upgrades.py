"""Upgrades of the fleet file, as the planner takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from console.config.schema import FleetFile, UpgradeEntry
from drivers.model.upgrade import UpgradeRules


def upgrades_of(fleet: FleetFile) -> Mapping[str, UpgradeRules]:
    """How hosts are upgraded, by name; that of ``[upgrade]`` has the empty one."""
    told = {name: _rules(name, entry) for name, entry in fleet.upgrades.items()}
    if fleet.upgrade is not None:
        told[""] = _rules("", fleet.upgrade)
    return told


def _rules(name: str, entry: UpgradeEntry) -> UpgradeRules:
    return UpgradeRules(
        name,
        _lines(entry.commands),
        entry.reboot,
        entry.reboot_command,
        entry.expect_kernel,
        _lines(entry.health),
        entry.root,
        entry.max_out,
        entry.canary,
        entry.keep_spare,
        entry.command_deadline,
        entry.back_deadline,
    )


def _lines(commands: tuple[str | tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(c if isinstance(c, str) else shlex.join(c) for c in commands)
