#!/usr/bin/env bash
# federated_round.sh [flags...]: federated rounds on this machine, from the built images: a task of a Keras model, devices that train, new
# models, an evaluation, and a report. See docs/federated-rounds.md; --help has the flags.
#
# The backend is that of local_backend.sh: one that runs is used and goes on, else one is started and ended. Exit codes: 0 all rounds are
# done, 2 they are not, 64 wrong usage.
set -euo pipefail
caller=$(pwd -P)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checkout=$(pwd -P)

# Files of the caller, as they are seen in the build environment.
inside=/odp-federatedcompute
report=--report=$caller/federated-round.html
arguments=() docker=()
see() { # name, path, mode: a file or folder outside of the checkout is mounted where it is
    local path=$2
    if [[ -e /usr/share/build-environment/start ]]; then
        :
    elif [[ $path == "$checkout"/* ]]; then
        path=$inside/${path#"$checkout"/}
    elif [[ $3 == rw ]]; then
        docker+=(--volume "$(dirname "$path"):$(dirname "$path")")
    else
        docker+=(--volume "$path:$path:ro")
    fi
    arguments+=("$1=$path")
}
for argument in "$@"; do
    name=${argument%%=*} value=${argument#*=}
    case $argument in
    --saved_model=gs://*) arguments+=("$argument") ;;
    --saved_model=* | --task_config=* | --examples=*)
        path=$(cd "$caller" && realpath -- "$value") || exit 64
        see "$name" "$path" ro
        ;;
    --report=*) report=$argument ;;
    --saved_model | --task_config | --examples | --report)
        printf 'federated_round.sh: expected %s=PATH, in one word\n' "$argument" >&2
        exit 64
        ;;
    *) arguments+=("$argument") ;;
    esac
done
path=$(cd "$caller" && realpath -- "${report#*=}") || exit 64
see --report "$path" rw

enter() { # command
    if [[ -e /usr/share/build-environment/start ]]; then
        bash -c "$1"
    else
        if [[ -t 2 ]]; then docker+=(--tty); fi
        ./scripts/docker/docker_run.sh "${docker[@]}" "$1"
    fi
}
run() { # flags...
    enter "exec bazel run --show_result=0 --noshow_progress --ui_event_filters=-info,-stdout //shuffler/e2e/round:run -- ${*@Q} --backend=\$HOME/.cache/bazel/local_backend"
}

case " $* " in
*' --help '* | *' -h '*) run --help && exit ;;
esac
if [[ $(./scripts/local_backend.sh status 2>/dev/null) == 'local backend: does not run' ]]; then
    trap './scripts/local_backend.sh down' EXIT
    ./scripts/local_backend.sh up --port 0
fi
run "${arguments[@]}"
printf 'report: %s\n' "$path"
