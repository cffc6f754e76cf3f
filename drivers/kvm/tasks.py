"""Commands on a host that outlive their connection, and are begun once.

A folder on the host, made before the command runs, is its latch: whoever finds it does not begin
the command again, whatever became of the console or the connection meanwhile. In it the command
leaves its output and its exit status; a lock that its shell holds tells that it still runs. Root's
folder lies in /run, where nobody else can make one and a reboot clears it; that of others in /tmp.
The command is the operator's own line, but still an argument of the script, never part of it.
"""

from __future__ import annotations

from drivers.errors import Failed, Refused
from drivers.kvm.reach import run
from drivers.kvm.session import Session
from drivers.kvm.text import clean, whole
from drivers.model.host import Protect
from drivers.model.upgrade import HostTask, Standing, TaskLook, TaskState

KEPT = 4000
"""Characters of a command's output that are kept: its end."""

_WHERE = """
LC_ALL=C; export LC_ALL; umask 077
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
if [ "$(id -u)" = 0 ]; then b=/run; else b=/tmp; fi
d=$b/novacron-task-$(id -u)-$1
"""
_LOOK = f"""{_WHERE}
n= s=absent
if [ -L "$d" ] || {{ [ -e "$d" ] && ! [ -O "$d" ]; }}; then
  s=foreign
elif [ -d "$d" ]; then
  s=lost
  exec 9>>"$d/lock"
  if ! flock -n 9; then s=running; else [ -f "$d/status" ] || sleep 1; fi
  [ -f "$d/status" ] && s=ended n=$(cat "$d/status")
  if [ "$(wc -c <"$d/out" 2>/dev/null || echo 0)" -gt 4194304 ]; then
    tail -c 65536 "$d/out" >"$d/tail"; : >"$d/out"
  fi
fi
echo "boot $boot"; echo "state $s"; echo "status $n"; echo output
cat "$d/tail" "$d/out" 2>/dev/null | tail -c {KEPT}
"""
# A flood of output is cut while somebody looks, so that it does not fill /run. The second look at
# the status is for a command that ends between the two.

_BEGIN = f"""{_WHERE}
[ "$boot" = "$2" ] || {{ echo "boot $boot"; exit 0; }}
t=$(mktemp -d "$d.XXXXXX") || exit 0
exec 9>"$t/lock"; flock 9
mv -T "$t" "$d" 2>/dev/null || {{ rm -rf -- "$t"; exit 0; }}
setsid sh -c '
  echo $$ >"$1/pid"
  sh -c "$2" >>"$1/out" 2>&1 </dev/null 9<&-
  echo $? >"$1/new"; mv "$1/new" "$1/status"
' sh "$d" "$3" >/dev/null 2>&1 </dev/null &
"""
# The folder gets its name when the lock is held: nobody finds it without the one who begins.

_FORGET = f"""{_WHERE}
if [ ! -L "$d" ] && [ -O "$d" ] && [ -f "$d/status" ]; then rm -rf -- "$d" "$d".??????; fi
"""
_END = f"""{_WHERE}
[ ! -L "$d" ] && [ -O "$d" ] && [ -d "$d" ] || exit 0
exec 9>>"$d/lock"
if ! flock -n 9; then
  p=$(cat "$d/pid" 2>/dev/null); [ -n "$p" ] || exit 0
  kill -9 "-$p" || exit 0
fi
rm -rf -- "$d" "$d".??????
"""
# Who holds the lock is the very process that wrote its id, and leads its group.

_AS_ROOT = """
if [ "$(id -u)" = 0 ]; then exec sh -c "$@"; fi
exec sudo -n sh -c 'exec 2>/dev/null; exec sh -c "$@"' sh "$@" 2>&1
"""
# What sudo says of its own accord is heard, as it tells why it refuses.
_STANDING = """
LC_ALL=C; export LC_ALL
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
echo "kernel $(uname -r)"
echo "user $(id -un)"
if [ "$(id -u)" = 0 ] || said=$(sudo -n sh -c : 2>&1); then
  echo "root yes"
else
  echo "denied $(printf %s "$said" | tr '\n' ' ')"
fi
"""


class KvmTasks:
    """The commands of one host; see ``drivers.tasks.HostTasks``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def standing(self) -> Standing:
        """Boot, kernel and rights."""
        text = await run(self._session, ("sh", "-c", _STANDING), self._session.spec.deadline_s)
        told = _fields(text)
        if not told.get("boot") or not told.get("kernel"):
            raise Failed(
                f"{self._session.spec.name} does not tell which boot and kernel run",
                clean(text)[:200] or "no answer to a command",
                "it needs a POSIX shell, /proc and uname",
            )
        user, denied = told.get("user", ""), told.get("denied", "")[:200]
        return Standing(told["boot"], told["kernel"], user, "root" in told, denied)

    async def begin(self, task: HostTask) -> TaskLook:
        """Begin a command unless it was begun, and look at it."""
        if self._session.spec.protect is Protect.RO:
            what = f"{self._session.spec.name} is read-only: no command is run there"
            proof = 'protect = "ro" in its configuration'
            raise Refused(what, proof, 'set protect = "confirm" or "rw" for this host')
        await self._script(_BEGIN, task.root, task.token, task.boot, task.command)
        return await self.look(task.token, root=task.root)

    async def look(self, token: str, *, root: bool) -> TaskLook:
        """How a command stands."""
        text = await self._script(_LOOK, root, token)
        head, _, output = text.partition("\noutput\n")
        told = _fields(head)
        try:
            state = TaskState(told.get("state", ""))
        except ValueError:
            raise self._unread(text, root=root) from None
        status = whole(told.get("status"), -1) if state is TaskState.ENDED else None
        lines = (clean(line.replace("\t", " ")) for line in output.replace("\r", "\n").split("\n"))
        shown = "\n".join(line for line in lines if line.strip())
        return TaskLook(state, told.get("boot", ""), status, shown[-KEPT:])

    async def forget(self, token: str, *, root: bool) -> None:
        """Remove the folder of a command that has ended."""
        await self._script(_FORGET, root, token)

    async def end(self, token: str, *, root: bool) -> None:
        """Kill a command that runs, and remove its folder."""
        await self._script(_END, root, token)

    def _unread(self, text: str, *, root: bool) -> Refused:
        """Why a look told nothing: sudo's own words, where it was that which refused."""
        name, said = self._session.spec.name, clean(" ".join(text.split()))[:200]
        if root and "sudo:" in said:
            fix = "let the login use sudo without a password (NOPASSWD in sudoers) again"
            return Refused(f"{name} refuses root to the login: {said}", said, fix)
        what = f"what became of a command on {name} cannot be read"
        return Refused(what, said or "no answer", "it needs a POSIX shell, flock and setsid")

    async def _script(self, script: str, root: bool, *words: str) -> str:
        way = ("sh", "-c", _AS_ROOT, "sh") if root else ("sh", "-c")
        deadline = self._session.spec.deadline_s
        return await run(self._session, (*way, script, "sh", *words), deadline)


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: clean(rest).strip() for name, _, rest in pairs}
