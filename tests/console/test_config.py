"""The fleet file: what it may say, and how an error points at the line."""

from pathlib import Path

import pytest

from console.config.lines import key_lines, line_of
from console.config.load import ConfigError, load_fleet, specs_from_uris, specs_of
from console.config.paths import user_paths
from console.config.schema import duration
from drivers.model.host import Protect, Transport

GOOD = """
name = "prod"

[defaults]
protect = "ro"
tags = ["all"]
deadline = "5s"
[defaults.tiers]
nvme = "hot"

[sites.fra1]
tenant = "acme"
protect = "confirm"
tiers = { archive = "cold" }
[sites.fra1.intervals]
slow = "20s"

[[hosts]]
name = "kvm1"
uri = "qemu+ssh://root@kvm1/system"
site = "fra1"
tags = ["prod"]
transport = "helper"

[[hosts]]
name = "kvm2"
uri = "qemu+ssh://root@kvm2:2222/system"
protect = "rw"
"""


def _load(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_fleet(path)
    return caught.value


def test_nearer_settings_win(tmp_path: Path) -> None:
    """A host's own word beats its site's, which beats the defaults; tiers and tags add up."""
    path = tmp_path / "fleet.toml"
    path.write_text(GOOD)
    one, two = specs_of(load_fleet(path))
    assert (one.protect, one.tenant, one.slow_s, one.deadline_s) == (
        Protect.CONFIRM, "acme", 20.0, 5.0,
    )  # fmt: skip
    assert one.transport is Transport.HELPER
    assert dict(one.tiers) == {"nvme": "hot", "archive": "cold"}
    assert one.tags == ("prod", "all")
    assert (two.protect, two.tenant, two.slow_s) == (Protect.RW, "", 10.0)


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (3, "[[hosts]]\nname='a'\nuri='qemu+ssh:///system'", "hosts.0.uri"),
        (4, "[[hosts]]\nname='a'\nuri='test:///default'\nprotekt='ro'", "not known here"),
        (2, "[defaults]\nprotect='maybe'", "'ro', 'confirm' or 'rw'"),
        (2, "[history]\nraw='soon'", '"48h"'),
        (2, "[history]\nraw='10m'", "greater than or equal to 3600"),
        (1, "[[hosts]]\nname='a'", "hosts.0.uri: this key is needed"),
        (2, "[defaults]\ntags='prod'", "expected a list"),
        (1, "hosts=['kvm1']", "expected a table"),
        (5, "[[hosts]]\nname='a'\nuri='test:///default'\n[[hosts]]\nname='b c'\nuri='test:///x'",
         "letters"),
        (4, "[[hosts]]\nname='a'\nuri='test:///default'\ntiers={ x = 'tepid' }", "'hot'"),
    ],
)  # fmt: skip
def test_errors_name_file_line_key_and_expectation(
    tmp_path: Path, line: int, text: str, words: str
) -> None:
    """A person sees where to look and what was expected."""
    message = str(_load(tmp_path, text))
    assert f"fleet.toml, line {line}:" in message
    assert words in message


def test_a_password_in_a_uri_is_not_repeated(tmp_path: Path) -> None:
    """Errors end up in logs and screen shots."""
    text = "[[hosts]]\nname='a'\nuri='qemu+ssh://root:secret@a/system'"
    message = str(_load(tmp_path, text))
    assert "line 3: hosts.0.uri: " in message
    assert "root:***@a" in message
    assert "secret" not in message


HOST = "[[hosts]]\nname='a'\nuri='test:///default'\n"


@pytest.mark.parametrize(
    ("line", "text", "key", "words"),
    [
        (5, HOST * 2, "hosts.1.name", "two hosts are named 'a'"),
        (4, HOST + "site='fra'\n[sites.ber]", "hosts.0.site", "not under [sites]"),
        (2, "[policy]\nprofile='night'", "policy.profile", "not under [profiles]"),
        (2, "[limits]\nmoves=4", "limits.moves", "moves_per_site is 8, moves is 4"),
        (
            3,
            "[limits]\nconnects=9\nconnects_per_site=10",
            "limits.connects_per_site",
            "connects is 9",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_told_with_line_and_key(
    tmp_path: Path, line: int, text: str, key: str, words: str
) -> None:
    """Each part may say what it says; together they may not, and one of them is to change."""
    message = str(_load(tmp_path, text))
    assert f"fleet.toml, line {line}: {key}: " in message
    assert words in message


def test_broken_toml_is_told_with_its_place(tmp_path: Path) -> None:
    """A syntax error comes with the parser's own line."""
    assert "line 2" in str(_load(tmp_path, "a = 1\nb = = 2"))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """The first run is not a dead end."""
    with pytest.raises(ConfigError) as caught:
        load_fleet(tmp_path / "none.toml")
    assert "novacron init" in str(caught.value)


def test_hosts_without_a_file_get_unique_names() -> None:
    """URIs on the command line are enough."""
    specs = specs_from_uris(["qemu+ssh://root@kvm1/system", "qemu+ssh://me@kvm1/session"])
    assert [s.name for s in specs] == ["kvm1", "kvm1-2"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("2y", 63072000.0)]
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are written as people say them."""
    assert duration(text) == seconds


def test_config_path_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """--config beats NOVACRON_CONFIG beats XDG."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/x")
    monkeypatch.delenv("NOVACRON_CONFIG", raising=False)
    assert user_paths().config == Path("/x/novacron/fleet.toml")
    monkeypatch.setenv("NOVACRON_CONFIG", "/e/f.toml")
    assert user_paths().config == Path("/e/f.toml")
    assert user_paths("/c.toml").config == Path("/c.toml")


def test_lines_of_nested_and_repeated_tables() -> None:
    """Arrays of tables are counted, quoted and dotted keys understood."""
    lines = key_lines('a.b = 1\n[[h]]\nx = 1\n[[h]]\n"x y" = 2\n[h.t]\nk = 3\n')
    assert line_of(lines, ("a", "b")) == 1
    assert line_of(lines, ("h", 0, "x")) == 3
    assert line_of(lines, ("h", 1, "x y")) == 5
    assert line_of(lines, ("h", 1, "t", "k")) == 7
    assert line_of(lines, ("h", 1, "missing")) == 4
