#!/usr/bin/env bash
# docker_sh.sh [docker flags...]: an interactive shell in the build environment.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/docker_run.sh" --tty "$@" bash
