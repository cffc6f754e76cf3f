"""Free space on a destination, read off the output of df."""

from __future__ import annotations

import pytest

from drivers.kvm.room import parse_df

_HEAD = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"


@pytest.mark.parametrize(
    ("text", "free"),
    [
        (f"{_HEAD}/dev/sda1         20511312 12345678   7104212      64% /\n", 7104212 << 10),
        (f"{_HEAD}tmpfs                 12288    12288         0     100% /pool a/b\n", 0),
        (f"{_HEAD}nas:/my vol            1000      100       900      10% /srv/x\n", 900 << 10),
        (f"{_HEAD}none                      0        0         0       - /run/x\n", 0),
        (_HEAD, None),
        ("df: /gone: No such file or directory\n", None),
        ("", None),
    ],
)
def test_df_tells_the_free_bytes(text: str, free: int | None) -> None:
    """Names with blanks do not shift the columns; anything else tells nothing."""
    assert parse_df(text) == free
