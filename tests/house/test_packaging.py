"""What ships: the wheel's contents, and an installation with the network cut."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("console", "drivers", "screens", "store", "themes")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The offline bundle, unpacked."""
    out = tmp_path_factory.mktemp("bundle")
    made = subprocess.run(
        [ROOT / "bundle.sh", sys.executable, out], check=True, capture_output=True, text=True
    )
    shutil.unpack_archive(made.stdout.strip().splitlines()[-1], out, filter="data")
    return next(p for p in out.iterdir() if p.is_dir())


def test_the_wheel_holds_exactly_the_five_rooms(bundle: Path) -> None:
    """Every style sheet, migration and type marker ships, and nothing else does."""
    wheel = next((bundle / "wheels").glob("novacron-*.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(ROOMS)
    wanted = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".py3", ".tcss", ".sql", ".sh") or path.name == "py.typed"
    }
    assert wanted <= names


def test_the_bundle_installs_and_runs_without_a_network(bundle: Path, tmp_path: Path) -> None:
    """An air-gapped operator unpacks it, runs install.sh, and has a working command."""
    cut = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHON": sys.executable,
        "PIP_CONFIG_FILE": os.devnull,
    }
    subprocess.run([*cut, bundle / "install.sh", tmp_path / "nova"], check=True, env=env)
    novacron = tmp_path / "nova" / "bin" / "novacron"
    done = subprocess.run(
        [*cut, novacron, "vms", "--json", "--uri", "test:///default"],
        check=False, capture_output=True, text=True, env=env, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"name": "test"' in done.stdout
