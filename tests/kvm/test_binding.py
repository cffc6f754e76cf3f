"""What is said where libvirt's Python binding is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drivers.errors import Unsupported
from drivers.kvm.binding import _Binding

README = Path(__file__).parents[2] / "README.md"
COMMAND = "pip install '.[kvm]'"


def test_an_absent_binding_is_told_with_what_the_readme_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program is on no index: it is installed from the clone."""
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(Unsupported, match="libvirt-python is not installed") as absent:
        _Binding().load()
    problem = absent.value.problem
    assert "libvirt" in problem.proof
    assert COMMAND in problem.fix
    assert COMMAND in README.read_text(encoding="utf-8")
    needed = ("python3-dev", "libvirt-dev", "pkg-config", "gcc")
    assert all(package in problem.fix for package in needed)
