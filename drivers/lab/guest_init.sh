#!/bin/busybox sh
# First process of a practice guest: loads its drivers, then makes the load that the
# kernel command line asks for (nova.name, nova.cpu, nova.dirty, nova.span, nova.count, nova.ip,
# nova.peer), and heeds the power button unless it is deaf (nova.deaf). It answers as a guest agent
# where it is told to (nova.agent).
/bin/busybox mkdir -p /proc /sys /dev /run /etc /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 run /run

for module in $(cat /modules/order); do insmod "/modules/$module"; done

name=guest cpu=0 dirty=0 span=0 count=0 deaf=0 agent=0 ip= peer=
for word in $(cat /proc/cmdline); do
    case $word in
        nova.name=*) name=${word#*=} ;;
        nova.cpu=*) cpu=${word#*=} ;;
        nova.dirty=*) dirty=${word#*=} ;;
        nova.span=*) span=${word#*=} ;;
        nova.count=*) count=${word#*=} ;;
        nova.deaf=*) deaf=${word#*=} ;;
        nova.agent=*) agent=${word#*=} ;;
        nova.ip=*) ip=${word#*=} ;;
        nova.peer=*) peer=${word#*=} ;;
    esac
done
hostname "$name"

# A spinner that is stopped and continued a hundred times in ten seconds: cpu percent of one vCPU.
spin() {
    (while :; do :; done) &
    spinner=$!
    while :; do
        kill -CONT $spinner
        usleep $((cpu * 1000))
        kill -STOP $spinner
        usleep $(((100 - cpu) * 1000))
    done
}

# Rewrites this many MiB of memory each second, with bytes that do not compress to zero pages.
soil() {
    dd if=/dev/urandom of=/run/noise bs=64k count=16 2>/dev/null
    while :; do
        i=0
        while [ $i -lt "$dirty" ]; do
            dd if=/run/noise of=/run/soiled bs=64k seek=$((i * 16)) conv=notrunc 2>/dev/null
            i=$((i + 1))
        done
        sleep 1
    done
}

# Milliseconds since boot, as `uptime`.
look_at_clock() {
    read -r uptime rest </proc/uptime
    uptime=${uptime%.*}${uptime#*.}0
    while [ "${uptime#0}" != "$uptime" ] && [ "$uptime" != 0 ]; do uptime=${uptime#0}; done
}

# Rewrites the same number of MiB a second, evenly, round and round over `span` MiB. What could not
# be written in time is not made up for: the rate is never above the one asked for.
wander() {
    dd if=/dev/urandom of=/run/noise bs=64k count=16 2>/dev/null
    look_at_clock
    i=0 due=$uptime
    while :; do
        dd if=/run/noise of=/run/soiled bs=64k seek=$((i % span * 16)) conv=notrunc 2>/dev/null
        i=$((i + 1)) due=$((due + 1000 / dirty))
        look_at_clock
        if [ "$due" -gt "$uptime" ]; then usleep $(((due - uptime) * 1000)); else due=$uptime; fi
    done
}

# Block n of the disk holds the number n, and block 0 the newest n: a lost write leaves a hole.
# Half of the disk is used in a ring, so that a long-lived guest never reaches the end.
keep_count() {
    ring=$(($(cat /sys/block/vda/size) / 2 - 1))
    n=$(dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -cd '0-9')
    n=${n:-0}
    while :; do
        n=$((n + 1))
        until printf '%-511d\n' $n | dd of=/dev/vda bs=512 seek=$(((n - 1) % ring + 1)) conv=notrunc,fsync 2>/dev/null; do
            usleep 100000 # refused: a number counts once it is written
        done
        printf '%-511d\n' $n | dd of=/dev/vda bs=512 conv=notrunc,fsync 2>/dev/null
        usleep $((count * 1000))
    done
}

# The power button is an input device; any event on it is a press.
watch_button() {
    until button=$(grep -l 'Power Button' /sys/class/input/event*/device/name 2>/dev/null | head -n 1) &&
        [ -n "$button" ]; do
        usleep 100000
    done
    button=${button#/sys/class/input/}
    dd if="/dev/input/${button%%/*}" bs=24 count=1 of=/dev/null 2>/dev/null
    echo "power button pressed, powering off"
    sync
    poweroff -f
}

# A guest agent of a few words: who is there, what time it is, and how to end. One that is deaf has
# its port open and says nothing.
answer_host() {
    until port=$(grep -lx org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name 2>/dev/null); do
        usleep 100000 # it appears a while after its driver
    done
    port=${port#/sys/class/virtio-ports/}
    exec 7<>"/dev/${port%/name}"
    while [ "$deaf" -ne 0 ]; do sleep 3600; done
    while :; do
        if ! read -r line <&7; then
            usleep 100000 # nobody listens on the host
            continue
        fi
        id=${line##*\"id\":}
        id=${id%%[!0-9]*}
        case $line in
            *'"guest-sync-delimited"'*) printf '\377{"return": %s}\n' "$id" >&7 ;;
            *'"guest-sync"'*) printf '{"return": %s}\n' "$id" >&7 ;;
            *'"guest-ping"'*) printf '{"return": {}}\n' >&7 ;;
            *'"guest-get-time"'*) printf '{"return": %s000000000}\n' "$(date +%s)" >&7 ;;
            *'"guest-shutdown"'*'"reboot"'*) sync && reboot -f ;;
            *'"guest-shutdown"'*) sync && poweroff -f ;;
            *) printf '{"error": {"class": "CommandNotFound", "desc": "not known here"}}\n' >&7 ;;
        esac
    done
}

if [ -n "$ip" ] && [ -e /sys/class/net/eth0 ]; then
    ip link set eth0 up
    ip addr add "$ip" dev eth0
    [ -n "$peer" ] && (while :; do
        ping -c 1 -W 1 -s 1200 "$peer" >/dev/null 2>&1
        usleep 800000
    done) &
fi
[ "$deaf" -eq 0 ] && watch_button >/dev/ttyS0 2>&1 &
[ "$agent" -ne 0 ] && answer_host &
[ "$cpu" -gt 0 ] && spin &
[ "$dirty" -gt 0 ] && [ "$span" -eq 0 ] && soil &
[ "$dirty" -gt 0 ] && [ "$span" -gt 0 ] && wander &
[ "$count" -gt 0 ] && [ -b /dev/vda ] && keep_count &

echo "$name is up" >/dev/ttyS0
export PS1="$name:\w# "
while :; do
    setsid cttyhack sh </dev/ttyS0 >/dev/ttyS0 2>&1
    sleep 1
done
