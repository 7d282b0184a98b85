#!/usr/bin/env bash
# upload_images.sh REGISTRY TAG [flags of the pushes...]: builds the seven images, pushes them to REGISTRY and prints the digests that it serves.
#
#   REGISTRY  host, with port and path if there are: registry.example/project; the repositories below it are called <service>_image
#   TAG       tag for all of them
#
# Fails, with exit code 1, unless every digest that the registry serves equals the image hash that was built. See docs/publishing.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# < 2)) || [[ $1 == -* || $2 == -* ]]; then
    echo 'usage: upload_images.sh REGISTRY TAG [flags of the pushes...]' >&2
    exit 64
fi
registry=$1 tag=$2
shift 2
# shellcheck disable=SC2054 # the comma is Bazel's
quiet=(--noshow_progress --ui_event_filters=-info,-stdout)
if [[ -t 2 ]]; then quiet=(); fi
exec bazel run "${quiet[@]}" //shuffler/services:images_publish -- --registry "$registry" --tag "$tag" "$@"
