"""The catalogue: pattern of the host's own words, cause, fix, code.

Patterns are searched without regard to case. Named groups and ``{vm}``, ``{source}``, ``{target}``
may stand in cause and fix. The first match wins, so narrow ones stand before wide ones.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """One entry.

    Attributes:
        retry: False where trying again cannot help by itself.
        without: Switches that the command which tries again leaves out.
    """

    code: str
    pattern: str
    cause: str
    fix: str
    retry: bool = True
    without: frozenset[str] = frozenset()


KNOWN: tuple[KnownFailure, ...] = (
    KnownFailure(
        "cancelled",
        r"cancell?ed by client|operation aborted|job .* cancell?ed",
        "the job was cancelled",
        "nothing to repair",
    ),
    KnownFailure(
        "unsafe-storage",
        r"migration without shared storage is unsafe|unsafe migration",
        "a disk of {vm} is not on storage that both hosts share",
        "copy the disk along (it is offered when the disk is not marked shared)",
    ),
    KnownFailure(
        "unsafe-cache",
        r"migration may lead to data corruption if disks use cache",
        "a disk's cache mode is unsafe for migration on this version",
        "set cache='none' for the disk of {vm}",
    ),
    KnownFailure(
        "same-host",
        r"migrate guest to the same host",
        "{source} and {target} give the same host UUID, as cloned machines do",
        "set a different host_uuid in /etc/libvirt/libvirtd.conf on one and restart its libvirtd",
    ),
    KnownFailure(
        "localhost-name",
        r"hostname on destination resolved to localhost|resolved to localhost",
        "{target} takes its own name for localhost, so {source} would send to itself",
        "set migrate_uri for {target}, such as tcp://its-address",
    ),
    KnownFailure(
        "copy-space",
        r"not enough free space for the copy: (?P<room>[^;]+)",
        "{target} has not enough free space for the copy: {room}",
        "free space there, or choose another pool or host",
    ),
    KnownFailure(
        "words-lost",
        r"lost its connection to that of .+, and the reason with it",
        "the libvirt daemon of {source} lost its connection to that of {target}, and the reason "
        "with it",
        "migrate in mode managed, which hears {target} itself, or look at libvirt's log on "
        "{target}",
    ),
    KnownFailure(
        "peer-login",
        r"host key verification failed|too many authentication failures"
        r"|(cannot recv data|end of file while reading data): [^:]*permission denied"
        r"|permission denied \((publickey|password|keyboard|gssapi|hostbased)",
        "the libvirt daemon of {source} cannot log in to that of {target}",
        "let root of {source} reach {target} by its peer_uri, or use mode managed",
    ),
    KnownFailure(
        "peer-unreachable",
        r"ssh: connect to host (?P<host>\S+)|ssh: could not resolve hostname (?P<name>[^:]+)"
        r"|failed to connect to remote libvirt URI",
        "the libvirt daemon of {source} cannot reach that of {target}",
        "let root of {source} reach {target} by its peer_uri (virsh -c URI list tells there), or "
        "use mode managed",
    ),
    KnownFailure(
        "name-resolution",
        r"unable to resolve address '(?P<addr>[^']+)'|name or service not known"
        r"|temporary failure in name resolution",
        "{source} cannot resolve the name of {target}",
        "set migrate_uri for {target} to an address, or add the name to DNS",
    ),
    KnownFailure(
        "data-port",
        r"unable to connect to server at '(?P<addr>[^']+)'|failed to connect to '(?P<addr2>[^']+)'"
        r"|no route to host|unable to connect.*(connection refused|timed out)",
        "{source} cannot open the migration's data connection to {target}",
        "open TCP 49152 to 49215 on {target}, or set migrate_uri to an address that is reachable",
    ),
    KnownFailure(
        "cpu-features",
        r"guest CPU doesn't match specification.*missing features: (?P<features>[\w,.\- ]+)"
        r"|missing features: (?P<features2>[\w,.\- ]+)|guest CPU doesn't match specification"
        r"|host CPU (is not compatible|does not provide required features)",
        "the CPU of {target} lacks features that {vm} was started with",
        "choose a host with the same or a newer CPU, or give {vm} a CPU model both have and "
        "restart it",
        retry=False,
    ),
    KnownFailure(
        "machine-type",
        r"(unsupported machine type|does not support machine type|machine type '(?P<machine>[^']+)'"
        r".*not supported|does not support machine)",
        "QEMU on {target} is too old for the machine type of {vm}",
        "update QEMU on {target}, or choose another host",
        retry=False,
    ),
    KnownFailure(
        "passthrough",
        r"assigned (non-USB )?host device|cannot migrate.*hostdev|vfio.*migration"
        r"|non-migratable device",
        "{vm} holds a device of {source} that cannot travel",
        "detach the device, or move {vm} while it is off",
        retry=False,
    ),
    KnownFailure(
        "snapshots",
        r"cannot migrate (a )?domain with (?P<n>\d+) snapshots?",
        "{vm} has snapshots, and libvirt does not migrate those",
        "delete or export the snapshots of {vm}",
    ),
    KnownFailure(
        "undefine-extras",
        r"cannot (undefine|delete) .*(nvram|snapshots|managed save|checkpoints)",
        "the definition of {vm} still holds NVRAM, snapshots or a managed save image",
        "say what is to become of them",
    ),
    KnownFailure(
        "no-network",
        r"network not found: (?P<net>.+)|no network with matching name '(?P<name>[^']+)'"
        r"|cannot get interface MTU on '(?P<bridge>[^']+)'|network '(?P<off>[^']+)' is not active",
        "a network or bridge of {vm} is missing where it should run",
        "create and start it there under the same name",
    ),
    KnownFailure(
        "image-locked",
        r"failed to get .*write.* lock|is another process using the image",
        "another QEMU process has the image open",
        "find who runs it (novacron volumes), and do not start it twice",
        retry=False,
    ),
    KnownFailure(
        "no-space",
        r"no space left on device|disk quota exceeded|not enough free space",
        "the storage is full",
        "free space or choose another pool",
    ),
    KnownFailure(
        "no-memory",
        r"cannot allocate memory|cannot set up guest memory",
        "the host has no memory for {vm}",
        "move or stop another VM there",
    ),
    KnownFailure(
        "storage-permission",
        r"could not open '(?P<path>[^']+)'.*permission denied"
        r"|permission denied.*'(?P<path2>/[^']+)'",
        "QEMU may not open an image of {vm}",
        "check owner, mode, SELinux or AppArmor of the file and of every folder above it",
    ),
    KnownFailure(
        "image-missing",
        r"could not open '(?P<path>[^']+)'.*no such file"
        r"|cannot access storage file '(?P<file>[^']+)'"
        r"|storage file .*no such file",
        "an image of {vm} is not there",
        "look at its disks; the pool may not be mounted",
    ),
    KnownFailure(
        "no-kvm",
        r"could not access KVM|/dev/kvm|domaintype=kvm",
        "KVM is not usable on that host",
        "load the kvm module, enable virtualisation in firmware, check the rights of /dev/kvm",
        retry=False,
    ),
    KnownFailure(
        "pool-inactive",
        r"storage pool '(?P<pool>[^']+)' is not active|pool is not active",
        "the storage pool is not active",
        "start the pool",
    ),
    KnownFailure(
        "volume-exists",
        r"storage volume.*(exists already|already exists)"
        r"|volume target path '(?P<path>[^']+)' already"
        r"|storage vol '(?P<vol>[^']+)' already exists|file exists",
        "a volume of that name is already there; it was not touched",
        "refresh the pool and ask again: a free name will be chosen",
    ),
    KnownFailure(
        "pool-busy",
        r"pool has asynchronous jobs running|is still being allocated|still in use",
        "the pool is busy with another copy",
        "wait until it is done",
    ),
    KnownFailure(
        "block-job",
        r"already in active block job|block copy still active|has an active block job",
        "the disk already has a block job",
        "wait for it, or cancel it: virsh blockjob {vm} DISK --abort",
    ),
    KnownFailure(
        "monitor-stuck",
        r"cannot acquire state change lock|monitor (is not|does not) (responding|answer)",
        "the QEMU process of {vm} does not answer libvirt",
        "look at the process on its host; a stopped or hung QEMU must be continued or killed",
    ),
    KnownFailure(
        "already-running",
        r"domain is already (running|active)|already exists with uuid|domain .* is already active",
        "{vm} already runs there",
        "refresh",
        retry=False,
    ),
    KnownFailure(
        "not-running",
        r"domain is not running|domain is not active",
        "{vm} does not run",
        "start it first",
    ),
    KnownFailure(
        "domain-gone",
        r"domain not found|no domain with matching uuid",
        "{vm} is not defined there any more",
        "refresh; somebody may have moved or deleted it",
        retry=False,
    ),
    KnownFailure(
        "agent",
        r"guest agent is not (connected|configured|responding)",
        "the guest agent inside {vm} does not answer",
        "install or start qemu-guest-agent in the guest",
    ),
    KnownFailure(
        "rights",
        r"no polkit agent|access denied|authentication (failed|unavailable)|read.?only access",
        "the login lacks the right to do this",
        "use a login in the libvirt group, or root",
    ),
    KnownFailure(
        "post-copy-gone",
        r"is not processing incoming migration|is not in post-copy phase",
        "{target} holds no part of {vm} any more that waits for the rest of its memory",
        "force {vm} off on {source} and start it from its disks",
        retry=False,
    ),
    KnownFailure(
        "post-copy-unnoticed",
        r"recovery was tried for \d+ s and nothing moved",
        "the QEMU of {vm} on {target} still waits on the connection that broke",
        "as root on {target}, find its connection with: ss -tnp state established; end it with: "
        "ss -K state established sport = :PORT",
    ),
    KnownFailure(
        "base-missing",
        r"incremental storage migration is not supported|backing file .*(not found|no such)",
        "a backing file of {vm} is not on {target}",
        "leave --incremental out, so that whole disks are copied",
        without=frozenset({"--incremental"}),
    ),
    KnownFailure(
        "qemu-ended",
        r"unexpectedly closed the monitor",
        "a QEMU process of {vm} ended by itself",
        "its last words stand in the proof; /var/log/libvirt/qemu on {target} has all of them",
    ),
    KnownFailure(
        "target-lost",
        r"lost connection to destination|unable to write to socket|broken pipe"
        r"|connection reset|client socket is closed",
        "the connection between {source} and {target} broke",
        "check the network between them and the log of libvirtd on {target}",
    ),
    KnownFailure(
        "gave-up",
        r"unexpectedly failed",
        "QEMU gave up the job of {vm}",
        "check the network between {source} and {target}, and /var/log/libvirt/qemu on both",
    ),
)
