"""Tags and tenants of VMs: from their own metadata and from the fleet file, together."""

from types import MappingProxyType

from console.merge import Picture, with_slow
from drivers.model.host import Host, HostSpec
from drivers.model.vm import Vm
from drivers.protocol import SlowReading


def test_the_fleet_file_adds_to_what_the_domain_says() -> None:
    """A VM named in the file shows both its own tags and the configured ones."""
    labels = MappingProxyType({"web1": (("eu", "prod"), "acme"), "u-2": ((), "zeta")})
    picture = Picture(Host(HostSpec("kvm1", "test:///default", labels=labels)))
    vms = (
        Vm("u-1", "web1", "kvm1", tags=("prod",)),
        Vm("u-2", "db1", "kvm1", tenant="own"),
        Vm("u-3", "other", "kvm1"),
    )
    web, db, other = with_slow(picture, SlowReading(1.0, vms)).host.vms
    assert (web.tags, web.tenant) == (("prod", "eu"), "acme")
    assert db.tenant == "own"
    assert other.tags == ()
