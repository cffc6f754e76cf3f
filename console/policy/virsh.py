"""The virsh lines equivalent to each step, quoted for a POSIX shell."""

from __future__ import annotations

import re
import shlex

from drivers.model.job import Request
from drivers.model.vm import Vm

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FLAGS = {
    "disk": "--disk",
    "mode": "--mode",
    "bandwidth_mib": "--bandwidth",
    "volumes": "--with-disk",
    "downtime_ms": "--downtime",
    "compression": "--compression",
    "compression_level": "--compression-level",
    "parallel": "--parallel",
    "finish_s": "--finish",
    "persist": "--persist",
    "migrate_uri": "--migrate-uri",
    "timeout_s": "--timeout",
    "at_timeout": "--at-timeout",
    "wait_s": "--wait",
}
"""Options of a request that the command line has a flag with a value for."""
_WHOLE_FLAGS = {"levers": "--levers"}
"""Those whose value is one word, commas and all."""
_SWITCHES = {
    "remove_source": "--remove-source",
    "keep_old": "--keep-old",
    "auto_converge": "--auto-converge",
    "post_copy": "--post-copy",
    "tunnelled": "--tunnelled",
    "incremental": "--incremental",
    "keep_source": "--keep-source",
    "carry_on": "--carry-on",
    "nvram": "--nvram",
}
"""Those that are said or left out."""
_HEX = re.compile(r"[0-9a-fA-F]{32}")


def domain_arg(vm: Vm) -> str:
    """The word by which virsh finds this domain."""
    return domain_word(vm.name, vm.uuid)


def domain_word(name: str, uuid: str) -> str:
    """The name of a domain, or its UUID where the name misleads virsh.

    virsh takes all digits for a domain id, hex for a UUID and a leading dash for an option.
    """
    misleads = (
        not name
        or name.isdigit()
        or name.startswith("-")
        or not name.isprintable()
        or _UUID.fullmatch(name) is not None
        or _HEX.fullmatch(name) is not None
    )
    return uuid if misleads else name


def virsh(uri: str, *words: str) -> str:
    """One ``virsh -c URI ...`` line."""
    return shlex.join(["virsh", "-c", uri, *words])


def sed_line(pattern: str, replacement: str) -> str:
    """A ``sed`` filter that replaces one literal text by another wherever it stands."""
    literal = re.sub(r"([][\\.*^$|])", r"\\\1", pattern)
    text = re.sub(r"([\\&|])", r"\\\1", replacement)
    return shlex.join(["sed", f"s|{literal}|{text}|g"])


def file_word(vm: Vm, suffix: str) -> str:
    """A harmless local file name for an edited definition."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", vm.name).lstrip("-.") + suffix if vm.name else "vm.xml"


def retry_line(request: Request, vm_name: str) -> str:
    """The console's own command line that asks for the same thing again."""
    words = ["novacron", request.action.value, vm_name]
    if request.target:
        words += ["--to", request.target]
    for key, value in request.options.items():
        flag = _FLAGS.get(key)
        if flag and value and value != "0":
            words += [part for item in value.split(",") for part in (flag, item)]
        elif key in _WHOLE_FLAGS and value:
            words += [_WHOLE_FLAGS[key], value]
        elif key in _SWITCHES and value == "yes":
            words.append(_SWITCHES[key])
    return shlex.join(words)
