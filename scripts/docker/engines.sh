# The engines of docker_run.sh: run_docker, run_podman, run_rootfs. Sourced; uses its variables.
# shellcheck shell=bash disable=SC2154

# --- docker and podman -------------------------------------------------------------------------------------------------------------

quietly() { # runs a command whose output matters only if it fails
    local log code=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || code=$?
    if ((code)); then cat "$log" >&2; fi
    rm -f "$log"
    return "$code"
}

# The image of the environment: the root tar imported as the Dockerfile's base, or, where mmdebstrap cannot run, Debian's own image.
container_image() { # docker | podman
    local engine=$1 name=localhost/odp-federatedcompute-build tag platform=(--platform linux/amd64)
    tag=$("$here/environment.sh" fingerprint)
    if ! "$engine" image inspect "$name:$tag" >/dev/null 2>&1; then
        if [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] && { command -v mmdebstrap >/dev/null || [[ $(id -u) == 0 ]]; }; then
            if [[ $engine == podman ]]; then platform=(--os linux --arch amd64); fi
            # Without the last tag nothing is trusted: an import that was cut off is made again.
            setpriv --pdeathsig TERM "$here/environment.sh" tar | quietly "$engine" import "${platform[@]}" - "$name-root:$tag"
            quietly "$engine" build --platform linux/amd64 --build-arg "BASE=$name-root:$tag" --target environment -t "$name:$tag" "$here"
        else
            say "no mmdebstrap for amd64 here: starting from Debian's image and snapshot.debian.org"
            quietly "$engine" build --platform linux/amd64 --target snapshot -t "$name:$tag" "$here"
        fi
    fi
    printf '%s' "$name:$tag"
}

# Podman has no daemon: its service answers docker clients as long as this process lives, which becomes podman. Not in its process group:
# a Ctrl-C is for the command, which may need the service to clean up.
podman_service() {
    local folder i
    folder=$(mktemp -d "${XDG_RUNTIME_DIR:-/tmp}/podman.XXXXXX")
    # It forks, so what ends it is for all of this session; and it does not always heed the first signal.
    # shellcheck disable=SC2016 # expanded by the inner bash
    setsid setpriv --pdeathsig TERM bash -c '
        trap "trap \"\" TERM; kill 0; for ((i = 0; i < 50; i++)); do
            kill -0 \$! || break; sleep 0.1; done; rm -rf \"\$1\"; kill -KILL 0" EXIT
        trap exit TERM
        podman system service --time=0 "unix://$1/docker.sock" &
        wait' service "$folder" </dev/null >/dev/null 2>&1 8>&- &
    for ((i = 0; i < 100; i++)); do
        if [[ -S $folder/docker.sock ]]; then
            mounts+=("$folder/docker.sock:/run/docker.sock")
            environment+=(DOCKER_HOST=unix:///run/docker.sock)
            return
        fi
        sleep 0.1
    done
    say "podman's service does not start (podman system service); going on without it"
}

run_container() { # docker | podman
    local args=(run --rm --interactive --platform linux/amd64 --workdir "$inside") tag m e
    tag=$(container_image "$1")
    # Sandboxes and containers inside need namespaces and mounts; --privileged would ask for devices and for every capability, too.
    args+=(--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt label=disable)
    if [[ $1 == docker ]]; then args+=(--security-opt systempaths=unconfined); else args+=(--security-opt unmask=ALL); fi
    # The host's network: its proxy or registry may be on loopback.
    [[ " ${flags[*]}" == *' --net'* ]] || args+=(--network host)
    # A daemon runs as root; podman, and docker's rootless mode, as the caller.
    if [[ $1 == docker && $(id -u) != 0 && $(docker info --format '{{.SecurityOptions}}') != *name=rootless* ]]; then
        args+=(--env "BUILD_CALLER=$(id -u):$(id -g)")
    fi
    for m in "${mounts[@]}"; do args+=(--volume "$m"); done
    for e in "${environment[@]}"; do args+=(--env "$e"); done
    exec "$1" "${args[@]}" "${flags[@]}" "$tag" /usr/bin/tini -g -- /usr/share/build-environment/start "$command"
}
run_docker() { run_container docker; }
run_podman() { run_container podman; }

# --- rootfs ------------------------------------------------------------------------------------------------------------------------

# Reads the docker flags into workdir, network, mounts and environment.
rootfs_flags() {
    local i flag value host mode
    for ((i = 0; i < ${#flags[@]}; i++)); do
        flag=${flags[i]}
        case $flag in
        -i | -t | -it | -ti | --interactive | --tty | --rm) continue ;; # what this engine does anyway
        --env=* | --volume=* | --workdir=* | --network=* | --net=*) value=${flag#*=} flag=${flag%%=*} ;;
        -[evw]?*) value=${flag:2} flag=${flag:0:2} value=${value#=} ;;
        -e | --env | -v | --volume | -w | --workdir | --network | --net)
            ((++i < ${#flags[@]})) || usage "the flag $flag needs a value"
            value=${flags[i]}
            ;;
        *) usage "the rootfs engine cannot honour the docker flag '$flag'; it knows -e, -v, -w, --network. Use BUILD_ENGINE=docker or podman" ;;
        esac
        case $flag in
        -e | --env)
            [[ $value =~ ^[A-Za-z_][A-Za-z0-9_]*(=|$) ]] || usage "$flag takes NAME or NAME=VALUE, found '$value'"
            environment+=("$value")
            ;;
        -v | --volume)
            [[ $value =~ ^(/[^:]*):/[^:]*(:(ro|rw))?$ ]] || usage "$flag takes HOST:INSIDE[:ro] with absolute paths, found '$value'"
            host=${BASH_REMATCH[1]} mode=${BASH_REMATCH[2]}
            value=${value%"$mode"}
            [[ -e $host ]] || mkdir -p "$host"
            mounts+=("$(realpath -- "$host"):${value#*:}${mode/:rw/}")
            ;;
        -w | --workdir)
            [[ $value == /* ]] || usage "$flag takes an absolute path, found '$value'"
            workdir=$value
            ;;
        --network | --net)
            [[ $value == none || $value == host ]] || usage "the rootfs engine knows --network none and host, found '$value'"
            network=$value
            ;;
        esac
    done
}

run_rootfs() {
    local workdir=$inside network=host home namespaces=(--pid --ipc)
    rootfs_flags
    home=$(exec setpriv --pdeathsig TERM "$here/environment.sh" build)
    [[ $network == host ]] || namespaces+=(--net)
    [[ $(id -u) == 0 ]] || namespaces+=(--user --map-root-user --map-auto)
    exec unshare "${namespaces[@]}" -- bash "$here/rootfs_enter.sh" "$home" "$workdir" "$command" "${mounts[@]}" -- "${environment[@]}"
}
