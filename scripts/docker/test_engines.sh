#!/usr/bin/env bash
# test_engines.sh: runs docker_run.sh for real with Docker, with Podman and with the rootfs engine, as root and as an ordinary user.
#
# Needs root on Debian; installs docker.io and podman with apt-get. Starts a daemon of its own, with its own socket and folders, and leaves
# nothing running; the packages stay, so BUILD_ENGINE=rootfs keeps later starts on the rootfs engine. Prints `N passed, N failed`.
set -euo pipefail
shopt -s inherit_errexit

[[ $(id -u) == 0 ]] || {
    echo 'test_engines.sh: expected root (it starts a docker daemon), found uid '"$(id -u)" >&2
    exit 1
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$here/docker_run.sh
for program in dockerd podman runc newuidmap; do
    command -v "$program" >/dev/null && continue
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker.io podman runc uidmap; } >&2
    break
done

work=$(mktemp -d)
chmod 755 "$work"
user=build-engine-test
daemon=''
cleanup() {
    if [[ -n $daemon ]]; then kill "$daemon" && wait "$daemon" || true; fi
    awk -v work="$work/" 'index($2, work) == 1 {print $2}' /proc/self/mounts | sort -r | xargs -r umount || true
    if id "$user" >/dev/null 2>&1; then userdel "$user"; fi
    rm -rf "$work"
}
trap cleanup EXIT

dockerd --host "unix://$work/docker.sock" --data-root "$work/docker" --exec-root "$work/docker-run" --pidfile "$work/docker.pid" \
    --iptables=false --bridge=none >"$work/dockerd.log" 2>&1 &
daemon=$!
export DOCKER_HOST=unix://$work/docker.sock
for ((i = 0; i < 100; i++)); do
    if docker version >/dev/null 2>&1; then break; fi
    sleep 0.2
done
docker version >/dev/null || {
    tail -n 5 "$work/dockerd.log" >&2
    exit 1
}
# For machines without systemd: runc, plain cgroups; and limits that a container without CAP_SYS_RESOURCE may set.
cat >"$work/containers.conf" <<X
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
X
printf '[storage]\ndriver = "overlay"\nrunroot = "%s/podman-run"\ngraphroot = "%s/podman"\n' "$work" "$work" >"$work/storage.conf"
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf

passed=0 failed=0
check() { # name, expected, found
    if [[ $2 == "$3" ]]; then
        passed=$((passed + 1))
        printf 'PASSED  %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s: expected %q, found %q\n' "$1" "$2" "$3"
    fi
}

mkdir "$work/directory" "$work/data"
echo content >"$work/data/file"
cd "$work/directory"
lock=$(sha256sum <"$here/environment/environment.lock")

check_engine() { # name of the engine, caller's uid, command that runs docker_run.sh, with SIGINT at its default (bash ignores it in the background)
    local engine=$1 uid=$2 code=0 name
    shift 2
    check "$engine: the locked environment" "$lock" "$("$@" 'sha256sum </etc/build-environment.lock')"
    check "$engine: Bazel" 'bazel 7.7.1' "$("$@" 'bazel --version' | head -n 1)"
    "$@" 'exit 7' || code=$?
    check "$engine: exit code" 7 "$code"
    "$@" 'touch written'
    check "$engine: files are the caller's" "$uid" "$(stat -c %u written)"
    rm -f written
    # shellcheck disable=SC2016 # expanded inside
    check "$engine: -e, -v, -w" '1 /srv content' "$("$@" -e A=1 -v "$work/data:/data:ro" -w /srv 'echo $A $PWD $(cat /data/file)')"
    check "$engine: --network none leaves loopback" lo "$("$@" --network none 'ip -brief address' | awk '/127.0.0.1/ {print $1}')"
    check "$engine: namespaces for sandboxes" yes "$("$@" 'unshare --user --map-root-user --mount true && echo yes')"
    check "$engine: standard input" piped "$(echo piped | "$@" cat)"
    for name in TERM INT; do
        code=0
        rm -f "$work/said"
        "$@" "trap 'echo took; exit 5' $name; sleep 86397 & echo ready; wait" >"$work/said" &
        until [[ -s $work/said ]] || ! kill -0 $! 2>/dev/null; do sleep 0.2; done
        # The script itself: su and the like stand between.
        pkill "-$name" -f "^[^ ]*(bash [^ ]*rootfs_enter.sh|docker run|podman run) .*sleep 86397" || true
        wait $! || code=$?
        check "$engine: SIG$name reaches the command" 'ready took 5' "$(paste -sd' ' "$work/said") $code"
        sleep 1
        check "$engine: nothing runs after SIG$name" '' "$(pgrep -f '^sleep 86397' || true)"
    done
}

as_user() { setpriv --reuid "$user" --regid "$user" --groups "$(id -g "$user"),$(stat -c %g "$work/docker.sock")" -- env HOME="$work/home" XDG_CACHE_HOME="$work/cache" "$@"; }

for engine in rootfs docker podman; do
    check_engine "$engine" 0 env --default-signal=INT "BUILD_ENGINE=$engine" "$run"
    check "$engine: the daemon's socket is inside" "$(docker version --format '{{.Server.Version}}')" \
        "$(BUILD_ENGINE=$engine "$run" "docker version --format '{{.Server.Version}}'")"
done
name=localhost/odp-federatedcompute-build-root:$("$here/environment.sh" fingerprint)
check 'docker and podman: the same root tar' "$(docker image inspect --format '{{index .RootFS.Layers 0}}' "$name")" \
    "$(podman image inspect --format '{{index .RootFS.Layers 0}}' "$name")"

# An ordinary user, who gets the verified downloads as a gift.
useradd --create-home --home-dir "$work/home" "$user"
downloads=odp-federatedcompute/repository/content_addressable/sha256
mkdir -p "$work/cache/$downloads"
awk '!/^#/ {print $4}' "$here/environment/environment.lock" | (cd "${XDG_CACHE_HOME:-$HOME/.cache}/$downloads" && xargs cp -R -t "$work/cache/$downloads")
cp -R "$here" "$work/scripts"
chown -R "$user:" "$work/cache" "$work/directory"
run=$work/scripts/docker_run.sh
for engine in rootfs docker; do
    check_engine "$engine as a user" "$(id -u "$user")" as_user env --default-signal=INT "BUILD_ENGINE=$engine" "$run"
done

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
