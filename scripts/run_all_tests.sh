#!/usr/bin/env bash
# run_all_tests.sh: every test of the repository, from lint to the adverse rebuild. Runs in the build environment:
#
#   ./scripts/docker/docker_run.sh "./scripts/run_all_tests.sh"
#
# Prints a line for each step and each Bazel test, the output of what failed, and at the end `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
log=$scratch/log
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

count() { # name, whether it passed, seconds
    if [[ $2 == 0 ]]; then
        passed=$((passed + 1))
        printf 'PASSED  %s (%d s)\n' "$1" "$3"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s (%d s)\n' "$1" "$3"
    fi
}

step() { # name, command...: one test
    local name=$1 start=$SECONDS code=0
    shift
    "$@" >"$log" 2>&1 || code=$?
    # What was skipped is told with its reason.
    if ((code)); then cat "$log"; else grep '^SKIPPED' "$log" || true; fi
    count "$name" "$code" $((SECONDS - start))
}

bazel_tests() { # name, folder: one test for each test target
    local start=$SECONDS code=0 line before=$failed
    (cd "$2" && bazel test --noshow_progress --ui_event_filters=-info --keep_going //...) >"$log" 2>&1 || code=$?
    while read -r line; do
        case $line in
        //*' PASSED in '*)
            passed=$((passed + 1))
            printf '%s: %s\n' "$1" "$line"
            ;;
        //*' FAILED '* | //*' TIMEOUT '* | //*' NO STATUS' | //*' FLAKY'*)
            failed=$((failed + 1))
            printf '%s: %s\n' "$1" "$line"
            ;;
        esac
    done < <(sed -E 's/ +/ /g' "$log")
    if ((code)); then
        cat "$log"
        # A build that fails before any test has no line of its own.
        if ((failed == before)); then count "$1: bazel test" "$code" $((SECONDS - start)); fi
    fi
    printf '%s: bazel test took %d s\n' "$1" $((SECONDS - start))
}

step 'build //...' bazel build --noshow_progress --ui_event_filters=-info --keep_going //...
step 'lint' bazel run --noshow_progress --ui_event_filters=-info //tools/dev:lint
step 'documentation names only what exists' bazel run --noshow_progress --ui_event_filters=-info //docs:check
bazel_tests 'workspace' .
for module in rules/oci rules/spring rules/python; do
    bazel_tests "$module" "$module"
    (cd "$module" && bazel shutdown)
done
step 'rules/oci: oci_pull, by Bazel from a registry' env -C rules/oci python3 -m tests.pull.pull_test
step 'C++ under sanitizers' bazel test --noshow_progress --ui_event_filters=-info --config=asan --features=ubsan //shuffler/native/... //toolchains/llvm/...
step 'parsers, fuzzed' bazel test --noshow_progress --ui_event_filters=-info --config=fuzz //shuffler/native/fuzz
step 'messages by the protocol of Pub/Sub' bazel test --noshow_progress --ui_event_filters=-info //shuffler/common/messages/gcp:gcp_test
step 'images on bases from a registry' bazel run --noshow_progress --ui_event_filters=-info //tools/registry:bases
step 'expected hashes' ./scripts/build_images.sh --check
# What these scripts print is their own; the tests of the same backend under kills are in //shuffler/e2e.
backend() {
    local code=0
    { ./scripts/local_backend.sh up --port 0 &&
        ./scripts/federated_round.sh --rounds=2 --report="$scratch/round.html" &&
        ./scripts/local_backend.sh status &&
        grep '<h1>2 federated rounds</h1>' "$scratch/round.html"; } || code=$?
    ./scripts/local_backend.sh down --purge || code=$?
    return "$code"
}
step 'the backend of this machine starts, does federated rounds, and ends' backend
step 'every engine gives the same images' bazel test --noshow_progress --test_output=all //scripts/docker:engines_test
step 'a release of this build can be recorded and verified' bazel run --noshow_progress --ui_event_filters=-info //tools/release:record_check
step 'image actions use declared inputs only' bazel run --noshow_progress --ui_event_filters=-info //tools/proof:hermeticity
step 'adverse rebuild and canary' ./scripts/adverse_rebuild.sh
step 'the adverse rebuild can fail: every leak is caught and named' bazel run --noshow_progress --ui_event_filters=-info //tools/proof:leaks
step 'an input that an archive lacks or has damaged is named' bazel run --noshow_progress --ui_event_filters=-info //tools/proof:offline
step 'remote cache: all hits from a second clone, poison refused or detected' bazel run --noshow_progress --ui_event_filters=-info //tools/proof:remote_cache

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
