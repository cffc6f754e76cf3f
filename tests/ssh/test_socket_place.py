"""Where forwarded sockets live: a path that the kernel takes."""

from pathlib import Path

import pytest

from drivers.ssh import link


def test_a_long_runtime_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deep XDG_RUNTIME_DIR or TMPDIR does not break every connection."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(link.tempfile, "gettempdir", lambda: str(deep))
    assert link._socket_base() == "/tmp"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run")
    assert link._socket_base() == "/run"
