"""Which options of a migration these hosts' libvirt and QEMU know, by their versions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.policy.migration_checks import version_key
from drivers.model.host import Host
from drivers.model.job import Check, Verdict


@dataclass(frozen=True, slots=True)
class Needed:
    """The least versions on both ends; ``gone`` is the QEMU from which on it is no more."""

    libvirt: str
    qemu: str
    gone: str = ""


RESUME = Needed("8.5", "3.0")
"""Recovering a post-copy migration whose link broke."""

_OPTIONS: Mapping[str, Needed] = {
    "auto_converge": Needed("1.2.3", "1.6"),
    "post_copy": Needed("1.3.3", "2.6"),
    "parallel": Needed("5.2", "4.0"),
    "tunnelled": Needed("0.7.2", "0.12"),
    "incremental": Needed("0.8.2", "0.12"),
}
_METHODS: Mapping[str, Needed] = {
    "xbzrle": Needed("1.3.4", "1.2"),
    "mt": Needed("1.3.4", "2.4", "9.1"),
    "zlib": Needed("9.1", "5.0"),
    "zstd": Needed("9.1", "5.0"),
}


def lack(needed: Needed, *hosts: Host) -> str:
    """Why these hosts cannot do it, with the versions; empty where they can or do not tell."""
    for host in hosts:
        facts = host.facts
        pairs = (
            ("libvirt", needed.libvirt, facts.libvirt_version if facts else ""),
            ("QEMU", needed.qemu, facts.qemu_version if facts else ""),
        )
        for name, least, have in pairs:
            if have and version_key(have) < version_key(least):
                return f"needs {name} {least}, {host.name} has {have}"
        have = facts.qemu_version if facts else ""
        if needed.gone and have and version_key(have) >= version_key(needed.gone):
            return f"QEMU {needed.gone} gave it up, {host.name} has {have}"
    return ""


def lacking(here: Host, there: Host) -> tuple[tuple[str, str], ...]:
    """(option, reason) of what these two cannot do; a method of compression by its own name."""
    known = {**_OPTIONS, **_METHODS}
    found = ((name, lack(needed, here, there)) for name, needed in known.items())
    return tuple((name, why) for name, why in found if why)


def option_checks(options: Mapping[str, str], here: Host, there: Host) -> tuple[Check, ...]:
    """One blocked check for each chosen option that these hosts lack."""
    chosen = {name for name in _OPTIONS if options.get(name, "") not in ("", "no", "0")}
    chosen |= {options.get("compression", "")} - {""}
    return tuple(
        Check(
            f"option {name}",
            Verdict.BLOCKED,
            f"{name.replace('_', '-')} cannot be had between {here.name} and {there.name}",
            why,
            "leave it out, or update the host",
        )
        for name, why in lacking(here, there)
        if name in chosen
    )
