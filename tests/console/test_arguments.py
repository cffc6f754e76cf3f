"""The command line as people type it."""

import pytest

from console.config.load import load_fleet, specs_of
from console.headless.arguments import parse
from console.headless.init import fleet_text, known_hosts_of_user


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([], "open"),
        (["qemu+ssh://root@kvm1/system"], "open"),
        (["--config", "f.toml"], "open"),
        (["--config=f.toml", "--ascii"], "open"),
        (["vms", "--json"], "vms"),
        (["stop", "web1"], "act"),
    ],
)
def test_verbs_and_bare_uris(argv: list[str], command: str) -> None:
    """Without a verb the console opens, on the fleet file or on the hosts named."""
    assert parse(argv).command == command


def test_global_options_may_precede_uris() -> None:
    """--config goes with bare URIs too."""
    args = parse(["--config", "f.toml", "test:///default", "--theme", "x"])
    assert (args.config, args.uri, args.theme) == ("f.toml", ["test:///default"], "x")


def test_init_offers_the_hosts_ssh_knows(tmp_path) -> None:
    """Hosts come from ssh_config, its includes and known_hosts; forges and hashes do not."""
    ssh = tmp_path / ".ssh"
    (ssh / "conf.d").mkdir(parents=True)
    (ssh / "config").write_text("Include conf.d/*\nHost kvm1 *.lan\n  User root\nHost=kvm2\n")
    (ssh / "conf.d" / "more").write_text("Host kvm3\n")
    (ssh / "known_hosts").write_text(
        "kvm4,10.0.0.4 ssh-ed25519 AAAA\n[kvm5]:2222 ssh-rsa AAAA\n|1|hash= ssh-rsa AAAA\n"
        "github.com ssh-rsa AAAA\n@revoked bad ssh-rsa AAAA\n"
    )
    system = tmp_path / "etc"
    (system / "ssh_config.d").mkdir(parents=True)
    (system / "ssh_config").write_text("Include ssh_config.d/*.conf\nHost kvm1\n")
    (system / "ssh_config.d" / "site.conf").write_text("Host kvm_6\n  Port 2200\n")
    (system / "ssh_known_hosts").write_text("[kvm_6]:2200 ssh-rsa AAAA\nkvm7 ssh-rsa AAAA\n")
    known = known_hosts_of_user(tmp_path, system)
    assert list(known) == ["kvm3", "kvm1", "kvm2", "kvm_6", "kvm4", "kvm5", "kvm7"]
    assert [name for name, port in known.items() if port] == ["kvm5"]


def test_a_port_that_only_known_hosts_tells_is_written_down(tmp_path) -> None:
    """Without it the host would be looked for on port 22."""
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text({"kvm5": ":2222"}, ["kvm5"]))
    assert specs_of(load_fleet(path))[0].uri == "qemu+ssh://kvm5:2222/system"


def test_the_written_file_loads(tmp_path) -> None:
    """What init writes is valid: chosen hosts are in, the others wait commented out."""
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text({"kvm1": "", "kvm2": ""}, ["kvm2"]))
    assert [s.name for s in specs_of(load_fleet(path))] == ["kvm2"]
    uncommented = "\n".join(
        line.removeprefix("# ") for line in path.read_text().splitlines() if "=" in line
    )
    assert 'name = "kvm1"' in uncommented
