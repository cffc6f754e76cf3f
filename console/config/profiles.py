"""Migration profiles of the fleet file, as the options that a request carries."""

from __future__ import annotations

from console.config.schema import FleetFile, MigrationProfile
from drivers.model.migration import AS_USUAL, MoveProfile
from drivers.model.problem import Problem


def profile_options(profile: MigrationProfile) -> dict[str, str]:
    """The options of a profile; what it leaves open is left out."""
    numbers = {
        "bandwidth_mib": profile.bandwidth,
        "downtime_ms": profile.downtime_ms,
        "longest_downtime_ms": profile.longest_downtime_ms,
        "parallel": profile.parallel,
        "finish_s": round(profile.finish_within or 0),
        "compression_level": profile.compression_level,
        "timeout_s": round(profile.timeout or 0),
    }
    switches = {
        "auto_converge": profile.auto_converge,
        "post_copy": profile.post_copy,
        "tunnelled": profile.tunnelled,
        "incremental": profile.incremental,
        "keep_source": profile.keep_source,
        "carry_on": profile.carry_on,
    }
    words = {
        "compression": profile.compression,
        "migrate_uri": profile.migrate_uri,
        "at_timeout": profile.at_timeout,
        "levers": ",".join(profile.levers),
    }
    options = {name: str(value) for name, value in numbers.items() if value}
    options |= {name: "yes" for name, chosen in switches.items() if chosen}
    if profile.mode != "auto":
        options["mode"] = profile.mode
    if profile.persist is not None:
        options["persist"] = "yes" if profile.persist else "no"
    return options | {name: word for name, word in words.items() if word}


def profile_of(fleet: FleetFile, name: str) -> MoveProfile:
    """A profile that the fleet file is known to have, by which operations migrate."""
    return MoveProfile(name, profile_options(fleet.profiles[name])) if name else AS_USUAL


def named_profile(fleet: FleetFile, name: str) -> dict[str, str] | Problem:
    """The options of the profile of that name."""
    profile = fleet.profiles.get(name)
    if profile is None:
        known = ", ".join(sorted(fleet.profiles)) or "none"
        return Problem(
            f"no migration profile is called {name}",
            proof=f"the fleet file has: {known}",
            fix=f"add [profiles.{name}] to it, or name another",
            code="unknown-profile",
        )
    return profile_options(profile)
