#!/usr/bin/env bash
# build_images.sh [--check | --update] [bazel build options...]: builds the seven service images and prints their hashes.
#
#   --check   also compares with releases/current.json: exit code 1 if they differ
#   --update  also rewrites releases/current.json
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=()
if [[ ${1:-} == --check || ${1:-} == --update ]]; then
    mode=("$1")
    shift
fi
quiet=(--show_result=0 --noshow_progress '--ui_event_filters=-info,-stdout')
if [[ -t 2 ]]; then quiet=(--show_result=0); fi

# Inputs and analysis first, all at once: what is fetched is fetched in parallel, and is no image's build time.
bazel build "${quiet[@]}" "$@" --nobuild -- //shuffler/services:images //tools/release:expected_hashes
images=$(bazel query --noshow_progress --ui_event_filters=-info 'labels(srcs, //shuffler/services:images)')
seconds=()
for image in $images; do
    start=${EPOCHREALTIME/./}
    bazel build "${quiet[@]}" "$@" -- "$image"
    took=$(((${EPOCHREALTIME/./} - start) / 100000))
    service=${image#*:} service=${service%_image}
    seconds+=("--seconds=$service=$((took / 10)).$((took % 10))")
done
exec bazel run "${quiet[@]}" "$@" //tools/release:expected_hashes -- "${mode[@]}" "${seconds[@]}"
