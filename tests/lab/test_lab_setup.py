"""setup.sh on machines that this one is not: made of a PATH with stand-ins for their tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "env", "cat", "cut", "dirname", "sha256sum", "ls", "mkdir", "chmod", "printf")

PYTHON = """#!/bin/sh
# A Python whose environments have the pip that the test wants.
case "$*" in
    -V) echo "Python 3.11.2" ;;
    "-m venv"*)
        mkdir -p .venv/bin
        printf '#!/bin/sh\\n[ "$2" != pip ] || { echo "$*" >>"$PIPS"; %s; }\\n' "${PIP:-exit 0}" \
            >.venv/bin/python
        chmod 755 .venv/bin/python ;;
esac
"""


class Machine:
    """A tree with setup.sh on a machine with only the given programs."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.tree = folder / "tree"
        self.log = folder / "log"
        self.pips = folder / "pips"
        self.bin.mkdir()
        self.tree.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found
            (self.bin / name).symlink_to(found)
        for name in ("setup.sh", "pyproject.toml"):
            shutil.copy(ROOT / name, self.tree)
        self.program("id", "echo 1000")
        self.program("python3", PYTHON)

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def debian(self, *, installed: bool = False, apt: str = "exit 0") -> None:
        """apt-get that does this, dpkg-query that knows all packages or none, and sudo."""
        self.program("dpkg-query", "echo 'install ok installed'" if installed else "exit 1")
        self.program("apt-get", f'echo "apt-get $*" >>{self.log}\n{apt}')
        # Not everything asked for is done: nothing here may change the real machine.
        self.program(
            "sudo",
            f'echo "sudo $*" >>{self.log}\n'
            'case "$1" in env) exec "$@" ;; tee) while read -r _; do :; done ;; esac',
        )

    def setup(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "setup.sh", *options],
            cwd=self.tree,
            env={
                "PATH": str(self.bin),
                "PYTHON": str(self.bin / "python3"),
                "PIPS": str(self.pips),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def installed(self) -> str:
        """What pip was last asked for."""
        return self.pips.read_text().splitlines()[-1].rpartition("version-check ")[2]

    def called(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("setup: "), done
    return last


def test_an_unknown_option_is_named(machine: Machine) -> None:
    """And the one that there is."""
    assert "--fast" in refused(machine.setup("--fast"))
    assert "--without-lab" in refused(machine.setup("--fast"))


def test_another_distribution_is_told_what_to_do_by_hand(machine: Machine) -> None:
    """Which distributions it knows, what to install elsewhere, and with which command."""
    told = refused(machine.setup())
    for word in ("Debian 12", "Ubuntu 24.04", "libvirt-dev", "QEMU", "pip install -e '.[kvm]'"):
        assert word in told


def test_what_was_set_up_by_hand_is_taken(machine: Machine) -> None:
    """Once that was done, ``make demo`` works there as well."""
    (machine.tree / ".venv" / "bin").mkdir(parents=True)
    python = machine.tree / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_ordinary_user_without_sudo_learns_what_is_missing(machine: Machine) -> None:
    """The packages are named, for whoever administers the machine."""
    machine.debian()
    (machine.bin / "sudo").unlink()
    told = refused(machine.setup())
    assert "neither root nor sudo" in told
    assert "libvirt-dev" in told
    assert "qemu-system-x86" in told
    assert "qemu-system-x86" not in refused(machine.setup("--without-lab"))
    assert machine.called() == []


def test_a_refused_sudo_ends_it(machine: Machine) -> None:
    """Nothing is half done when sudo says no."""
    machine.debian()
    machine.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    if not Path("/usr/sbin/policy-rc.d").exists():
        assert "sudo was refused" in refused(machine.setup())
    assert machine.called() == []


def test_no_network_for_packages_is_told(machine: Machine) -> None:
    """apt-get's own words are shown, then ours; services are let start again."""
    machine.debian(apt="echo 'E: Temporary failure resolving' >&2; exit 100")
    done = machine.setup()
    assert "E: Temporary failure resolving" in done.stderr
    told = refused(done)
    assert "apt-get could not install" in told
    assert "network" in told
    if not Path("/usr/sbin/policy-rc.d").exists():
        assert machine.called()[-1] == "sudo rm -f /usr/sbin/policy-rc.d"


def test_no_network_for_python_packages_is_told(machine: Machine) -> None:
    """With the ways around it; the next run tries again."""
    machine.debian(installed=True)
    for _ in range(2):
        told = refused(machine.setup(PIP="echo 'No matching distribution' >&2; exit 1"))
        for word in ("pip found no package index", "PIP_INDEX_URL", "offline bundle"):
            assert word in told


def test_packages_come_with_their_services_held(machine: Machine) -> None:
    """sshd and libvirtd are installed for their programs: none starts, now or at boot."""
    machine.debian()
    machine.program("systemctl", "exit 0")
    done = machine.setup()
    assert done.returncode == 0, done
    assert "the system's own sshd stays off" in done.stdout
    called = machine.called()
    install = next(i for i, line in enumerate(called) if "install" in line)
    if not Path("/usr/sbin/policy-rc.d").exists():
        assert called[0] == "sudo tee /usr/sbin/policy-rc.d"
        assert called[-1] == "sudo rm -f /usr/sbin/policy-rc.d"
    assert "--no-install-recommends" in called[install]
    assert "sudo systemctl disable ssh.service ssh.socket" in called[install:]


def test_each_start_installs_what_it_needs(machine: Machine) -> None:
    """The demo does without development tools, a simulated fleet without libvirt and packages."""
    machine.debian()
    (machine.bin / "sudo").unlink()
    assert "setup: done" in machine.setup("--simulated").stdout
    assert machine.installed() == "-e ."
    assert "make simulated" in refused(machine.setup("--demo"))
    machine.debian(installed=True)
    for option, wanted in (("--demo", "-e .[kvm]"), ("--without-lab", "-e .[kvm] --group dev")):
        assert "setup: done" in machine.setup(option).stdout
        assert machine.installed() == wanted
    for option in ("--simulated", "--demo", "--without-lab"):
        assert machine.setup(option).stdout == "", "all of it is there"


def test_the_simulated_fleet_needs_no_known_distribution(machine: Machine) -> None:
    """Where the others name what to install by hand, and this way out."""
    assert "make simulated" in refused(machine.setup("--demo"))
    assert "setup: done" in machine.setup("--simulated").stdout


def test_the_way_out_is_not_offered_to_who_is_on_it(machine: Machine) -> None:
    """A simulated fleet that cannot be set up names its reason alone."""
    machine.debian(installed=True)
    broken = "echo 'No matching distribution' >&2; exit 1"
    assert "make simulated" in refused(machine.setup("--demo", PIP=broken))
    assert "make simulated" not in refused(machine.setup("--simulated", PIP=broken))


def test_a_second_run_does_nothing(machine: Machine) -> None:
    """It says nothing, asks sudo for nothing and leaves the environment as it is."""
    machine.debian(installed=True)
    assert "setup: done" in machine.setup().stdout
    made = (machine.tree / ".venv" / "bin" / "python").stat().st_mtime_ns
    machine.program("sudo", "exit 1")
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (machine.tree / ".venv" / "bin" / "python").stat().st_mtime_ns == made
    assert machine.called() == []
    (machine.tree / "pyproject.toml").write_text("[project]\n")
    assert "installing Python packages" in machine.setup().stdout
