#!/usr/bin/env bash
# check_copy.sh FOLDER: the conformance cases here are those of FOLDER, file by file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
for part in README.md expected inputs; do
    diff --recursive "$1/$part" "$part" || {
        echo "error: rules/oci/tests/conformance/$part is not $1/$part: copy it anew" >&2
        exit 1
    }
done
