"""Read a fleet file and turn it into host specifications."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from console.config.lines import key_lines, line_of
from console.config.profiles import profile_of
from console.config.schema import FleetFile, HostDefaults, HostEntry, Intervals, Misplaced
from console.policy.bounds import Bounds, small_bytes
from console.policy.preflight.grounds import Group, Rules
from drivers.errors import DriverError
from drivers.model.host import HostSpec, Protect, Transport
from drivers.model.problem import Problem
from drivers.uri import masked, parse_uri


class ConfigError(Exception):
    """The fleet file cannot be used; each problem names file, line, key and what was expected."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


def load_fleet(path: Path) -> FleetFile:
    """Read and validate ``path``.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or says something it may not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _error(
            f"There is no fleet file at {path}.",
            fix="run `novacron init` to write one, or `novacron qemu+ssh://root@HOST/system`",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _error(f"{path} cannot be read.", proof=str(error)) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _error(f"{path} is not valid TOML.", proof=str(error)) from error
    try:
        return FleetFile.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(path, text, error)) from error


def specs_of(fleet: FleetFile) -> tuple[HostSpec, ...]:
    """Host specifications, with defaults and sites applied, nearest first."""
    return tuple(_spec(fleet, host) for host in fleet.hosts)


def rules_of(fleet: FleetFile) -> Rules:
    """The limits and groups of ``[policy]``, as the planners take them."""
    told, usual = fleet.policy, Rules()
    return Rules(
        cpu_overcommit=told.cpu_overcommit,
        memory_overcommit=told.memory_overcommit,
        memory_reserve=told.memory_reserve_mb << 20,
        clock_skew_s=told.clock_skew,
        link_bps=told.migration_mib_s * (1 << 20) if told.migration_mib_s else None,
        moves_per_host=told.moves_per_host or usual.moves_per_host,
        moves_per_link=told.moves_per_link or usual.moves_per_link,
        small_per_host=told.moves_per_host or usual.small_per_host,
        small_per_link=told.moves_per_link or usual.small_per_link,
        groups=tuple(
            Group(g.name, g.rule, frozenset(g.vms), frozenset(g.tags), g.strict)
            for g in told.groups
        ),
        profile=profile_of(fleet, told.profile),
    )


def bounds_of(fleet: FleetFile) -> Bounds:
    """How much is done at a time, by ``[limits]`` and ``[policy]``."""
    told, rules = fleet.limits, rules_of(fleet)
    return Bounds(
        jobs_per_host=told.jobs_per_host,
        moves_per_host=rules.moves_per_host,
        moves_per_link=rules.moves_per_link,
        moves_per_site=told.moves_per_site,
        moves=told.moves,
        connects_per_site=told.connects_per_site,
        connects=told.connects,
        small=small_bytes(rules.link_bps),
        small_per_host=rules.small_per_host,
        small_per_link=rules.small_per_link,
    )


def specs_from_uris(uris: list[str]) -> tuple[HostSpec, ...]:
    """Hosts given on the command line: named after their address, protected by confirmation.

    Raises:
        ConfigError: A URI makes no sense.
    """
    specs: list[HostSpec] = []
    for text in uris:
        try:
            uri = parse_uri(text)
        except DriverError as error:
            raise ConfigError((error.problem,)) from error
        base = uri.host or (Path(uri.path).stem if uri.driver == "test" else "local") or "local"
        name, n = base, 2
        while any(s.name == name for s in specs):
            name, n = f"{base}-{n}", n + 1
        specs.append(HostSpec(name=name, uri=text))
    return tuple(specs)


def _spec(fleet: FleetFile, host: HostEntry) -> HostSpec:
    layers: list[HostDefaults] = [host, fleet.sites.get(host.site, HostDefaults()), fleet.defaults]
    intervals = next((x.intervals for x in layers if x.intervals is not None), Intervals())
    return HostSpec(
        name=host.name,
        uri=host.uri,
        site=host.site,
        tags=tuple(dict.fromkeys(t for x in layers for t in x.tags)),
        tenant=next((x.tenant for x in layers if x.tenant), ""),
        protect=next((x.protect for x in layers if x.protect is not None), Protect.CONFIRM),
        transport=next((x.transport for x in layers if x.transport is not None), Transport.AUTO),
        tiers=MappingProxyType({k: v for x in reversed(layers) for k, v in x.tiers.items()}),
        fast_s=intervals.fast,
        slow_s=intervals.slow,
        pools_s=intervals.pools,
        deadline_s=next((x.deadline for x in layers if x.deadline), 10.0),
        connect_s=next(
            (x.connect_deadline for x in layers if x.connect_deadline is not None), 15.0
        ),
        ssh_config=next((x.ssh_config for x in layers if x.ssh_config is not None), ""),
        migrate_uri=host.migrate_uri,
        peer_uri=host.peer_uri,
        allow_no_verify=bool(host.trust_any_host_key),
        labels=MappingProxyType({k: (v.tags, v.tenant) for k, v in fleet.vms.items()}),
    )


_WORDS = {
    "missing": "this key is needed, and is not there",
    "tuple_type": 'expected a list, such as ["a", "b"]',
    "model_type": "expected a table of keys",
    "dict_type": "expected a table of keys",
}
"""What pydantic says in words of Python, by the kind of the error."""


def _explain(path: Path, text: str, error: ValidationError) -> tuple[Problem, ...]:
    lines = key_lines(text)
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        location = tuple(item["loc"]) + (cause.at if isinstance(cause, Misplaced) else ())
        number = line_of(lines, location)
        where = f"{path}, line {number}" if number else str(path)
        key = ".".join(str(part) for part in location) or "the file"
        message = _WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
        given = item["input"]
        given = masked(given) if key.endswith("uri") and isinstance(given, str) else given
        proof = f"it says {given!r}" if isinstance(given, str | int | float | bool) else ""
        if item["type"] == "extra_forbidden":
            message, proof = "this key is not known here", ""
        problems.append(Problem(f"{where}: {key}: {message}.", proof, code="config"))
    return tuple(problems)


def _error(what: str, proof: str = "", fix: str = "") -> ConfigError:
    return ConfigError((Problem(what, proof, fix, "config"),))
