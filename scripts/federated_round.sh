#!/usr/bin/env bash
# federated_round.sh [flags...]: federated rounds on this machine, from the built images: a task of a Keras model, devices that train, new
# models, an evaluation, and a report. See docs/federated-rounds.md; --help has the flags.
#
# The backend is that of local_backend.sh: one that runs is used and goes on, else one is started and ended. Exit codes: 0 all rounds are
# done, 2 they are not, 64 wrong usage.
set -euo pipefail
caller=$(pwd -P)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=SCRIPTDIR/backend_session.sh
source ./scripts/backend_session.sh

usage() {
    printf 'federated_round.sh: %s\n' "$*" >&2
    exit 64
}

report=$caller/federated-round.html arguments=()
for argument in "$@"; do
    name=${argument%%=*} value=${argument#*=}
    case $argument in
    --report=*) report=$(cd "$caller" && realpath -- "$value") || usage "--report: expected a file in a folder that is there, found '$value'" ;;
    --saved_model=gs://*) arguments+=("$argument") ;;
    --saved_model=* | --task_config=* | --examples=*)
        path=$(cd "$caller" && realpath --canonicalize-existing -- "$value") || usage "$name: expected something that is there, found '$value'"
        if [[ ! -e /usr/share/build-environment/start ]]; then
            [[ $path != *:* ]] || usage "$name: expected a path without colons (docker's --volume splits at them), found '$path'"
            # Where it is seen in the build environment.
            docker+=(--volume "$path:/mnt/${name#--}/${path##*/}:ro")
            path=/mnt/${name#--}/${path##*/}
        fi
        arguments+=("$name=$path")
        ;;
    --saved_model | --task_config | --examples | --report) usage "expected $argument=PATH, in one word" ;;
    *) arguments+=("$argument") ;;
    esac
done
if [[ -t 0 && -t 1 && -t 2 ]]; then docker+=(--tty); fi

# Built as the caller; run as who may read what the backend writes.
program=.cache/bazel/federated_round
run() { enter_as_root "PYTHONDONTWRITEBYTECODE=1 exec ~/$program ${*@Q}"; }
quiet='--show_result=0 --noshow_progress --ui_event_filters=-info,-stdout'
enter "bazel run $quiet --script_path=\$HOME/$program //shuffler/e2e/round:run" || exit 2
# What is wrong with the flags is told before anything is started.
run check "${arguments[@]}"
case " $* " in *' --help '* | *' -h '*) exit ;; esac
if [[ $(./scripts/local_backend.sh status 2>/dev/null) == 'local backend: does not run' ]]; then
    trap './scripts/local_backend.sh down' EXIT
    ./scripts/local_backend.sh up --port 0 || exit 2
fi
run "${arguments[@]}"
cp "$(dirname "$state")/federated_round.html" "$report"
printf 'report: %s\n' "$report"
