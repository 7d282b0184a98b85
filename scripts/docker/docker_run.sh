#!/usr/bin/env bash
# docker_run.sh [docker flags...] "<bash command>": runs a command in the build environment, with the working directory mounted.
#
# Engines: docker, podman, and rootfs (the same root file system, entered by mount namespace and pivot_root; no daemon). The first that
# works is taken; BUILD_ENGINE=docker|podman|rootfs overrides. Everything before the command is a docker flag; the rootfs engine knows
# -e, -v, -w, --network (none, host) and refuses others by name. Exit code: the command's own; 64 for wrong usage.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
inside=/odp-federatedcompute # where the working directory is seen
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # an ordinary user's may lack them
if [[ -z ${HOME:-} ]]; then HOME=$(getent passwd "$(id -u)" | cut -d: -f6) && export HOME; fi

say() { printf 'build environment: %s\n' "$*" >&2; }
usage() {
    printf 'docker_run.sh: %s\nusage: docker_run.sh [docker flags...] "<bash command>"\n' "$*" >&2
    exit 64
}

(($#)) || usage "no command given"
command=${!#}
flags=("${@:1:$#-1}")
[[ $command != -* ]] || usage "the last argument must be the command, found the flag '$command'"
case ${BUILD_ENGINE:-} in
'' | docker | podman | rootfs) ;;
*) usage "BUILD_ENGINE must be docker, podman or rootfs, found '$BUILD_ENGINE'" ;;
esac

# Caches outlive a run. Bazel's output bases are kept apart by checkout: inside, every checkout is at the same path.
directory=$(pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/odp-federatedcompute
checkout=$(sha256sum <<<"$directory" | cut -c1-16)
mkdir -p "$cache/repository" "$cache/m2/repository" "$cache/bazel/$checkout" "$cache/trust"
cache=$(cd "$cache" && pwd -P)
for path in "$directory" "$cache"; do
    if [[ $path == *:* ]]; then
        say "expected a path without colons (docker's -v splits at them), found $path; use another folder"
        exit 1
    fi
done

# One run at a time in a checkout: Bazel's server lives in a run and dies with it, also under the client of another run. The lock is the
# command's own, by inheritance, and gone when all of it is.
exec 8>"$cache/bazel/$checkout.lock"
if ! flock -n 8; then
    say "another run in this checkout is going on (docker_sh.sh, too); waiting for its end"
    flock 8
fi

# What the package clients and docker of the host are configured with; paths are seen at the same place below /root or /etc.
mounts=(
    "$directory:$inside"
    "$cache/repository:/var/cache/bazel-repository"
    "$cache/m2:/root/.m2"
    "$cache/bazel/$checkout:/root/.cache/bazel"
    "$cache/trust:/var/cache/build-environment-trust"
)
environment=("TERM=${TERM:-dumb}") # as docker's -e: NAME=VALUE, or NAME for the value here
if [[ -n ${INPUT_ARCHIVE:-} ]]; then
    if [[ ! -d $INPUT_ARCHIVE ]]; then
        say "expected a folder in INPUT_ARCHIVE, found '$INPUT_ARCHIVE'; make one with: bazel run //tools/inputs:archive -- DIR"
        exit 1
    fi
    INPUT_ARCHIVE=$(cd "$INPUT_ARCHIVE" && pwd -P)
    export INPUT_ARCHIVE
    mounts+=("$INPUT_ARCHIVE:/input-archive:ro")
    environment+=(INPUT_ARCHIVE=/input-archive)
fi
optional() { # host path, path inside
    if [[ -e $1 ]]; then mounts+=("$(realpath -- "$1"):$2:ro"); fi
}
for f in pip.conf npmrc maven/settings.xml apt; do optional "/etc/$f" "/etc/$f"; done
for f in .config/go/env .config/pip .pip .npmrc .netrc .config/containers .m2/settings.xml .m2/settings-security.xml; do
    optional "$HOME/$f" "/root/$f"
done
optional "${DOCKER_CONFIG:-$HOME/.docker}" /root/.docker
for f in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem; do
    if [[ -n $f && -r $f ]]; then
        optional "$f" /usr/local/share/host-certificates.crt
        break
    fi
done
for v in http_proxy https_proxy ftp_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY OCI_MIRRORS MAVEN_OPTS CI; do
    if [[ -n ${!v+set} ]]; then environment+=("$v"); fi
done
# The package clients' own variables, but for those that name files of the host.
for v in $(compgen -e | LC_ALL=C sort); do
    case $v in
    PIP_CERT | PIP_FIND_LINKS | PIP_CACHE_DIR | PIP_CONFIG_FILE | PIP_TARGET | PIP_PREFIX) ;;
    PIP_* | NPM_CONFIG_* | npm_config_* | GOPROXY | GOPRIVATE | GONOPROXY | GOINSECURE | GOSUMDB | GONOSUMDB) environment+=("$v") ;;
    esac
done

# The daemon that the host's docker client would talk to.
daemon=${DOCKER_HOST:-}
if [[ -z $daemon ]] && command -v docker >/dev/null; then
    daemon=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)
fi
daemon=${daemon:-unix:///var/run/docker.sock}

choose_engine() {
    if [[ -n ${BUILD_ENGINE:-} ]]; then
        printf '%s' "$BUILD_ENGINE"
    # A daemon on another machine does not see this one's folders.
    elif [[ $daemon == unix://* ]] && docker version >/dev/null 2>&1; then
        printf docker
    elif podman info >/dev/null 2>&1; then
        printf podman
    else
        printf rootfs
    fi
}
engine=$(choose_engine)
printf 'build engine: %s%s\n' "$engine" "${BUILD_ENGINE:+ (BUILD_ENGINE)}" >&2

environment+=("BUILD_ENGINE=$engine") # run_image.sh starts images with the same

# shellcheck source=SCRIPTDIR/engines.sh
source "$here/engines.sh"
# What the docker client inside talks to.
if [[ $engine == podman && -z ${DOCKER_HOST:-} ]]; then
    podman_service
elif [[ $daemon != unix://* ]]; then
    environment+=("DOCKER_HOST=$daemon")
elif [[ -S ${daemon#unix://} ]]; then
    mounts+=("$(realpath -- "${daemon#unix://}"):/run/docker.sock")
    environment+=(DOCKER_HOST=unix:///run/docker.sock)
fi
"run_$engine"
