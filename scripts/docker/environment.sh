#!/usr/bin/env bash
# The build environment as a root file system, from the locked Debian packages. Needs apt, dpkg and mmdebstrap; nothing of Bazel.
#
#   environment.sh build          makes it if it is not there, prints its folder
#   environment.sh fingerprint    prints what names it: the hash of all that it is made from
#   environment.sh tar            writes the root tar to standard output (for docker import and podman import)
#   environment.sh lock update    resolves packages.txt against the configured mirror, rewrites the lock, prints what changed
#   environment.sh lock report    prints the locked packages that the configured mirror no longer has, with its version
#
# environment.lock: one line a package: name, version, architecture, sha256, size in bytes, path in the archive's pool; the first line
# holds the suite and the snapshot time. It is plain text because a bare machine has nothing that reads JSON.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
spec=$here/environment
lock=$spec/environment.lock
suite=testing
cache=${XDG_CACHE_HOME:-$HOME/.cache}/odp-federatedcompute
downloads=$cache/repository/content_addressable/sha256 # the layout of Bazel's repository cache

say() { printf '%s\n' "build environment: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Debian mirrors as the machine's own apt knows them; one URI a line.
mirrors() {
    local uris
    uris=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' | sort -u)
    grep -E '/debian/?$' <<<"$uris" || printf '%s\n' "$uris"
}

wanted() { sed -e 's/#.*//' -e '/^ *$/d' "$spec/packages.txt"; }
locked() { sed -e '/^#/d' "$lock"; }
snapshot_time() { sed -n 's/^# .* snapshot \([0-9TZ]*\)$/\1/p' "$lock"; }

# An apt state of its own in folder $1: this machine's mirror, proxy and keys; the suite of the environment; nothing installed.
apt_state() {
    local state=$1 uri
    mkdir -p "$state"/lists/partial "$state"/archives/partial "$state"/preferences.d
    : >"$state/status"
    for uri in $(mirrors); do printf 'deb %s %s main\n' "$uri" "$suite"; done >"$state/sources.list"
    [[ -s $state/sources.list ]] || die "apt has no Debian mirror configured (looked in /etc/apt/sources.list*); add one"
    cat >"$state/apt.conf" <<X
Dir::State "$state"; Dir::State::lists "$state/lists"; Dir::State::status "$state/status";
Dir::Cache "$state"; Dir::Cache::archives "$state/archives";
Dir::Etc::sourcelist "$state/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$state/preferences"; Dir::Etc::preferencesparts "$state/preferences.d";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; Acquire::Retries "3"; Acquire::ForceHash "sha256"; Debug::NoLocking "true";
X
}

# The closure of packages.txt as apt resolves it in state $1: lines of name, version, architecture, sha256, size, pool path.
resolve() {
    local state=$1 essential
    APT_CONFIG=$state/apt.conf apt-get -qq update >&2
    # What debootstrap calls the base: every essential package, and apt.
    essential=$(APT_CONFIG=$state/apt.conf apt-get indextargets --format "\$(FILENAME)" 'Created-By: Packages' |
        xargs -r /usr/lib/apt/apt-helper cat-file |
        awk '/^Package: /{p=$2} /^Essential: yes/{print p}' | sort -u)
    # shellcheck disable=SC2046 # one word a package
    APT_CONFIG=$state/apt.conf apt-get -qq install --print-uris $essential $(wanted) |
        awk -F"'" '/^\x27/{print $2 " " $3}' >"$state/uris"
    # The names in a URI are escaped; the index has them as they are.
    APT_CONFIG=$state/apt.conf apt-get indextargets --format "\$(FILENAME)" 'Created-By: Packages' |
        xargs -r /usr/lib/apt/apt-helper cat-file |
        awk -v uris="$state/uris" '
            BEGIN { while ((getline line < uris) > 0) { sub(/^.*SHA256:/, "", line); want[line] = 1 } }
            /^Package: /{p=$2} /^Version: /{v=$2} /^Architecture: /{a=$2} /^Filename: /{f=$2} /^Size: /{s=$2} /^SHA256: /{h=$2}
            /^$/{ if (h in want) print p, v, a, h, s, f; h="" }' | LC_ALL=C sort -u
    [[ -s $state/uris ]] || die "apt could not resolve $spec/packages.txt in suite $suite"
}

present() { # sha256
    [[ -f $downloads/$1/file ]] && return 0
    local archived=${INPUT_ARCHIVE:-/nonexistent}/content_addressable/sha256/$1/file
    [[ -f $archived ]] || return 1
    mkdir -p "$downloads/$1" && cp "$archived" "$downloads/$1/file.$$" && mv "$downloads/$1/file.$$" "$downloads/$1/file"
}

# Fetches lock lines (standard input) from base URI $1 by apt's own downloader, which checks the sha256; what is not there stays away.
fetch_from() {
    local base=${1%/} partial sha size pool args=()
    partial=$(mktemp -d "$cache/fetch.XXXXXX")
    while read -r _ _ _ sha size pool; do args+=("$base/$pool" "$partial/$sha" "SHA256:$sha"); done
    if ((${#args[@]})); then
        printf '%s\0' "${args[@]}" | xargs -0 -n 300 /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=3 -qq download-file 2>/dev/null || true
    fi
    for sha in $(find "$partial" -maxdepth 1 -type f -printf '%f\n' | grep -E '^[0-9a-f]{64}$'); do
        # A download that was cut off has the name of its target, too.
        [[ $(sha256sum <"$partial/$sha") == "$sha  -" ]] || continue
        mkdir -p "$downloads/$sha"
        mv "$partial/$sha" "$downloads/$sha/file"
    done
    rm -rf "$partial"
}

# Lines of standard input whose file is still missing.
missing() {
    local line
    while read -r line; do present "$(cut -d' ' -f4 <<<"$line")" || printf '%s\n' "$line"; done
}

# Downloads the packages of the lock into the cache; prints the list of what the environment is made of (the lock, but for drift),
# and writes a line for each package that is not the locked one to file $2.
fetch() {
    local work=$1 drift=$2 uri todo state=$1/apt line name version actual
    mkdir -p "$downloads"
    : >"$drift"
    locked | missing >"$work/todo"
    if [[ -s $work/todo ]]; then
        say "fetching $(wc -l <"$work/todo") packages"
        for uri in $(mirrors) "https://snapshot.debian.org/archive/debian/$(snapshot_time)"; do
            locked | missing >"$work/todo"
            [[ -s $work/todo ]] || break
            fetch_from "$uri" <"$work/todo"
        done
    fi
    locked | missing >"$work/todo"
    if [[ ! -s $work/todo ]]; then
        locked
        return
    fi
    # Drift: the rest is nowhere to be had. Let apt resolve once more, holding on to every locked version that it can see.
    say "not to be had in the locked version from archive, mirror or snapshot.debian.org: $(cut -d' ' -f1 "$work/todo" | tr '\n' ' ')"
    apt_state "$state"
    locked | while read -r name version _; do printf 'Package: %s\nPin: version %s\nPin-Priority: 1001\n\n' "$name" "$version"; done >"$state/preferences"
    resolve "$state" >"$work/actual"
    missing <"$work/actual" >"$work/todo"
    for uri in $(mirrors); do fetch_from "$uri" <"$work/todo"; done
    missing <"$work/actual" >"$work/todo"
    [[ ! -s $work/todo ]] || die "missing everywhere: $(awk '{print $1 "=" $2 " sha256 " $4}' "$work/todo" | tr '\n' ';') give an input archive (INPUT_ARCHIVE) or relock (environment.sh lock update)"
    while read -r name version _; do
        actual=$(awk -v n="$name" '$1 == n {print $2}' "$work/actual")
        [[ $actual == "$version" ]] || printf '%s locked %s actual %s\n' "$name" "$version" "${actual:-none}"
    done < <(locked) >"$drift"
    cat "$work/actual"
}

# A repository of the packages of list $1 in folder $2, for mmdebstrap.
local_repository() {
    local list=$1 repo=$2 name sha
    mkdir -p "$repo"
    while read -r name _ _ sha _ _; do ln -sf "$downloads/$sha/file" "$repo/${name}_$sha.deb"; done <"$list"
    find "$repo" -name '*.deb' -print0 | LC_ALL=C sort -z | xargs -0 -n 1 -P "$(nproc)" bash -c '
        stanza=$(dpkg-deb -f "$1") || exit 255
        sha=${1##*_}
        printf "%s\nFilename: ./%s\nSize: %s\nSHA256: %s\n\n" "$stanza" "${1##*/}" "$(stat -L -c %s "$1")" "${sha%.deb}" >"$1.stanza"' package
    find "$repo" -name '*.stanza' -print0 | LC_ALL=C sort -z | xargs -0 cat >"$repo/Packages"
    find "$repo" -name '*.stanza' -delete
}

need_mmdebstrap() {
    command -v mmdebstrap >/dev/null && return
    [[ $(id -u) == 0 ]] || die "mmdebstrap is not installed; ask root for: apt-get install mmdebstrap uidmap"
    say "installing mmdebstrap with apt-get"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mmdebstrap; } >&2
}

# The root tar on standard output; work folder $1; drift to file $2. The same lock gives the same bytes.
make_tar() {
    local work=$1 drift=$2 epoch names hooks=()
    need_mmdebstrap
    fetch "$work" "$drift" >"$work/list"
    local_repository "$work/list" "$work/repository"
    epoch=$(date -u -d "$(snapshot_time | sed -E 's/(....)(..)(..)T(..)(..)(..)Z/\1-\2-\3 \4:\5:\6/')" +%s)
    names=$(wanted | paste -sd,)
    say "assembling $(wc -l <"$work/list") packages with mmdebstrap"
    # Packages' documentation is of no use here. The environment's lock and drift stay readable inside.
    hooks=(
        "--customize-hook=mkdir -p \"\$1/usr/share/bazel-modules\" \"\$1/usr/share/build-environment\" \"\$1/odp-federatedcompute\" \"\$1/root/.cache\" \"\$1/root/.m2\""
        "--customize-hook=copy-in $(printf '%q' "$spec/bazelrc") /etc/bazel"
        "--customize-hook=sync-in $(printf '%q' "$spec/modules") /usr/share/bazel-modules"
        "--customize-hook=copy-in $(printf '%q' "$spec/start") /usr/share/build-environment"
        "--customize-hook=upload $(printf '%q' "$lock") /etc/build-environment.lock"
        "--customize-hook=upload $(printf '%q' "$drift") /etc/build-environment.drift"
        "--customize-hook=rm -f \"\$1/etc/hostname\" \"\$1/etc/resolv.conf\" \"\$1/var/lib/dbus/machine-id\""
        "--customize-hook=rm -rf \"\$1/var/log/apt\" \"\$1/var/log/dpkg.log\" \"\$1/var/log/alternatives.log\""
    )
    SOURCE_DATE_EPOCH=$epoch mmdebstrap --quiet --variant=apt --format=tar --include="$names" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "${hooks[@]}" "$suite" - "deb [trusted=yes] copy://$work/repository ./"
}

# What an environment is made from: when any of it changes, another environment is made.
fingerprint() {
    (cd "$here" && find environment environment.sh -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

as_root_user() { # the caller, or root of a user namespace in which the environment's files have their owners
    if [[ $(id -u) == 0 ]]; then "$@"; else unshare --user --map-root-user --map-auto -- "$@"; fi
}

build() {
    local key home work
    key=$(fingerprint)
    home=$cache/environment/$key
    if [[ -f $home/complete ]]; then
        printf '%s\n' "$home"
        return
    fi
    mkdir -p "$cache/environment" "$cache/repository"
    exec 9>"$cache/environment/.lock"
    flock -n 9 || {
        say "another start is making it; waiting"
        flock 9
    }
    if [[ ! -f $home/complete ]]; then
        # What an interrupted start left has no 'complete' and goes first. Nobody else is here: we hold the lock.
        as_root_user rm -rf "$cache"/environment/.new.* "$cache"/fetch.* "$home"
        work=$(mktemp -d "$cache/environment/.new.XXXXXX")
        mkdir "$work/result" "$work/result/root"
        chmod 755 "$work"
        say "making it from $(locked | wc -l) locked packages (once; about two minutes)"
        make_tar "$work" "$work/result/drift" 9>&- | as_root_user tar -x --numeric-owner -C "$work/result/root"
        # The files must be on disk before the mark that vouches for them.
        sync -f "$work/result"
        : >"$work/result/complete"
        mv "$work/result" "$home"
        as_root_user rm -rf "$work"
    fi
    exec 9>&-
    printf '%s\n' "$home"
}

lock_update() {
    local work now
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # now, not later
    trap "rm -rf '$work'" EXIT
    apt_state "$work/apt"
    now=$(date -u +%Y%m%dT%H%M%SZ)
    resolve "$work/apt" >"$work/list"
    { printf '# suite %s snapshot %s\n' "$suite" "$now" && cat "$work/list"; } >"$work/lock"
    touch "$lock"
    join -a1 -a2 -e none -o 0,1.2,2.2 <(locked | LC_ALL=C sort) "$work/list" | awk '$2 != $3 {print $1 ": " $2 " -> " $3; n++} END {print n + 0 " changed"}'
    if cmp -s <(locked) "$work/list"; then return; fi
    cp "$work/lock" "$lock.new" && mv "$lock.new" "$lock"
}

lock_report() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    apt_state "$work/apt"
    resolve "$work/apt" >"$work/list"
    join -a1 -e none -o 0,1.2,2.2 <(locked | LC_ALL=C sort) "$work/list" | awk '$2 != $3 {print $1 ": locked " $2 ", mirror " $3; n++} END {print n + 0 " of the locked packages are newer or gone on the mirror"}'
}

case "$*" in
build) build ;;
fingerprint) fingerprint ;;
tar)
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/tar.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    make_tar "$work" "$work/drift"
    ;;
"lock update") lock_update ;;
"lock report") lock_report ;;
*)
    printf 'usage: environment.sh build | fingerprint | tar | lock update | lock report\n' >&2
    exit 64
    ;;
esac
