"""Runs on a host: answers request lines with the raw text of /proc files, written nowhere.

Fed to ``python3 -I -S -c`` over stdin, so it is plain Python 3.6 and imports nothing of ours.
Requests: ``W paths`` watch, ``R seq`` read them, ``S seq`` find QEMU, ``D seq mounts`` sizes.
Answers are framed by lines that begin with the nonce in ``sys.argv[1]``.
"""

import os
import resource
import sys
import time

NONCE = sys.argv[1]
FILES = {}  # path to descriptor: a /proc file read again from 0 is made anew by the kernel
WATCH = []


def slurp(path):
    """Bytes of one file through its descriptor kept open; None where it cannot be read."""
    for _ in (0, 1):
        descriptor = FILES.get(path)
        try:
            if descriptor is None:
                descriptor = FILES[path] = os.open(path, os.O_RDONLY)
            data = chunk = os.pread(descriptor, 65536, 0)
            # Files of one process come in one piece; longer ones may come in several.
            while chunk and len(data) > 900:
                chunk = os.pread(descriptor, 65536, len(data))
                data += chunk
            return data
        except OSError:
            if FILES.pop(path, None) is None:
                return None
            os.close(descriptor)
    return None


def once(path):
    """Bytes of one file, not kept open."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def section(path, data):
    """One file's text under a header, as head prints several files."""
    return b"==> " + os.fsencode(path) + b" <==\n" + data + b"\n"


def read(_words):
    """Every watched file that can be read."""
    for path in WATCH:
        data = slurp(path)
        if data is not None:
            yield section(path, data)


def scan(_words):
    """Command line and thread names of every process started with -uuid."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        base = "/proc/" + pid
        data = once(base + "/cmdline")
        if not data or b"\0-uuid\0" not in data:
            continue
        yield section(base + "/cmdline", data.replace(b"\n", b" ").replace(b"\0", b"\x1f"))
        try:
            threads = os.listdir(base + "/task")
        except OSError:
            continue
        for thread in threads:
            name = once(base + "/task/" + thread + "/comm")
            if name:
                yield section(base + "/task/" + thread + "/comm", name)


def sizes(words):
    """Filesystem sizes in the columns of ``df -kP``."""
    for mount in words:
        try:
            found = os.statvfs(mount)
        except OSError:
            continue
        unit = found.f_frsize or found.f_bsize
        numbers = (found.f_blocks, found.f_blocks - found.f_bfree, found.f_bavail)
        total, used, free = (n * unit // 1024 for n in numbers)
        yield "- {} {} {} - {}\n".format(total, used, free, mount).encode()


def watch(words):
    """Replace the list of watched files."""
    WATCH[:] = words
    for path in set(FILES) - set(words):
        os.close(FILES.pop(path))


def serve():
    """Answer until stdin ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    out = sys.stdout.buffer
    facts = (os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"), time.time())
    out.write("{} hello python {} {} {}\n".format(NONCE, *facts).encode())
    out.flush()
    verbs = {b"R": read, b"S": scan, b"D": sizes}
    for line in sys.stdin.buffer:
        verb, *words = line.split()
        if verb == b"W":
            watch([os.fsdecode(word) for word in words])
        elif verb in verbs:
            number = words[0].decode()
            stamp = (NONCE, number, time.time(), time.monotonic())
            parts = ["{} begin {} {} {}\n".format(*stamp).encode()]
            parts += verbs[verb]([os.fsdecode(word) for word in words[1:]])
            parts.append("\n{} end {}\n".format(NONCE, number).encode())
            out.write(b"".join(parts))
            out.flush()


serve()
