# Runs on a host without python3: the same requests and answers in POSIX sh (busybox ash too).
# The whole is one compound command, so that the shell has read all of it before it answers.
{
    LC_ALL=C
    export LC_ALL
    set -f
    nonce=$1
    paths=/proc/loadavg
    echo "$nonce hello sh $(getconf CLK_TCK || echo 100) $(getconf PAGESIZE || echo 0) $(date +%s.%N)"
    while read -r verb number rest; do
        case $verb in
        W)
            paths="$number $rest"
            ;;
        R)
            echo "$nonce begin $number - -"
            # With two files or more, head names each one; those it cannot read have no header.
            head -n 9999 /proc/uptime $paths
            printf '\n%s end %s\n' "$nonce" "$number"
            ;;
        S)
            echo "$nonce begin $number $(date +%s.%N) -"
            set +f
            for file in $(grep -l -e '[-]uuid' /proc/[0-9]*/cmdline); do
                echo "==> $file <=="
                tr '\000\n' '\037 ' <"$file"
                echo
                head -n 1 /proc/uptime "${file%/cmdline}"/task/[0-9]*/comm
                echo
            done
            set -f
            printf '\n%s end %s\n' "$nonce" "$number"
            ;;
        D)
            echo "$nonce begin $number - -"
            df -kP $rest
            printf '\n%s end %s\n' "$nonce" "$number"
            ;;
        esac
    done
    exit 0
}
