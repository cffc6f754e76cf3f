"""Secrets are taken out of what is stored and shown, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.policy.redact import MASK, redacted, secrets_in

SECRET = "hunter2-Xy"


@pytest.mark.parametrize(
    "line",
    [
        "mysql --password={} -e 'select 1'",
        "mysql --password {} -e 'select 1'",
        "DB_PASSWORD='{}' ./upgrade",
        'PASSWD="{}" ./upgrade',
        "subscription-manager register --token {}",
        "curl -H 'Authorization: Bearer {}' https://repo/x",
        "curl -u ops:{} https://repo/x",
        "curl --user ops:{} https://repo/x",
        "curl https://ops:{}@repo.example/x",
        "apt-get -o Acquire::http::Proxy=http://ops:{}@proxy:3128 update",
        "sshpass -p {} ssh kvm2 true",
        "sshpass -p{} ssh kvm2 true",
        "export API_KEY={}; run",
        "export AWS_SECRET_ACCESS_KEY={}",
        '{{"token": "{}"}}',
        "password: {}",
        "vault login -token={}",
        "tool --client-secret={} go",
    ],
)
def test_a_secret_is_masked_and_the_rest_stays(line: str) -> None:
    """What was run can still be read; what it printed is rid of the secret too."""
    told = line.format(SECRET)
    shown = redacted(told)
    assert SECRET not in shown
    assert shown.replace("'", "").replace('"', "") == line.format(MASK).replace("'", "").replace(
        '"', ""
    )
    assert secrets_in(told) == (SECRET,)
    assert redacted(shown) == shown
    assert redacted(f"+ login with {SECRET}", secrets_in(told)) == f"+ login with {MASK}"


@pytest.mark.parametrize(
    "line",
    [
        "apt-get -y full-upgrade",
        "systemctl reboot",
        "mysql --password=$PW -e 'select 1'",
        'mysql --password="$PW"',
        "mysql --password-file=/root/pw",
        "mysql --password-file /root/pw",
        "curl -u @/root/who https://repo:443/x",
        "curl https://repo.example:8443/path@2",
        "passwd -l guest",
        "sed -i 's/PasswordAuthentication yes/PasswordAuthentication no/' /etc/ssh/sshd_config",
        "grep -c password /var/log/auth.log",
        "systemctl restart token-service",
        "dnf upgrade --exclude=kernel*",
    ],
)
def test_a_line_without_a_secret_stays_as_it_is(line: str) -> None:
    assert redacted(line) == line
    assert secrets_in(line) == ()


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redacted(f"run {text}")
    assert redacted(once) == once
