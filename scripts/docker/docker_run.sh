#!/usr/bin/env bash
# docker_run.sh [docker flags...] "<bash command>": runs a command in the build environment, with the working directory mounted.
#
# Engines: docker, podman, and rootfs (the same root file system, entered by mount namespace and pivot_root; no daemon). The first that
# works is taken; BUILD_ENGINE=docker|podman|rootfs overrides. Everything before the command is a docker flag; the rootfs engine knows
# -e, -v, -w, --network (none, host) and refuses others by name. Exit code: the command's own; 64 for wrong usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=odp-federatedcompute-build
inside=/odp-federatedcompute # where the working directory is seen

usage() {
    printf 'docker_run.sh: %s\nusage: docker_run.sh [docker flags...] "<bash command>"\n' "$*" >&2
    exit 64
}

(($#)) || usage "no command given"
command=${!#}
flags=("${@:1:$#-1}")
[[ $command != -* ]] || usage "the last argument must be the command, found the flag '$command'"

# Caches outlive a run. Bazel's output bases are kept apart by checkout: inside, every checkout is at the same path.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/odp-federatedcompute
checkout=$(pwd -P | sha256sum | cut -c1-16)
mkdir -p "$cache/repository" "$cache/m2/repository" "$cache/bazel/$checkout" "$cache/trust"

# What the package clients and docker of the host are configured with; paths are seen at the same place below /root or /etc.
mounts=(
    "$PWD:$inside"
    "$cache/repository:/var/cache/bazel-repository"
    "$cache/m2:/root/.m2"
    "$cache/bazel/$checkout:/root/.cache/bazel"
    "$cache/trust:/var/cache/build-environment-trust"
)
[[ -z ${INPUT_ARCHIVE:-} ]] || mounts+=("$(cd "$INPUT_ARCHIVE" && pwd -P):/input-archive:ro")
optional() { # host path, path inside
    [[ ! -e $1 ]] || mounts+=("$1:$2:ro")
}
for f in pip.conf npmrc maven/settings.xml; do optional "/etc/$f" "/etc/$f"; done
for f in .config/pip .pip .npmrc .netrc .docker .config/containers .m2/settings.xml .m2/settings-security.xml; do
    optional "$HOME/$f" "/root/$f"
done
optional /etc/apt /etc/apt
for f in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
    if [[ -n $f && -r $f ]]; then
        mounts+=("$f:/usr/local/share/host-certificates.crt:ro")
        break
    fi
done
if [[ -S /var/run/docker.sock ]]; then mounts+=("/var/run/docker.sock:/var/run/docker.sock"); fi

environment=("TERM=${TERM:-dumb}")
[[ -z ${INPUT_ARCHIVE:-} ]] || environment+=("INPUT_ARCHIVE=/input-archive")
for v in http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY MAVEN_OPTS CI; do
    [[ -z ${!v+set} ]] || environment+=("$v=${!v}")
done
while IFS='=' read -r v _; do environment+=("$v=${!v}"); done < <(env | grep -E '^(PIP|NPM_CONFIG|npm_config)_[A-Za-z_]+=' | grep -vE '^PIP_(CERT|FIND_LINKS|CACHE_DIR|CONFIG_FILE|TARGET|PREFIX)=' | LC_ALL=C sort)

choose_engine() {
    case ${BUILD_ENGINE:-} in
    docker | podman | rootfs) printf '%s' "$BUILD_ENGINE" ;;
    '')
        if docker info >/dev/null 2>&1; then
            printf docker
        elif podman info >/dev/null 2>&1; then
            printf podman
        else
            printf rootfs
        fi
        ;;
    *) usage "BUILD_ENGINE must be docker, podman or rootfs, found '$BUILD_ENGINE'" ;;
    esac
}
engine=$(choose_engine)
printf 'build engine: %s%s\n' "$engine" "$([[ -n ${BUILD_ENGINE:-} ]] && printf ' (BUILD_ENGINE)')" >&2

# shellcheck source=SCRIPTDIR/engines.sh
source "$here/engines.sh"
"run_$engine"
