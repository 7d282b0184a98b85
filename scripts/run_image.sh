#!/usr/bin/env bash
# run_image.sh [--port N] [--profile local|gcp] SERVICE: builds one image, starts it, prints its URL and its log.
#
# Outside of the build environment it enters that first; the engine of that (BUILD_ENGINE) starts the image: docker, podman, or, for rootfs,
# crun. Ctrl-C stops the service. FCP_OPTS, SECURITY_OPTS and LOCAL_OPTS reach it. See docs/running.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -e /usr/share/build-environment/start ]]; then
    exec ./scripts/docker/docker_run.sh --env FCP_OPTS --env SECURITY_OPTS --env LOCAL_OPTS "exec ./scripts/run_image.sh ${*@Q}"
fi
# shellcheck disable=SC2054 # the comma is Bazel's
quiet=(--show_result=0 --noshow_progress --ui_event_filters=-info,-stdout)
if [[ -t 2 ]]; then quiet=(--show_result=0); fi
exec bazel run "${quiet[@]}" //tools/containers:run -- "$@"
