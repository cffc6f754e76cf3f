"""Whatever a fleet file holds, the answer is hosts or sentences, never a traceback."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from console.config.lines import key_lines
from console.config.load import ConfigError, load_fleet, specs_of
from drivers.model.host import HostSpec

VALID = """\
name = "prod"
[defaults]
protect = "ro"
tiers = { nvme = "hot" }
[defaults.intervals]
slow = "20s"
[sites.fra1]
tenant = "acme"
[[hosts]]
name = "kvm1"
uri = "qemu+ssh://root@kvm1/system"
site = "fra1"
[vms.web1]
tags = ["a"]
[history]
raw = "48h"
[keys]
"vm.migrate" = "M"
"""
SPLICES = st.sampled_from(
    ["=", "[[", "]]", '"', "'", "\n", "#", "[hosts]", "name", "\x00", "\ud7ff", "1e999", "true",
     "{}", "[]", "no_verify=1", "\u202e", "inf", "-1", "ssh://", "[[hosts]]\n"]
)  # fmt: skip


def _load(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.toml"
        path.write_bytes(data)
        try:
            specs = specs_of(load_fleet(path))
        except ConfigError as error:
            told = [problem.what for problem in error.problems]
        else:
            told = [spec.uri for spec in specs if isinstance(spec, HostSpec)]
            assert len(told) == len(specs)
        assert all(told)


@settings(max_examples=80)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Not a fleet file at all."""
    _load(data)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file(data: st.DataObject) -> None:
    """A good file with pieces cut out and others spliced in."""
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(SPLICES) + text[end:]
    _load(text.encode("utf-8", "replace"))


@settings(max_examples=80)
@given(st.text(max_size=300))
def test_line_finding_takes_anything(text: str) -> None:
    """Finding lines is for errors and may not make one."""
    lines = key_lines(text)
    assert all(1 <= number <= len(text.splitlines()) for number in lines.values())
