"""Every way to carry libvirt over SSH, seen working on a practice host as root and as operator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.model import Mode
from drivers.lab.netns import OPERATOR_PASSWORD
from drivers.lab.preflight import choose_mode
from drivers.model.ask import SecretQuestion
from drivers.model.host import HostSpec, Transport
from tests.kvm.conftest import Nobody

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

SOCKET = "/run/libvirt/libvirt-sock"
LOGIN = {"PasswordAuthentication": "yes"}
NO_FORWARDING = {**LOGIN, "AllowStreamLocalForwarding": "no"}


class Operator(Nobody):
    """Types the operator's password."""

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        return (OPERATOR_PASSWORD,) * len(question.fields)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabFleet]:
    """One host in namespaces, with a second login that may use libvirt."""
    try:
        mode = choose_mode("auto")
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no lab here
        pytest.skip(str(error))
    if mode is not Mode.NETNS:
        pytest.skip("needs root and namespaces")
    folder = Path(tempfile.mkdtemp(prefix="nvc", dir="/var/tmp"))
    fleet = LabFleet(folder, hosts=1, guests=0)
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down()
        folder.rmdir()


async def route_of(spec: HostSpec) -> str:
    """The route of a connection that read libvirt and the host's own figures."""
    driver = KvmDriver(spec, Operator())
    try:
        facts = await driver.connect()
        assert facts.hypervisor == "QEMU"
        assert (await driver.read_slow()).vms == ()
        assert (await driver.read_fast()).load.load1 is not None
        return driver.route
    finally:
        await driver.close()


@pytest.mark.parametrize("login", ["root", "operator"])
@pytest.mark.parametrize(
    ("transport", "query", "carrier"),
    [
        (Transport.AUTO, "", "forwarded socket"),
        (Transport.HELPER, "", "virt-ssh-helper"),
        (Transport.HELPER, "?mode=legacy", "nc"),
        (Transport.HELPER, f"?socket={SOCKET}", "nc"),
        (Transport.HELPER, "?netcat=nc", "nc"),
    ],
)
async def test_each_carrier_works(
    lab: LabFleet, login: str, transport: Transport, query: str, carrier: str
) -> None:
    """The chosen carrier reaches the system's libvirt, and the route names it."""
    lab.hosts[0].reconfigure_sshd(LOGIN)
    spec = lab.specs()[0]
    uri = spec.uri.replace("root@", f"{login}@") + query
    route = await route_of(replace(spec, uri=uri, transport=transport))
    assert route.endswith(f"> {carrier}")


@pytest.mark.parametrize("login", ["root", "operator"])
@pytest.mark.parametrize(
    ("query", "carrier"), [("", "virt-ssh-helper"), (f"?socket={SOCKET}", "nc")]
)
async def test_without_forwarding_another_carrier_is_found(
    lab: LabFleet, login: str, query: str, carrier: str
) -> None:
    """Where sshd forbids forwarded sockets, nothing needs to be configured here."""
    lab.hosts[0].reconfigure_sshd(NO_FORWARDING)
    spec = lab.specs()[0]
    uri = spec.uri.replace("root@", f"{login}@") + query
    assert (await route_of(replace(spec, uri=uri))).endswith(f"> {carrier}")


async def test_the_stock_client_reads_the_hosts_ssh_config(lab: LabFleet) -> None:
    """transport = "libvirt" reaches a host that only its ssh_config knows by name."""
    lab.hosts[0].reconfigure_sshd({})
    spec = replace(lab.specs()[0], transport=Transport.LIBVIRT)
    assert (await route_of(spec)).endswith("libvirt's own SSH client")
