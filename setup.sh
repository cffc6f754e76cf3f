#!/usr/bin/env bash
# Sets up NovaCron on Debian 12 or Ubuntu 24.04: system packages where missing, then .venv.
# A second run only compares stamps. Without an option everything is set up; with
#   --demo          what `make demo` needs: no development tools
#   --without-lab   all but what the practice fleet needs (for checks and offline work)
#   --simulated     what the simulated fleet needs: no libvirt, QEMU or sshd
set -euo pipefail
cd "$(dirname "$0")"

BUILD_PACKAGES=(python3-venv python3-dev libvirt-dev pkg-config gcc)
LAB_PACKAGES=(qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-daemon-driver-qemu
    libvirt-clients openssh-server openssh-client iproute2 netcat-openbsd busybox-static zstd)
STAMP=.venv/.novacron-setup

say() { printf 'setup: %s\n' "$*"; }
stop() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

WITHOUT="; the simulated fleet needs none of it: make simulated"
with_lab=yes
parts=(kvm dev) # of pyproject.toml, besides NovaCron itself
for option in "$@"; do
    case $option in
        --demo) parts=(kvm) ;;
        --without-lab) with_lab=no ;;
        --simulated) with_lab=no parts=() BUILD_PACKAGES=(python3-venv) WITHOUT= ;;
        *) stop "unknown option $option (there are --demo, --without-lab and --simulated)" ;;
    esac
done
NO_INDEX="found no package index: give it a network, or PIP_INDEX_URL, or use the offline bundle"

# The youngest Python from 3.11 to 3.13 that can make an environment with ensurepip.
find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        [ -n "$name" ] && command -v "$name" >/dev/null || continue
        if "$name" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

fingerprint() {
    { cat pyproject.toml setup.sh; "$1" -c 'import sys; print(sys.version, sys.base_prefix)'; } | sha256sum | cut -d' ' -f1
}

packages_to_install() {
    local package wanted=("${BUILD_PACKAGES[@]}")
    [ "$with_lab" = no ] || wanted+=("${LAB_PACKAGES[@]}")
    for package in "${wanted[@]}"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            "install ok installed") ;;
            *) echo "$package" ;;
        esac
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

# Installing openssh-server or libvirt-daemon-system would start them. The practice fleet runs
# its own, so a policy for the length of this installation keeps new services from starting,
# and sshd, which would be reachable from the network, is not enabled for the next start either.
POLICY=/usr/sbin/policy-rc.d
hold_services() {
    [ ! -e "$POLICY" ] || return 0
    trap release_services EXIT
    if ! printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null; then
        trap - EXIT
        stop "nothing can be installed: ${1} was refused"
    fi
    as_root chmod 755 "$POLICY"
}

release_services() {
    as_root rm -f "$POLICY"
    trap - EXIT
}

install_packages() {
    local missing=("$@") new_sshd=no status=0 power=sudo
    [ "$(id -u)" != 0 ] || power=root
    [ "$power" = root ] || command -v sudo >/dev/null ||
        stop "these packages are missing and neither root nor sudo is at hand: ${missing[*]}$WITHOUT"
    say "installing ${missing[*]}"
    case " ${missing[*]} " in *" openssh-server "*) new_sshd=yes ;; esac
    hold_services "$power"
    {
        [ -n "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] || apt update
        apt install -y --no-install-recommends "${missing[@]}" ||
            { apt update && apt install -y --no-install-recommends "${missing[@]}"; }
    } || status=$?
    if [ "$new_sshd" = yes ] && [ "$status" = 0 ] && command -v systemctl >/dev/null; then
        as_root systemctl disable ssh.service ssh.socket >/dev/null 2>&1 || true
        say "openssh-server was installed for its programs alone: the system's own sshd stays off"
    fi
    [ -z "$(trap -p EXIT)" ] || release_services
    [ "$status" = 0 ] || stop "apt-get could not install ${missing[*]}: see above (is there a network, and does 'apt-get update' work?)$WITHOUT"
}

make_environment() {
    local python=$1
    # An environment that works is brought up to date in place, for it may be in use.
    if ! .venv/bin/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
        say "making .venv with $("$python" -V)"
        "$python" -m venv --clear .venv
    fi
    say "installing Python packages into .venv"
    local pip=(.venv/bin/python -m pip install -q --disable-pip-version-check) wanted=(-e .)
    case " ${parts[*]} " in *" kvm "*) wanted=(-e '.[kvm]') ;; esac
    case " ${parts[*]} " in
        *" dev "*)
            wanted+=(--group dev)
            "${pip[@]}" --upgrade 'pip>=25.1' || stop "pip $NO_INDEX"
            ;;
    esac
    "${pip[@]}" "${wanted[@]}" || stop "pip could not install what pyproject.toml asks for: see above; where it $NO_INDEX$WITHOUT"
    echo "$(fingerprint "$python") ${parts[*]}" >"$STAMP"
    say "done"
}

# The stamp is the fingerprint of what was set up, followed by its parts.
is_set_up() {
    local part stamp
    stamp=$(cat "$STAMP" 2>/dev/null) && [ -x .venv/bin/python ] && [ "${stamp%% *}" = "$1" ] || return 1
    for part in "${parts[@]}"; do
        case " ${stamp#* } " in *" $part "*) ;; *) return 1 ;; esac
    done
}

main() {
    local python missing
    if python=$(find_python) && is_set_up "$(fingerprint "$python")"; then
        mapfile -t missing < <([ "$with_lab" = no ] || command -v dpkg-query >/dev/null && [ "$with_lab" = yes ] && packages_to_install)
        [ "${#missing[@]}" = 0 ] || install_packages "${missing[@]}"
        return
    fi
    # The simulated fleet needs no more than a Python that can make environments.
    if [ -n "$python" ] && [ "${#parts[@]}" = 0 ]; then
        make_environment "$python"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        if .venv/bin/python -c 'import console.cli, libvirt' 2>/dev/null; then
            return # made by hand, as the next lines say
        fi
        stop "this sets up Debian 12 and Ubuntu 24.04; elsewhere install libvirt-dev, QEMU, libvirtd and sshd yourself, then: python3 -m venv .venv && .venv/bin/pip install -e '.[kvm]' --group dev$WITHOUT"
    fi
    mapfile -t missing < <(packages_to_install)
    [ "${#missing[@]}" = 0 ] || install_packages "${missing[@]}"
    python=$(find_python) || stop "no Python from 3.11 to 3.13 with venv was found"
    make_environment "$python"
}

main
