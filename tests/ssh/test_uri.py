"""libvirt URIs: what is understood, and what is refused with words that help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import Refused
from drivers.uri import LibvirtUri, parse_uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qemu:///system", LibvirtUri("qemu")),
        ("qemu:///session", LibvirtUri("qemu", path="/session")),
        ("test:///default", LibvirtUri("test", path="/default")),
        ("test+ssh://h/default", LibvirtUri("test", "ssh", host="h", path="/default")),
        ("test+unix:///default", LibvirtUri("test", "unix", path="/default")),
        (
            "qemu+unix:///session?socket=/run/a%20b",
            LibvirtUri("qemu", "unix", path="/session", socket="/run/a b"),
        ),
        (
            "qemu+ssh://root@kvm1:2222/system?keyfile=~/k&known_hosts=/kh&mode=direct",
            LibvirtUri(
                "qemu", "ssh", "root", "kvm1", 2222, keyfile="~/k", known_hosts="/kh", mode="direct"
            ),
        ),
        (
            "QEMU+SSH://ad%40corp@[fe80::1%25eth0]:22/system?no_tty=1;no_verify=0",
            LibvirtUri("qemu", "ssh", "ad@corp", "fe80::1%eth0", 22, no_tty=True),
        ),
        (
            "qemu+ssh://h/system?proxy=netcat&netcat=/bin/nc&command=/bin/ssh&no_sanity=1",
            LibvirtUri(
                "qemu",
                "ssh",
                host="h",
                proxy="netcat",
                netcat="/bin/nc",
                command="/bin/ssh",
                extras={"no_sanity": "1"},
            ),
        ),
    ],
)
def test_understood(text: str, expected: LibvirtUri) -> None:
    """Each part is where it belongs, and writing it out again means the same."""
    assert parse_uri(text) == expected
    assert parse_uri(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("kvm1", "no ://"),
        ("xen:///system", "xen"),
        ("qemu+tcp://h/system", "tcp"),
        ("qemu+://h/system", "not supported"),
        ("qemu://h/system", "no SSH transport"),
        ("qemu+ssh:///system", "names no host"),
        ("qemu+ssh://h", "neither /system nor /session"),
        ("qemu+ssh://h/sytem", "neither /system nor /session"),
        ("qemu+ssh://h:0/system", "no port"),
        ("qemu+ssh://h:99999/system", "no port"),
        ("qemu+ssh://h:/system", "port is empty"),
        ("qemu+ssh://[::1/system", "malformed"),
        ("qemu+ssh://[fe80::zz]/system", "malformed|no IPv6"),
        ("qemu+ssh://-oProxyCommand=x/system", "cannot be a host"),
        ("qemu+ssh://-l@h/system", "cannot be a user"),
        ("qemu+ssh://h%0a/system", "control"),
        ("qemu+ssh://h/system?keyfil=/k", "unknown parameter"),
        ("qemu+ssh://h/system?keyfile=/a&keyfile=/b", "twice"),
        ("qemu+ssh://h/system?no_verify=yes", "neither 0 nor 1"),
        ("qemu+ssh://h/system?mode=x", "mode=x"),
        ("qemu+ssh://h/system?socket=rel", "absolute"),
        ("qemu+ssh://h/system?name=qemu:///session", "another than its path"),
        ("qemu+ssh://h/system#x", "# part"),
        ("test://", "names no test fleet"),
        ("qemu+ssh://h/%ff", "UTF-8"),
    ],
)
def test_refused(text: str, words: str) -> None:
    """The message says which part is wrong."""
    with pytest.raises(Refused, match=words) as caught:
        parse_uri(text)
    assert caught.value.problem.fix


def test_a_name_that_says_what_the_path_says_is_kept() -> None:
    """libvirt would open it by name; here the path says what is opened."""
    uri = parse_uri("qemu+ssh://h/system?name=qemu:///system")
    assert uri.local == uri.extras["name"]


def test_password_is_refused_and_not_repeated() -> None:
    """A password in a URI is not understood, and not shown again either."""
    with pytest.raises(Refused, match="password") as caught:
        parse_uri("qemu+ssh://root:hunter2@h/system")
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Nothing a person types ends in anything but a URI or a refusal."""
    for candidate in (text, "qemu+ssh://" + text, "qemu+ssh://h/system?" + text):
        try:
            uri = parse_uri(candidate)
        except Refused:
            continue
        assert parse_uri(str(uri)) == uri


def test_refusals_are_harmless_to_print() -> None:
    """Control characters in a URI do not reach the terminal."""
    with pytest.raises(Refused) as caught:
        parse_uri("qemu+ssh://h\x1b[31m/system")
    assert "\x1b" not in str(caught.value)
