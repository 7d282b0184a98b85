# The engines of docker_run.sh: run_docker, run_podman, run_rootfs. Sourced; uses its variables.
# shellcheck shell=bash disable=SC2154

# --- docker and podman -------------------------------------------------------------------------------------------------------------

# The image of the environment: the root tar imported as the Dockerfile's base, or, where mmdebstrap cannot run, Debian's own image.
container_image() { # docker | podman
    local tag base
    tag=$image:$("$here/environment.sh" fingerprint)
    if ! "$1" image inspect "$tag" >/dev/null 2>&1; then
        base=$image-root:${tag##*:}
        if command -v apt-get >/dev/null; then
            "$here/environment.sh" tar | "$1" import --platform linux/amd64 - "$base" >/dev/null
            "$1" build --quiet --platform linux/amd64 --build-arg "BASE=$base" --target environment -t "$tag" "$here" >/dev/null
        else
            "$1" build --quiet --platform linux/amd64 --target snapshot -t "$tag" "$here" >/dev/null
        fi
    fi
    printf '%s' "$tag"
}

run_container() { # docker | podman
    local args=(run --rm --interactive --init --platform linux/amd64 --workdir "$inside") tag m e
    tag=$(container_image "$1")
    for m in "${mounts[@]}"; do args+=(--volume "$m"); done
    for e in "${environment[@]}"; do args+=(--env "$e"); done
    exec "$1" "${args[@]}" "${flags[@]}" "$tag" /usr/share/build-environment/start "$command"
}
run_docker() { run_container docker; }
run_podman() { run_container podman; }

# --- rootfs ------------------------------------------------------------------------------------------------------------------------

rootfs_flags() {
    workdir=$inside network=host
    local i value
    value() { # of flag number i: after '=', or the next word
        if [[ ${flags[i]} == *=* && ${flags[i]} == --* ]]; then
            value=${flags[i]#*=}
        else
            ((++i < ${#flags[@]})) || usage "the flag ${flags[i - 1]} needs a value"
            value=${flags[i]}
        fi
    }
    for ((i = 0; i < ${#flags[@]}; i++)); do
        case ${flags[i]} in
        -e | --env | --env=*)
            value
            if [[ $value == *=* ]]; then environment+=("$value"); elif [[ -n ${!value+set} ]]; then environment+=("$value=${!value}"); fi
            ;;
        -v | --volume | --volume=*)
            value
            [[ $value == /*:/* ]] || usage "-v takes HOST:INSIDE[:ro] with absolute paths, found '$value'"
            [[ -e ${value%%:*} ]] || mkdir -p "${value%%:*}"
            mounts+=("$value")
            ;;
        -w | --workdir | --workdir=*)
            value
            workdir=$value
            ;;
        --network | --net | --network=* | --net=*)
            value
            [[ $value == none || $value == host ]] || usage "the rootfs engine knows --network none and host, found '$value'"
            network=$value
            ;;
        -i | -t | -it | -ti | --interactive | --tty | --rm) ;; # what this engine does anyway
        *) usage "the rootfs engine cannot honour the docker flag '${flags[i]}'; it knows -e, -v, -w, --network. Use BUILD_ENGINE=docker or podman" ;;
        esac
    done
}

run_rootfs() {
    local workdir network home namespaces=(--mount --pid --ipc --fork --kill-child)
    rootfs_flags
    home=$("$here/environment.sh" build)
    [[ $network == host ]] || namespaces+=(--net)
    [[ $(id -u) == 0 ]] || namespaces+=(--user --map-root-user --map-auto)
    exec unshare "${namespaces[@]}" -- bash "$here/rootfs_enter.sh" "$home/root" "$workdir" "$command" "${mounts[@]}" -- "${environment[@]}"
}
