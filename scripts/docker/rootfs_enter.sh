#!/usr/bin/env bash
# rootfs_enter.sh HOME WORKDIR COMMAND [HOST:INSIDE[:ro]...] -- [NAME[=VALUE]...]
# What engines.sh runs in the namespaces that it makes: builds the view of the environment in HOME and enters it. Writes outside of the
# mounts go to memory and vanish with the namespaces, so the environment on disk stays as it was made.
set -euo pipefail

if (($$ != 1)); then
    # Before the PID namespace. The only child is its first process: when it ends, all in it ends; when we are killed, it is killed.
    # We pass signals on. Until tini is there to take them nothing of the command runs, and the end is simple.
    child='' pending=''
    forward() { # name, number
        signalled=1 name=
        if [[ -z $child ]]; then
            pending="$1 $2"
        elif read -r name <"/proc/$child/comm" && [[ $name == tini ]]; then
            kill "-$1" "$child" || true
        else
            kill -KILL "$child" || true
            exit $((128 + $2))
        fi 2>/dev/null
    }
    for signal in 'HUP 1' 'INT 2' 'QUIT 3' 'USR1 10' 'USR2 12' 'TERM 15'; do
        # shellcheck disable=SC2064,SC2086 # now; two words
        trap "forward $signal" ${signal% *}
    done
    exec 3<&0
    # Bash starts what runs in the background with SIGINT and SIGQUIT ignored.
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL -- unshare --mount -- bash "$0" "$@" <&3 3<&- &
    child=$!
    # shellcheck disable=SC2086 # two words
    if [[ -n $pending ]]; then forward $pending; fi
    exec 3<&-
    while :; do
        signalled='' status=0
        wait "$child" || status=$?
        [[ -n $signalled ]] || break # a wait that a signal ended is no end
    done
    exit "$status"
fi

home=$1 workdir=$2 command=$3
shift 3
trap 'echo "build environment: the rootfs engine could not build its view of the environment (see above); use docker or podman here (BUILD_ENGINE)" >&2' ERR

cd "$home"
mount -t tmpfs -o mode=755 tmpfs view
mkdir view/upper view/work view/root
overlay=lowerdir=root,upperdir=view/upper,workdir=view/work
# Without real root, overlayfs keeps its marks in attributes that a user may set.
read -r _ outside _ </proc/self/uid_map
if ((outside)); then overlay+=,userxattr; fi
mount -t overlay -o "$overlay" overlay view/root
cd view/root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
for f in /etc/resolv.conf /etc/hosts /etc/hostname; do
    if [[ -r $f ]]; then cat "$f" >".$f"; fi
done

mkdir old
# The system call of that name, 155 on amd64: Debian's newer util-linux comes without the program, and every Debian has perl-base.
# A chroot would not do: in it no user namespaces, and so no sandboxes, can be made.
perl -e 'my ($new, $old) = (".", "old"); syscall(155, $new, $old) == 0 or die "pivot_root: $!\n"'
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
hash -r
while [[ $1 != -- ]]; do
    IFS=: read -r host inside mode <<<"$1"
    shift
    if [[ -d /old$host ]]; then
        mkdir -p "$inside"
    else
        mkdir -p "$(dirname "$inside")"
        [[ -e $inside ]] || : >"$inside"
    fi
    mount --rbind "/old$host" "$inside"
    if [[ $mode == ro ]]; then mount -o remount,bind,ro "$inside"; fi
done
shift
umount -l /old
rmdir /old
# A network namespace of our own begins with loopback down, and Bazel talks to itself over it.
if [[ $(ip -brief link show lo) == *DOWN* ]]; then ip link set lo up; fi
mkdir -p "$workdir"
cd "$workdir"

environment=()
for e; do
    if [[ $e == *=* ]]; then environment+=("$e"); elif [[ -n ${!e+set} ]]; then environment+=("$e=${!e}"); fi
done
# tini passes signals on to all of the command, reaps what is left over and gives back the exit code.
exec env -i "${environment[@]}" PATH="$PATH" /usr/bin/tini -g -- /usr/share/build-environment/start "$command"
