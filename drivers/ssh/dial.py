"""From a host's URI to an authenticated connection: every hop resolved, checked and logged in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh import encryption, kex, mac, public_key

from drivers.errors import HostKeyChanged, HostKeyUnknown, Refused
from drivers.model.ask import HostKeyQuestion, KeyDecision
from drivers.model.host import HostSpec
from drivers.protocol import Prompter
from drivers.ssh.client import KEYS_A_LOGIN, Login, LoginClient, Questions, hang_up
from drivers.ssh.config import Ask, Target, expand, parse_jump, resolve
from drivers.ssh.desk import Desk, Patience
from drivers.ssh.identities import Identities, Offer, gather
from drivers.ssh.knownhosts import OnRecord, look_up, remember
from drivers.ssh.translate import login_error
from drivers.uri import LibvirtUri

_HOPS = 8
_KEYS_AT_ALL = 15
_ALIVE_S = 5.0
_OPENSSH_CIPHERS = frozenset(
    {"aes128-ctr", "aes192-ctr", "aes256-ctr"}
    | {f"{name}@openssh.com" for name in ("chacha20-poly1305", "aes128-gcm", "aes256-gcm")}
)
# sshd's LoginGraceTime: beyond it the server hangs up anyway.
_LOGIN_S = 120.0


@dataclass(slots=True)
class Hop:
    """One hop that is logged in."""

    login: Login
    connection: asyncssh.SSHClientConnection
    identities: Identities


class Dialer:
    """Dials one host once.

    Args:
        spec: Host, with its deadline and ssh_config.
        uri: Its parsed URI; wins over ssh_config.
        prompter: Answers questions about host keys and secrets.
        lost: Called when any hop's connection ends.
        desk: What the connections of this console share.
    """

    def __init__(
        self,
        spec: HostSpec,
        uri: LibvirtUri,
        prompter: Prompter,
        lost: Callable[[Exception | None], None],
        desk: Desk,
    ) -> None:
        self._spec = spec
        self._uri = uri
        self._prompter = prompter
        self._lost = lost
        self._desk = desk
        self.patience = Patience(spec.connect_s)
        self.logins: list[Login] = []
        self.hops: list[Hop] = []

    async def dial(self) -> list[Hop]:
        """Log in to every hop; the last one is the host. Cleans up after itself when it fails.

        Raises:
            DriverError: Refused, Unreachable, TimedOut, HostKeyUnknown, HostKeyChanged, AuthFailed,
                Busy or Unsupported, each with proof and fix.
        """
        if self._uri.no_verify and not self._spec.allow_no_verify:
            raise Refused(
                "the URI asks not to check the host key (no_verify=1)",
                proof=str(self._uri),
                fix="remove no_verify; or say for this host in the fleet file: "
                'trust_any_host_key = "yes, I accept the risk"',
            )
        try:
            async with self.patience:
                for target in await self.targets():
                    self.hops.append(await self._log_in(target))
        except BaseException as error:
            await self.hang_up()
            if isinstance(error, TimeoutError) and self.logins:
                raise login_error(error, self.logins[-1], self._spec.connect_s) from None
            raise
        return self.hops

    async def hang_up(self) -> None:
        """Close every hop, the host first, within a second; never raises."""
        hops, self.hops = self.hops, []
        if hops:
            await hang_up([hop.connection for hop in reversed(hops)])
        for hop in hops:
            hop.identities.close()

    async def targets(self) -> tuple[Target, ...]:
        """Every hop as ssh_config resolves it, the host last."""
        keyfile = self._uri.keyfile
        if keyfile and not Path(keyfile).expanduser().is_file():  # noqa: ASYNC240 - one stat
            raise Refused(
                f"the URI's keyfile {keyfile} is not there",
                proof=str(self._uri),
                fix="correct keyfile= in the URI",
            )
        ask = Ask(
            alias=self._uri.host,
            user=self._uri.user,
            port=self._uri.port,
            keyfile=keyfile,
            known_hosts=self._uri.known_hosts,
            config_file=self._spec.ssh_config,
        )
        return await self._resolve(ask, ())

    async def _resolve(self, ask: Ask, behind: tuple[str, ...]) -> tuple[Target, ...]:
        target = await resolve(ask)
        if len(behind) >= _HOPS:
            raise Refused(
                f"ProxyJump has more than {_HOPS} hops or runs in a circle",
                proof=" > ".join((ask.alias, *behind)),
                fix="give the jump host itself ProxyJump none in ssh_config",
            )
        jumps = parse_jump(target.jump, ask.config_file)
        # A "Host *" block with ProxyJump matches the jump host too; it does not jump over itself.
        if not jumps or jumps[-1].alias == ask.alias:
            return (target,)
        earlier = ",".join(target.jump.split(",")[:-1])
        last = replace(jumps[-1], jump=earlier or None)
        return (*await self._resolve(last, (ask.alias, *behind)), target)

    async def _log_in(self, target: Target) -> Hop:
        login = Login(target)
        self.logins.append(login)
        final = target.alias == self._uri.host
        silent = self._uri.no_tty and final
        questions = Questions(
            login, None if silent else self._prompter, self.patience, self._spec.name
        )
        keyfile = expand(self._uri.keyfile, target) if self._uri.keyfile and final else ""
        identities = await gather(target, self._desk, questions.passphrase, first=keyfile)
        login.offers = identities.offers
        login.notes = list(identities.notes)
        try:
            connection = await self._try_keys(login, questions, unchecked=self._unchecked(final))
        except BaseException:
            identities.close()
            raise
        login.server = str(connection.get_extra_info("server_version") or "")
        login.shown = login.shown or connection.get_server_host_key()
        return Hop(login, connection, identities)

    def _unchecked(self, final: bool) -> bool:
        return self._uri.no_verify and final

    async def _try_keys(
        self, login: Login, questions: Questions, *, unchecked: bool
    ) -> asyncssh.SSHClientConnection:
        """Offer the keys five a connection, so that MaxAuthTries never bites before the last."""
        usable = [o for o in login.offers if o.pair is not None][:_KEYS_AT_ALL]
        batches = [usable[i : i + KEYS_A_LOGIN] for i in range(0, len(usable), KEYS_A_LOGIN)]
        while True:
            batch = batches.pop(0) if batches else []
            try:
                return await self._past_host_key(
                    login, batch, questions, last=not batches, unchecked=unchecked
                )
            except (asyncssh.Error, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                half = [o for o in batch if o.outcome == "offered"]
                if not batches or not isinstance(error, asyncssh.PermissionDenied):
                    for offer in half:
                        offer.outcome = "refused"
                    raise login_error(error, login, self._spec.connect_s) from None
                if half:  # accepted, but the server wants a second factor as well
                    batches = [half]

    async def _past_host_key(
        self,
        login: Login,
        batch: list[Offer],
        questions: Questions,
        *,
        last: bool,
        unchecked: bool,
    ) -> asyncssh.SSHClientConnection:
        """Connect; when the host key is not trusted, have it decided and connect again."""
        plain = False
        while True:
            record = look_up(_files(login.target), login.target.key_name)
            login.stage, login.verdict = "tcp", ""
            client = LoginClient(
                login, record, self._desk, batch, questions=questions, lost=self._lost
            )
            options = self._options(login.target, record, plain=plain, last=last)
            if unchecked:
                options["known_hosts"] = None
                login.verdict = "unchecked"
            try:
                async with self._desk.login(login.target.address) as slot:
                    questions.aside = slot.leave
                    connection = await self._quick(client, login.target, options)
            except asyncssh.HostKeyNotVerifiable as error:
                if record.authorities and login.shown is None and not plain:
                    plain = True  # its certificate does not do: as ssh does, judge the plain key
                    continue
                if login.verdict not in ("unknown", "changed") or login.shown is None:
                    raise _unusable_key(login, record, str(error.reason)) from None
                await self._decide(login, record, login.shown)
                continue
            if not login.verdict:
                login.verdict = "known" if login.shown is None and record.keys else "authority"
                login.verdict = "known" if record.trusted else login.verdict
            return connection

    async def _quick(
        self, client: LoginClient, target: Target, options: dict[str, Any]
    ) -> asyncssh.SSHClientConnection:
        """Connect; ConnectTimeout of ssh_config ends with the handshake, as it does for ssh."""
        limit = asyncio.timeout(target.connect_s)
        client.settled = lambda: limit.reschedule(None)
        async with limit:
            return await asyncssh.connect(client_factory=lambda: client, **options)

    def _options(
        self, target: Target, record: OnRecord, *, plain: bool, last: bool
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "host": target.host,
            "port": target.port,
            "username": target.user,
            "tunnel": self.hops[-1].connection if self.hops else None,
            "config": None,
            "client_keys": None,
            "agent_path": None,
            "known_hosts": (
                record.trusted,
                [e.key for e in record.authorities],
                [e.key for e in record.revoked],
            ),
            "x509_trusted_certs": None,
            "gss_host": None,
            "server_host_key_algs": _host_key_algorithms(target, record, plain=plain),
            "preferred_auth": list(target.preferred) if last else ["publickey"],
            "connect_timeout": None,  # asyncssh counts typing as well; _quick does not
            "login_timeout": _LOGIN_S,
            "keepalive_interval": target.alive_s or _ALIVE_S,
            "keepalive_count_max": target.alive_count if target.alive_s else 3,
            "host_key_alias": target.host_key_alias or None,
            "compression_algs": ["zlib@openssh.com", "none"] if target.compression else ["none"],
            **_algorithms(target),
        }
        if target.proxy_command and not self.hops:
            options["proxy_command"] = ["/bin/sh", "-c", f"exec {target.proxy_command}"]
        family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(target.family)
        if family is not None:
            options["family"] = family
        return options

    async def _decide(self, login: Login, record: OnRecord, key: asyncssh.SSHKey) -> None:
        """Have a person decide about a key that is not on record; nothing was sent yet."""
        target = login.target
        if target.strict == "yes":
            raise _refused_key(login, record, key, "StrictHostKeyChecking yes in ssh_config")
        file = target.user_known_hosts[0] if target.user_known_hosts else ""
        question = HostKeyQuestion(
            id=f"host-key:{target.key_name}:{key.get_fingerprint()}",
            host=self._spec.name if target.alias == self._uri.host else target.alias,
            address=target.address,
            algorithm=key.get_algorithm(),
            fingerprint=key.get_fingerprint(),
            known=record.fingerprints,
            known_hosts=file,
        )
        async with self.patience.person(), self._desk.question(f"host-key:{target.key_name}"):
            now = look_up(_files(target), target.key_name)
            if key in now.trusted or self._desk.trusts(target.key_name, key):
                return  # decided meanwhile, for another host behind the same address
            decision = await self._prompter.host_key(question)
            if decision is KeyDecision.REFUSE:
                raise _refused_key(login, record, key, "nobody has accepted it")
            self._desk.trust_once(target.key_name, key)
            if decision is KeyDecision.REMEMBER and file:
                try:
                    remember(
                        file,
                        target.key_name,
                        key,
                        hash_name=target.hash_known_hosts,
                        replace=bool(record.keys),
                    )
                except OSError as error:
                    login.notes.append(f"{file} was not written: {error.strerror or error}")


def _files(target: Target) -> tuple[str, ...]:
    return (*target.user_known_hosts, *target.global_known_hosts)


def _refused_key(
    login: Login, record: OnRecord, key: asyncssh.SSHKey, why: str
) -> HostKeyChanged | HostKeyUnknown:
    target = login.target
    shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
    if record.keys:
        where = ", ".join(dict.fromkeys(e.file for e in record.keys))
        return HostKeyChanged(
            f"{target.alias} shows another host key than the one on record",
            proof=f"shown {shown}; on record {', '.join(record.fingerprints)} in {where}; {why}",
            fix="compare with ssh-keygen -lf /etc/ssh/ssh_host_*.pub on its own console; if the "
            f"host was reinstalled: ssh-keygen -R '{target.key_name}'",
        )
    return HostKeyUnknown(
        f"the host key of {target.alias} is not on record",
        proof=f"{target.address} shows {shown}; {why}",
        fix="compare the fingerprint with ssh-keygen -lf /etc/ssh/ssh_host_*.pub on its own "
        f"console, then accept it here, or: ssh-keyscan -p {target.port} {target.host}",
    )


def _unusable_key(login: Login, record: OnRecord, reason: str) -> Refused:
    login.verdict = "revoked" if record.revoked else "unusable"
    return Refused(
        f"the host key of {login.target.alias} cannot be accepted",
        proof=f"{login.target.address}: {reason}",
        fix="the key is revoked or its certificate does not fit: look at known_hosts "
        "(@revoked, @cert-authority) and at the certificate's principals and dates",
    )


def _host_key_algorithms(target: Target, record: OnRecord, *, plain: bool) -> list[str]:
    """Algorithms to ask for: those of keys on record first, so that a known key is shown again."""
    ours = [a.decode() for a in public_key.get_public_key_algs()]
    allowed = [a for a in (target.algorithms or {}).get("host", ()) if a in ours]
    allowed = allowed or [a.decode() for a in public_key.get_default_public_key_algs()]
    recorded = {a.decode() for key in record.trusted for a in key.sig_algorithms}
    first = [a for a in allowed if a in recorded]
    certificates = [a.decode() for a in public_key.get_default_certificate_algs()]
    return [
        *(certificates if record.authorities and not plain else []),
        *first,
        *[a for a in allowed if a not in recorded],
    ]


def _algorithms(target: Target) -> dict[str, list[str]]:
    """ssh_config's key exchange, cipher and MAC lists as far as asyncssh knows them."""
    chosen: dict[str, list[str]] = {}
    for name, option, ours in (
        ("kex", "kex_algs", kex.get_kex_algs()),
        ("cipher", "encryption_algs", encryption.get_encryption_algs()),
        ("mac", "mac_algs", mac.get_mac_algs()),
    ):
        known = {a.decode() for a in ours}
        wanted = [a for a in (target.algorithms or {}).get(name, ()) if a in known]
        if set(wanted) == _OPENSSH_CIPHERS:
            # Nobody chose an order: AES-GCM takes half the CPU of the others in this client.
            wanted.sort(key=lambda a: "gcm" not in a)
        if wanted:
            chosen[option] = wanted
    return chosen
