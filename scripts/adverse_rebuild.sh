#!/usr/bin/env bash
# adverse_rebuild.sh [--nocanary]: builds the seven images once more with everything varied that must not matter, from an archive of their
# inputs and without a network, and compares the hashes; if one differs, names the condition. Runs in the build environment.
# Exit code: 0 the same hashes, 1 others, 2 it could not be checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec bazel run --noshow_progress --ui_event_filters=-info //tools/proof:comparison -- "$@"
