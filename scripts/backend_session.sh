# Sourced in the checkout by local_backend.sh and federated_round.sh: where the backend of this checkout is, and how commands get there.
# shellcheck shell=bash disable=SC2034 # who sources it uses what is set here

# The same folder, as it is seen in the build environment (where these scripts work, too) and outside, where docker_run.sh keeps it.
inside=.cache/bazel/local_backend
docker=() # more flags for docker_run.sh
if [[ -e /usr/share/build-environment/start ]]; then
    state=$HOME/$inside
    enter() { bash -c "$1"; }
    enter_as_root() { bash -c "$1"; }
else
    folder=$(pwd -P)
    state=${XDG_CACHE_HOME:-$HOME/.cache}/odp-federatedcompute/bazel/$(sha256sum <<<"$folder" | cut -c1-16)/local_backend
    enter() { ./scripts/docker/docker_run.sh "${docker[@]}" "$1"; }
    # What the backend writes is root's, whoever calls docker.
    enter_as_root() { ./scripts/docker/docker_run.sh --env BUILD_CALLER= "${docker[@]}" "$1"; }
fi
