"""What a fleet file may say. Every field says its unit; unknown keys are errors, not noise."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from drivers.errors import DriverError
from drivers.model.host import Protect, Transport
from drivers.uri import parse_uri

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")

TierName = Literal["hot", "warm", "cold"]


def duration(value: object) -> object:
    """Seconds from ``90``, ``"90s"``, ``"5m"``, ``"48h"``, ``"30d"`` or ``"2y"``.

    Raises:
        ValueError: It is none of these.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdwy]?)\s*", value)
    if match is None:
        raise ValueError('expected a duration such as "90s", "5m", "48h", "30d" or "2y"')
    return float(match[1]) * _UNITS[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(duration)]
Retention = Annotated[Duration, Field(ge=3600, allow_inf_nan=False)]
"""At least the hour after which samples are summed up: less would delete what was just recorded."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Misplaced(ValueError):
    """Two parts of the file do not fit together; ``at`` is where the one to change is."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


class Intervals(_Part):
    """How often a host is read, in seconds."""

    fast: Annotated[Duration, Field(ge=0.5, le=60)] = 1.0
    """/proc of host and guests."""
    slow: Annotated[Duration, Field(ge=2, le=600)] = 10.0
    """libvirt's bulk figures."""
    pools: Annotated[Duration, Field(ge=5, le=3600)] = 60.0
    """Storage pools and volumes."""


class HostDefaults(_Part):
    """What holds for a host, a site or all hosts unless something nearer says otherwise."""

    tags: tuple[str, ...] = ()
    tenant: str = ""
    protect: Protect | None = None
    """``ro``: look only. ``confirm``: every change is confirmed. ``rw``: the plan's own level."""
    transport: Transport | None = None
    """``auto``, ``forward``, ``helper`` or ``libvirt`` (the stock client)."""
    tiers: dict[str, TierName] = {}
    """Pool name to ``hot``, ``warm`` or ``cold``."""
    intervals: Intervals | None = None
    deadline: Annotated[Duration, Field(ge=1, le=120)] | None = None
    """Seconds any one call may take."""
    connect_deadline: Annotated[Duration, Field(ge=1, le=300)] | None = None
    """Seconds a connection may take."""
    ssh_config: str | None = None
    """An ssh_config file to read instead of the user's own."""


class HostEntry(HostDefaults):
    """One host."""

    name: str
    uri: str
    site: str = ""
    migrate_uri: str = ""
    """Where others send migration data, such as ``tcp://10.0.0.1``; empty: libvirt's choice."""
    peer_uri: str = ""
    """How other hosts' daemons reach this one; empty: the console manages migrations to it."""
    trust_any_host_key: Literal["", "yes, I accept the risk"] = ""
    """The only words that let ``no_verify=1`` in the URI through."""

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.match(value):
            raise ValueError("expected letters, digits, dot, dash or underscore, at most 63")
        return value

    @field_validator("uri")
    @classmethod
    def _known_uri(cls, value: str) -> str:
        try:
            parse_uri(value)
        except DriverError as error:
            raise ValueError(f"{error.problem.what}; {error.problem.fix}") from error
        return value


class VmEntry(_Part):
    """Tags and tenant of a VM that its own metadata does not give."""

    tags: tuple[str, ...] = ()
    tenant: str = ""


class HistorySettings(_Part):
    """Recording."""

    enabled: bool = True
    path: str = ""
    """The database file; empty for the user's data folder."""
    interval: Annotated[Duration, Field(ge=1, le=3600)] | None = None
    """Seconds between samples; unset: 5 up to 1,000 VMs, 15 beyond."""
    raw: Retention = 48 * 3600.0
    minute: Retention = 30 * 86400.0
    hour: Retention = 2 * 31536000.0
    memory_mb: Annotated[int, Field(ge=64, le=65536)] = 256
    """Memory DuckDB may take, MB."""
    group: str = ""
    """A Unix group whose members may read and record through this user's socket."""


class GroupEntry(_Part):
    """VMs that should share a host, or must not."""

    name: str
    rule: Literal["together", "apart"]
    vms: tuple[str, ...] = ()
    """Names or UUIDs."""
    tags: tuple[str, ...] = ()
    """Every VM with one of these tags belongs to it."""
    strict: bool = True
    """Refuse what breaks it; otherwise only warn."""


class PolicySettings(_Part):
    """What a host may carry, and which VMs belong together."""

    cpu_overcommit: Annotated[float, Field(gt=0, le=100)] | None = None
    """vCPUs of running VMs a CPU. A move beyond is refused. Unset: 8; a single move beyond is only
    warned of, and a drain, return or upgrade places nothing beyond."""
    memory_overcommit: Annotated[float, Field(gt=0, le=100)] | None = None
    """Promised memory as a share of what there is; unset: 1, to the same effect."""
    memory_reserve_mb: Annotated[int, Field(ge=0)] = 0
    """Memory of each host that is never given to VMs, MiB."""
    clock_skew: Annotated[Duration, Field(ge=0, le=3600)] = 2.0
    """Seconds two hosts' clocks may be apart without a warning."""
    migration_mib_s: Annotated[float, Field(gt=0)] | None = None
    """MiB a second that a migration gets, for estimates; unset: measured, or assumed and said."""
    moves_per_host: Annotated[int, Field(ge=1, le=64)] | None = None
    """Moves at a time that leave or enter one host, of operations and single ones alike; unset: 2,
    and up to 8 with guests whose memory the link carries in two seconds."""
    moves_per_link: Annotated[int, Field(ge=1, le=64)] | None = None
    """Moves at a time from one host to one other; unset: the same."""
    profile: str = ""
    """Of ``[profiles]``: how drains, returns and upgrades migrate, unless told otherwise."""
    groups: tuple[GroupEntry, ...] = ()


AtOnce = Annotated[int, Field(ge=1, le=1000)]


class LimitSettings(_Part):
    """How much is done at a time, so that one site's storm keeps no other waiting."""

    jobs_per_host: AtOnce = 6
    """Jobs on one host that move nothing, such as starts."""
    moves_per_site: AtOnce = 8
    """Migrations and disk copies that leave or enter one site."""
    moves: AtOnce = 16
    """Migrations and disk copies in all."""
    connects_per_site: AtOnce = 32
    """Connections being opened to hosts of one site."""
    connects: AtOnce = 64
    """Connections being opened in all; a site that opens none waits for nobody."""

    @model_validator(mode="after")
    def _parts_of_the_whole(self) -> LimitSettings:
        for part, whole in (("moves_per_site", "moves"), ("connects_per_site", "connects")):
            one, every = getattr(self, part), getattr(self, whole)
            if one > every:
                text = f"one site cannot have more than all: {part} is {one}, {whole} is {every}"
                raise Misplaced(text, part if part in self.model_fields_set else whole)
        return self


class MigrationProfile(_Part):
    """How migrations are carried out, under a name."""

    mode: Literal["auto", "p2p", "managed", "offline"] = "auto"
    bandwidth: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """MiB a second at most; 0 for no cap."""
    downtime_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Pause of the guest allowed for the switch, milliseconds; 0 for QEMU's own, 300."""
    longest_downtime_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Up to which the lever ``downtime`` may raise it; 0 for ``downtime_ms``."""
    auto_converge: bool = False
    """Let QEMU slow a guest down whose memory changes too fast."""
    post_copy: bool = False
    """Allow the switch before all memory is sent: a broken link then stops the guest."""
    compression: Literal["", "xbzrle", "mt", "zlib", "zstd"] = ""
    parallel: Annotated[int, Field(ge=0, le=255)] = 0
    """Connections side by side; 0 for the usual one."""
    tunnelled: bool = False
    """Send memory through the two libvirt daemons."""
    compression_level: Annotated[int, Field(ge=0, le=20)] = 0
    incremental: bool = False
    """Copied disks have their backing files there already: send only what lies on top."""
    persist: bool | None = None
    """Whether the target keeps the definition; unset: as at the source."""
    keep_source: bool = False
    carry_on: bool = False
    """Go on when the guest meets an error of its disks meanwhile."""
    migrate_uri: str = ""
    """Where memory goes, such as ``tcp://10.0.0.2``; empty for the target's own."""
    timeout: Annotated[Duration, Field(ge=1, le=604800)] | None = None
    at_timeout: Literal["", "cancel", "pause", "post-copy"] = ""
    finish_within: Annotated[Duration, Field(ge=1, le=604800)] | None = None
    """What the whole migration may take."""
    levers: tuple[Literal["bandwidth", "downtime", "post-copy", "pause", "cancel"], ...] = ()
    """What the console may pull by itself to keep that."""


class UpgradeEntry(_Part):
    """How hosts are upgraded: what is run on each between its drain and its return."""

    commands: tuple[str | tuple[str, ...], ...] = ()
    """Lines for the host's own shell, or lists of words that are quoted for it."""
    reboot: bool = True
    reboot_command: str = "systemctl reboot"
    expect_kernel: str = ""
    """A release, the beginning of one ending in ``*``, or ``changed``; empty: any."""
    health: tuple[str | tuple[str, ...], ...] = ()
    """Lines that must succeed before VMs come back; run again until they do."""
    root: bool = True
    """Commands need root: the login's own, or through sudo without a password."""
    max_out: Annotated[int, Field(ge=1, le=100)] = 1
    """Hosts that may be out at a time."""
    canary: str = ""
    """The host that goes first, alone; unset: the first one named."""
    keep_spare: bool = False
    """Refuse when one more host could not be lost meanwhile."""
    command_deadline: Annotated[Duration, Field(ge=1, le=86400)] = 3600.0
    """Seconds each command may take."""
    back_deadline: Annotated[Duration, Field(ge=1, le=86400)] = 900.0
    """Seconds until a host must be back and well."""

    @field_validator("commands", "health", "reboot_command")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        lines = value if isinstance(value, tuple) else (value,)
        if any(not line or (isinstance(line, str) and not line.strip()) for line in lines):
            raise ValueError("a command is empty")
        return value


class UiSettings(_Part):
    """The look."""

    theme: str = ""
    ascii: bool = False


class FleetFile(_Part):
    """The whole file."""

    name: str = "fleet"
    defaults: HostDefaults = HostDefaults()
    sites: dict[str, HostDefaults] = {}
    hosts: tuple[HostEntry, ...] = ()
    vms: dict[str, VmEntry] = {}
    history: HistorySettings = HistorySettings()
    policy: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()
    profiles: dict[str, MigrationProfile] = {}
    """Migration profiles by name."""
    upgrade: UpgradeEntry | None = None
    """How hosts are upgraded unless a name is given."""
    upgrades: dict[str, UpgradeEntry] = {}
    """Other ways by name."""
    ui: UiSettings = UiSettings()
    keys: dict[str, str] = {}
    """Binding id to keys, such as ``"vm.migrate" = "M"``."""

    @model_validator(mode="after")
    def _consistent(self) -> FleetFile:
        seen: set[str] = set()
        for n, host in enumerate(self.hosts):
            if host.name in seen:
                text = f"two hosts are named {host.name!r}; names must be unique"
                raise Misplaced(text, "hosts", n, "name")
            if host.site and self.sites and host.site not in self.sites:
                text = f"host {host.name!r} names site {host.site!r}, not under [sites]"
                raise Misplaced(text, "hosts", n, "site")
            seen.add(host.name)
        chosen = self.policy.profile
        if chosen and chosen not in self.profiles:
            text = f"[policy] names profile {chosen!r}, not under [profiles]"
            raise Misplaced(text, "policy", "profile")
        return self
