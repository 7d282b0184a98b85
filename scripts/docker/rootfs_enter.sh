#!/usr/bin/env bash
# rootfs_enter.sh ROOT WORKDIR COMMAND [HOST:INSIDE[:ro]...] -- [NAME=VALUE...]
# First process of the namespaces that engines.sh makes: builds the view of the environment and enters it. Writes outside of the mounts go
# to memory and vanish with the namespaces, so the environment on disk stays as it was made.
set -euo pipefail
lower=$1 workdir=$2 command=$3
shift 3

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/view
if ! mount -t overlay -o "lowerdir=$lower,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/view; then
    echo "build environment: expected a kernel that lets us mount overlay file systems (BUILD_ENGINE=rootfs); use docker or podman here" >&2
    exit 1
fi
cd /mnt/view
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
while [[ $1 != -- ]]; do
    IFS=: read -r host inside mode <<<"$1"
    shift
    if [[ -d $host ]]; then
        mkdir -p ".$inside"
    else
        mkdir -p ".$(dirname "$inside")"
        : >>".$inside"
    fi
    mount --rbind "$host" ".$inside"
    if [[ $mode == ro ]]; then mount -o remount,bind,ro ".$inside" 2>/dev/null || true; fi
done
shift
for f in /etc/resolv.conf /etc/hosts /etc/hostname; do
    if [[ -r $f ]]; then cat "$f" >".$f"; fi
done

mkdir -p old
pivot_root . old
umount -l /old
rmdir /old
mkdir -p "$workdir"
cd "$workdir"
# tini passes signals on, reaps what is left over and gives back the command's exit code.
exec env -i "$@" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/bin/tini -g -- /usr/share/build-environment/start "$command"
