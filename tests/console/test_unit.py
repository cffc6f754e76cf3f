"""The systemd unit that ``novacron record --unit`` prints, for paths of every kind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from console.headless.unit import quoted, unit_text

STRANGE = ("plain", "a b", "50%", "it's", 'a "quote"', "back\\slash", "$HOME", "se;mi", "naïve 京")


def lines(text: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in text.splitlines() if line.startswith(key)]


def test_ordinary_paths_are_left_as_they_are() -> None:
    """A unit is read and edited by people."""
    text = unit_text(["/usr/bin/novacron"], ["--config", "/etc/fleet.toml", "record"], {})
    assert lines(text, "ExecStart") == ["/usr/bin/novacron --config /etc/fleet.toml record"]
    assert lines(text, "Environment") == []


def test_blanks_percent_signs_and_dollars_are_escaped() -> None:
    """systemd expands %h and $HOME, and takes words apart at blanks; each has its own escape."""
    text = unit_text(["/my apps/novacron"], ["--config", "/srv/50%/$x/a\tb.toml", "record"], {})
    assert lines(text, "ExecStart") == [
        '"/my apps/novacron" --config "/srv/50%%/$$x/a\\x09b.toml" record'
    ]
    assert quoted("a$b") == "a$b", "in the program and in Environment= it means itself"
    text = unit_text(["/it's/$x"], ["record"], {})
    assert lines(text, "ExecStart") == ['/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/it\'s/$$x" record']
    assert quoted("\udcff") == '"\\xff"', "a byte that is no text"


def test_the_folders_of_this_user_are_kept() -> None:
    """The service manager has another environment; a wrong setting is not tried again for ever."""
    places = {"XDG_DATA_HOME": "/my data/100%", "XDG_CONFIG_HOME": "", "HOME": "/h"}
    text = unit_text(["/usr/bin/novacron"], ["record"], places)
    assert lines(text, "Environment") == ['"XDG_DATA_HOME=/my data/100%%"']
    assert lines(text, "RestartPreventExitStatus") == ["2"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("name", STRANGE)
def test_systemd_finds_the_program(tmp_path: Path, name: str) -> None:
    """systemd itself reads the unit, and finds the program: the name arrives unharmed."""
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "novacron"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "novacron-record.service"

    def complaints() -> str:
        text = unit_text(
            [str(program)], ["--config", f"/srv/{name}", "record"], {"XDG_DATA_HOME": name}
        )
        unit.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", "--man=no", unit],
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return "".join(line for line in done.stderr.splitlines() if "novacron" in line)

    assert complaints() == ""
    program.unlink()
    looked = "is not executable" in complaints()
    assert looked or "/bin/sh -c" in unit.read_text(), "systemd looks at all"
