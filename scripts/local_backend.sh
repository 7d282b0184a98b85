#!/usr/bin/env bash
# local_backend.sh up [--port N] | down [--purge] | status: the backend of one machine, from the built images. See docs/local-backend.md.
#
# `up` builds, starts, waits until all is ready and prints the URLs; the backend goes on. `down` ends it; --purge also removes its tables,
# blobs and logs. FCP_OPTS and SECURITY_OPTS reach the Java services. Exit codes: 0 all is ready (up, status) or ended (down), 1 something is
# not ready, 2 it cannot be started, 64 wrong usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checkout=$PWD

usage() {
    printf 'local_backend.sh: %s\nusage: local_backend.sh up [--port N] | down [--purge] | status\n' "$*" >&2
    exit 64
}

command=${1:-} port=() purge=
case "$*" in
up | down | status) ;;
'up --port '*)
    (($# == 3)) || usage "expected one number after --port"
    [[ $3 =~ ^[0-9]{1,5}$ ]] || usage "expected a number after --port, found '$3'"
    port=(--port "$3")
    ;;
'down --purge') purge=1 ;;
*) usage "found '$*'" ;;
esac

# shellcheck source=SCRIPTDIR/backend_session.sh
source ./scripts/backend_session.sh
if [[ -e /usr/share/build-environment/start ]]; then
    # shellcheck disable=SC2016 # expanded there
    serve() { exec setsid bash -c 'cd "$1" && shift && exec "$@"' serve "$state" "$@"; }
else
    # A session of the build environment of its own, in the folder of the backend: builds go on meanwhile. As root, whoever calls docker.
    serve() {
        cd "$state"
        exec setsid "$checkout/scripts/docker/docker_run.sh" --env FCP_OPTS --env SECURITY_OPTS --env BUILD_CALLER= "exec ${*@Q}"
    }
fi
mkdir -p "$state"

# Whoever serves has it, by inheritance, and nobody else.
exec 9>"$state/lock"
running() { ! flock -n 9; }
release() { flock -u 9; }

show() { tail -n +2 "$state/status"; }

end() { # ends what serves
    local pid i
    pid=$(<"$state/pid")
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < 900; i++)); do
        if ! running; then
            release
            return
        fi
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    printf 'local backend: did not end within 90 s and was killed; see %s\n' "$state/log" >&2
    exit 1
}

up() {
    # JVMs that start on a slow machine take minutes.
    local first lines start patience=600
    if running; then
        printf 'local backend: runs already\n'
    else
        rm -f "$state/status"
        enter "bazel run --show_result=0 --noshow_progress --ui_event_filters=-info,-stdout //tools/containers:local_backend -- stage ~/$inside" 9>&-
        trap 'printf "\nlocal backend: interrupted, ending what was started\n" >&2; end; exit 130' INT TERM
        # The lock goes to it: this process lets go when it has started.
        # In a user namespace of its own it may set up a network, which docker gives nobody the right to.
        (serve unshare --user --map-users=0,0,65536 --map-groups=0,0,65536 ./program/local_backend "${port[@]}" serve </dev/null >"$state/log" 2>&1) &
        printf '%s\n' $! >"$state/pid"
        exec 9>&-
        exec 9>"$state/lock"
    fi
    start=$SECONDS
    while :; do
        first='' lines=()
        if [[ -e $state/status ]]; then
            mapfile -t lines <"$state/status"
            first=${lines[0]}
        fi
        if [[ $first == ready ]]; then break; fi
        if [[ $first == failed* ]] || ! running; then
            release
            printf 'local backend: cannot start: %s (see %s)\n' "${first#failed: }" "$state/log" >&2
            exit 2
        fi
        if ((SECONDS - start > patience)); then
            printf '\nlocal backend: not ready after %d s; it goes on, see status and the logs in %s\n' "$patience" "$state/logs" >&2
            show
            exit 1
        fi
        if [[ -t 2 ]]; then printf '\r\033[Klocal backend: starting, %d s' $((SECONDS - start)) >&2; fi
        sleep 0.2
    done
    if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
    show
}

case $command in
up) up ;;
down)
    if running; then end; else release; fi
    if [[ -n $purge ]]; then enter_as_root "rm -rf ~/$inside/{data,logs,layers,images,blobs,program,postgresql}" 9>&-; fi
    printf 'local backend: ended\n'
    ;;
status)
    if ! running; then
        release
        printf 'local backend: does not run\n'
        exit 1
    fi
    show
    [[ $(head -n 1 "$state/status") == ready ]]
    ;;
esac
