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
#
# An ordinary user becomes root of a user namespace, with the user's range of subordinate ids. What assembles the environment runs in
# namespaces of its own: it cannot outlive this script, and its mounts vanish with it.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
spec=$here/environment
lock=$spec/environment.lock
suite=testing
cache=${XDG_CACHE_HOME:-$HOME/.cache}/odp-federatedcompute
downloads=$cache/repository/content_addressable/sha256 # the layout of Bazel's repository cache
megabytes=4000                                         # on disk while the environment is made; about half of it stays

say() { printf 'build environment: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Debian mirrors as the machine's own apt knows them; one URI a line.
mirrors() {
    local uris
    # Without release info: also where nobody has run apt-get update yet.
    uris=$(apt-get indextargets --no-release-info --format "\$(REPO_URI)" 'Created-By: Packages' | LC_ALL=C sort -u | while read -r uri; do
        # Cloud machines name a file with the list of mirrors.
        case $uri in
        mirror+file:*) awk '!/^#/ && NF {print $1}' "${uri#mirror+file:}" ;;
        *) printf '%s\n' "$uri" ;;
        esac
    done)
    [[ -n $uris ]] || return 0
    grep -E '/debian/?$' <<<"$uris" || printf '%s\n' "$uris"
}

wanted() { sed -e 's/#.*//' -e '/^ *$/d' "$spec/packages.txt"; }
locked() { sed -e '/^#/d' "$lock"; }
snapshot_time() { sed -n 's/^# .* snapshot \([0-9TZ]*\)$/\1/p' "$lock"; }

# An apt state of its own in folder $1: this machine's mirror, proxy and keys; the suite of the environment; nothing installed.
apt_state() {
    local state=$1 uri key
    mkdir -p "$state"/lists/partial "$state"/archives/partial "$state"/preferences.d "$state"/trusted
    : >"$state/status"
    mirrors | while read -r uri; do printf 'deb %s %s main\n' "$uri" "$suite"; done >"$state/sources.list"
    [[ -s $state/sources.list ]] || die "expected a Debian mirror in apt's configuration (/etc/apt/sources.list*), found none; add one"
    for key in /etc/apt/trusted.gpg.d/*.gpg /etc/apt/trusted.gpg.d/*.asc /usr/share/keyrings/debian-archive-keyring.gpg; do
        if [[ -r $key ]]; then ln -sf "$key" "$state/trusted/"; fi
    done
    {
        if [[ -n ${APT_CONFIG:-} ]]; then printf '#include "%s";\n' "$APT_CONFIG"; fi
        cat <<X
Dir::State "$state"; Dir::State::lists "$state/lists"; Dir::State::status "$state/status";
Dir::Cache "$state"; Dir::Cache::archives "$state/archives";
Dir::Etc::sourcelist "$state/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::trustedparts "$state/trusted";
Dir::Etc::preferences "$state/preferences"; Dir::Etc::preferencesparts "$state/preferences.d";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
APT::Update::Error-Mode "any"; Acquire::ForceHash "sha256"; Acquire::Check-Valid-Until "false"; Acquire::Languages "none"; Acquire::Retries "3";
Debug::NoLocking "true";
X
    } >"$state/apt.conf"
}

# The closure of packages.txt as apt resolves it in state $1: lines of name, version, architecture, sha256, size, pool path.
resolve() (
    state=$1
    export APT_CONFIG=$state/apt.conf
    packages() { apt-get indextargets --format "\$(FILENAME)" 'Created-By: Packages' | tr '\n' '\0' | xargs -0 -r /usr/lib/apt/apt-helper cat-file; }
    apt-get -qq update >&2 || exit 1
    # What debootstrap calls the base: every essential package, and apt.
    essential=$(packages | awk '/^Package: /{p=$2} /^Essential: yes/{print p}' | LC_ALL=C sort -u)
    [[ -n $essential ]] || exit 1
    # shellcheck disable=SC2046,SC2086 # one word a package
    apt-get -qq install --print-uris $essential $(wanted) >"$state/plan" || exit 1
    awk -F"'" '/^\x27/{print $3}' "$state/plan" >"$state/uris"
    # The names in a URI are escaped; the index has them as they are.
    packages | awk -v uris="$state/uris" '
        BEGIN { while ((getline line < uris) > 0) if (sub(/^.*SHA256:/, "", line)) want[line] = 1 }
        /^Package: /{p=$2} /^Version: /{v=$2} /^Architecture: /{a=$2} /^Filename: /{f=$2} /^Size: /{s=$2} /^SHA256: /{h=$2}
        /^$/{ if (h in want) print p, v, a, h, s, f; h="" }' | LC_ALL=C sort -u >"$state/resolved"
    # Every package of the plan must have been found in the index by its sha256.
    [[ -s $state/uris && $(wc -l <"$state/uris") == $(wc -l <"$state/resolved") ]] || exit 1
    cat "$state/resolved"
)

# Lines of standard input whose file is not in the cache, or is there but damaged.
missing() {
    local list sha
    list=$(cat)
    [[ -n $list ]] || return 0
    awk 'FILENAME == ARGV[1] {have[$1] = 1; next} !($4 in have)' <(
        cut -d' ' -f4 <<<"$list" | while read -r sha; do
            if [[ -f $downloads/$sha/file ]]; then printf '%s/file\0' "$sha"; fi
        done | (cd "$downloads" && xargs -0 -r sha256sum --) | awk '$1 "/file" == $2 {print $1}'
    ) <(printf '%s\n' "$list")
}

# Gets lock lines (standard input) from $1, an input archive or a base URI; what is not there stays away. Nothing is believed before its
# sha256 is checked: a download that was cut off has the name of its target, too.
get_from() {
    local source=$1 partial sha pool args=()
    partial=$(mktemp -d "$cache/fetch.XXXXXX")
    while read -r _ _ _ sha _ pool; do
        if [[ $source != /* ]]; then
            args+=("${source%/}/$pool" "$partial/$sha" "SHA256:$sha")
        elif [[ -f $source/content_addressable/sha256/$sha/file ]]; then
            cp -- "$source/content_addressable/sha256/$sha/file" "$partial/$sha" || die "could not copy from the input archive $source"
        fi
    done
    if ((${#args[@]})); then
        # Apt's own downloader: this machine's proxy and credentials hold. What it complains about is told if the package stays missing.
        printf '%s\0' "${args[@]}" | xargs -0 -n 300 /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=3 \
            -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -qq download-file 2>>"$complaints" || true
        if grep -q 'No space left on device' "$complaints"; then die "no space left on device, while packages were fetched to $cache"; fi
    fi
    for sha in $(find "$partial" -maxdepth 1 -type f -printf '%f\n' | grep -E '^[0-9a-f]{64}$'); do
        if [[ $(sha256sum <"$partial/$sha") != "$sha  -" ]]; then
            printf 'E: %s gave other bytes than sha256 %s\n' "$source" "$sha" >>"$complaints"
            continue
        fi
        mkdir -p "$downloads/$sha"
        mv "$partial/$sha" "$downloads/$sha/file"
    done
    rm -rf "$partial"
}

missing_everywhere() { # list of lock lines
    local said
    said=$(sed -n 's/^E: //p' "$complaints" | head -n 1)
    die "missing everywhere: $(awk '{print $1 "=" $2 " sha256 " $4}' "$1" | paste -sd';' | sed 's/;/; /g'): tried ${INPUT_ARCHIVE:+the input archive, }the configured mirror, snapshot.debian.org${said:+ (apt: $said)}; give an input archive (INPUT_ARCHIVE=DIR) or move the lock (environment.sh lock update)"
}

# Downloads the packages of the lock into the cache; prints the list of what the environment is made of (the lock, but for drift),
# and writes a line for each package that is not the locked one to file $2.
fetch() {
    local work=$1 drift=$2 source todo=$1/todo state=$1/apt name version actual
    complaints=$work/complaints
    mkdir -p "$downloads"
    : >"$drift"
    : >"$complaints"
    locked | missing >"$todo"
    if [[ -s $todo ]]; then
        say "fetching $(wc -l <"$todo") packages"
        while read -r source; do
            get_from "$source" <"$todo"
            locked | missing >"$todo"
            [[ -s $todo ]] || break
        done < <(
            if [[ -n ${INPUT_ARCHIVE:-} ]]; then realpath -- "$INPUT_ARCHIVE"; fi
            mirrors
            printf 'https://snapshot.debian.org/archive/debian/%s\n' "$(snapshot_time)"
        )
    fi
    if [[ ! -s $todo ]]; then
        locked
        return
    fi
    # Drift: the rest is nowhere to be had. Let apt resolve once more, holding on to every locked version that it can see.
    apt_state "$state"
    locked | while read -r name version _; do printf 'Package: %s\nPin: version %s\nPin-Priority: 1001\n\n' "$name" "$version"; done >"$state/preferences"
    resolve "$state" >"$work/actual" 2>>"$complaints" || missing_everywhere "$todo"
    missing <"$work/actual" >"$todo"
    while [[ -s $todo ]] && read -r source; do
        get_from "$source" <"$todo"
        missing <"$work/actual" >"$todo"
    done < <(mirrors)
    [[ ! -s $todo ]] || missing_everywhere "$todo"
    while read -r name version _; do
        actual=$(awk -v n="$name" '$1 == n {print $2}' "$work/actual")
        [[ $actual == "$version" ]] || printf '%s locked %s actual %s\n' "$name" "$version" "${actual:-none}"
    done < <(locked) >"$drift"
    say "not to be had as locked from archive, mirror or snapshot.debian.org: $(cut -d' ' -f1 "$drift" | paste -sd' ')"
    cat "$work/actual"
}

# A repository of the packages of list $1 in folder $2, for mmdebstrap.
local_repository() {
    local list=$1 repo=$2 name sha
    mkdir -p "$repo"
    while read -r name _ _ sha _; do ln -sf "$downloads/$sha/file" "$repo/${name}_$sha.deb"; done <"$list"
    # shellcheck disable=SC2016 # expanded by the inner bash
    find "$repo" -name '*.deb' -print0 | LC_ALL=C sort -z | xargs -0 -n 1 -P "$(nproc)" bash -c '
        stanza=$(dpkg-deb -f "$1") || exit 255
        sha=${1##*_}
        printf "%s\nFilename: ./%s\nSize: %s\nSHA256: %s\n\n" "$stanza" "${1##*/}" "$(stat -L -c %s "$1")" "${sha%.deb}" >"$1.stanza"' package
    find "$repo" -name '*.stanza' -print0 | LC_ALL=C sort -z | xargs -0 cat >"$repo/Packages"
    find "$repo" -name '*.stanza' -delete
}

# What the environment holds beside the packages, in folder $1: modes and times are set here, a checkout's are anybody's.
own_files() {
    local root=$1 drift=$2
    mkdir -p "$root"/etc/bazel "$root"/usr/share/{bazel-modules,build-environment} "$root"/odp-federatedcompute "$root"/root/{.cache,.m2}
    cp "$spec/bazelrc" "$root/etc/bazel/bazelrc"
    cp "$lock" "$root/etc/build-environment.lock"
    cp "$drift" "$root/etc/build-environment.drift"
    cp "$spec/start" "$root/usr/share/build-environment/start"
    cp -R "$spec/modules/." "$root/usr/share/bazel-modules"
    chmod -R u=rwX,go=rX "$root"
    chmod 755 "$root/usr/share/build-environment/start"
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# The root tar on standard output; work folder $1; drift to file $2. The same lock gives the same bytes, whoever makes it and where.
make_tar() {
    local work=$1 drift=$2
    umask 022
    fetch "$work" "$drift" >"$work/list"
    local_repository "$work/list" "$work/repository"
    SOURCE_DATE_EPOCH=$(date -u -d "$(snapshot_time | sed -E 's/(....)(..)(..)T(..)(..)(..)Z/\1-\2-\3 \4:\5:\6/')" +%s)
    export SOURCE_DATE_EPOCH
    own_files "$work/own" "$drift"
    say "assembling $(wc -l <"$work/list") packages with mmdebstrap"
    # Packages' documentation is of no use here. No trace of this machine stays: sources, logs, names, caches that hold inode numbers or
    # times. Java's trust store holds times, too: start makes it.
    # /sys is not mounted: the root of a user namespace may not, and no package needs it.
    # shellcheck disable=SC2016 # hooks are expanded by mmdebstrap's shell
    OWN_FILES=$work/own TMPDIR=$work mmdebstrap --mode=root --quiet --variant=apt --format=tar --skip=chroot/mount/sys --include="$(wanted | paste -sd,)" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Sandbox::User "root"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='cp -R --preserve=mode,timestamps "$OWN_FILES/." "$1"' \
        --customize-hook='rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/etc/machine-id" "$1/var/lib/dbus/machine-id" "$1/var/cache/ldconfig/aux-cache" "$1/etc/ssl/certs/java/cacerts"' \
        --customize-hook='find "$1/usr" -name __pycache__ -prune -exec rm -rf {} +' \
        --customize-hook='find "$1/var/log" -type f -delete && : >"$1/etc/apt/sources.list"' \
        "$suite" - "deb [trusted=yes] copy://${work// /%20}/repository ./"
}

# What an environment is made from: when any of it changes, another environment is made.
fingerprint() {
    (cd "$here" && find environment environment.sh -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

need_mmdebstrap() {
    [[ $(dpkg --print-architecture) == amd64 ]] || die "expected an amd64 machine, found $(dpkg --print-architecture); use docker or podman here (BUILD_ENGINE)"
    if ! command -v mmdebstrap >/dev/null; then
        [[ $(id -u) == 0 ]] || die "expected mmdebstrap, found none; ask root for: apt-get install mmdebstrap uidmap"
        say "installing mmdebstrap with apt-get"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mmdebstrap; } >&2 ||
            die "could not install mmdebstrap; run: apt-get install mmdebstrap"
    fi
}

# Runs a command as root of namespaces that end with this script, even if it is killed.
contained() {
    local namespaces=(--mount --pid --mount-proc --fork --kill-child)
    if [[ $(id -u) != 0 ]]; then
        command -v newuidmap >/dev/null || die "expected newuidmap, found none; ask root for: apt-get install uidmap"
        namespaces+=(--user --map-root-user --map-auto)
        unshare --user --map-root-user --map-auto true 2>/dev/null ||
            die "expected user namespaces and a range of subordinate ids for $(id -un) in /etc/subuid and /etc/subgid; ask root for: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
    fi
    setpriv --pdeathsig KILL -- unshare "${namespaces[@]}" -- "$@"
}

# Ends a start that could not make something in work folder $1, with the reason that people can do something about.
failed() {
    local work=$1 free
    free=$(df --output=avail -B1M "$cache" | tail -n 1)
    contained rm -rf "$work"
    if ((free < 64)); then die "no space left on device: $2 in $cache, and nothing of it is kept; make room or set XDG_CACHE_HOME"; fi
    die "$2; nothing of it is kept"
}

# Prints the folder of the environment; in it are root, the tree, and complete, which holds the sha256 of the root tar.
build() {
    local key home work free
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
        need_mmdebstrap
        # What an interrupted start left has no 'complete' and goes first. Nobody else is here: we hold the lock.
        contained rm -rf "$cache"/environment/.new.* "$cache"/fetch.* "$home"
        free=$(df --output=avail -B1M "$cache" | tail -n 1)
        ((free >= megabytes)) || die "expected $megabytes MB free in $cache, found $((free)); make room or set XDG_CACHE_HOME"
        work=$(mktemp -d "$cache/environment/.new.XXXXXX")
        say "making it from $(locked | wc -l) locked packages (once; about two minutes)"
        contained bash "$here/environment.sh" unpack "$work" || failed "$work" "it could not be made"
        mv "$work/result" "$home"
        contained rm -rf "$work"
    fi
    exec 9>&-
    printf '%s\n' "$home"
}

# Inside of contained: the environment, ready to be renamed, in folder $1/result.
unpack() {
    local work=$1
    mkdir -p "$work/result/root" "$work/result/view" # rootfs_enter.sh mounts on view
    chmod 755 "$work" "$work/result" "$work/result"/*
    mkfifo "$work/bytes"
    sha256sum <"$work/bytes" | cut -d' ' -f1 >"$work/sum" &
    # The devices are the machine's; only root could make them. On a full disk tar has a message for each file.
    make_tar "$work" "$work/result/drift" | tee "$work/bytes" |
        tar -x --numeric-owner --exclude='./dev/*' -C "$work/result/root" 2> >(head -n 3 >&2)
    wait $!
    # The files must be on disk before the mark that vouches for them.
    sync -f "$work/result"
    mv "$work/sum" "$work/result/complete"
    sync -f "$work/result"
}

tar_to_stdout() {
    local work
    need_mmdebstrap
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/tar.XXXXXX")
    # shellcheck disable=SC2064 # now, not later
    trap "rm -rf $(printf '%q' "$work")" EXIT
    contained bash "$here/environment.sh" assemble "$work" || failed "$work" "the root tar could not be made"
    contained rm -rf "$work"
}

lock_update() {
    local work now
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf $(printf '%q' "$work")" EXIT
    apt_state "$work/apt"
    now=$(date -u +%Y%m%dT%H%M%SZ)
    resolve "$work/apt" >"$work/list" || die "apt could not resolve $spec/packages.txt in suite $suite; the lock stays as it is"
    [[ -f $lock ]] || : >"$lock"
    changes -a2 "$work/list" ' -> '
    if cmp -s <(locked) "$work/list"; then return; fi
    { printf '# suite %s snapshot %s\n' "$suite" "$now" && cat "$work/list"; } >"$lock.new"
    mv "$lock.new" "$lock"
}

lock_report() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf $(printf '%q' "$work")" EXIT
    apt_state "$work/apt"
    resolve "$work/apt" >"$work/list" || die "apt could not resolve $spec/packages.txt in suite $suite"
    changes "" "$work/list" ' locked, on the mirror '
}

changes() { # -a2 for new packages too, or nothing; list; what stands between the versions
    # shellcheck disable=SC2086 # an option or nothing
    LC_ALL=C join -a1 $1 -e none -o 0,1.2,2.2 <(locked | LC_ALL=C sort) "$2" |
        awk -v between="$3" '$2 != $3 {print $1 ": " $2 between $3; n++} END {print n + 0 " of " NR " packages differ"}'
}

case "${1:-} ${2:-}" in
'build ') build ;;
'fingerprint ') fingerprint ;;
'tar ') tar_to_stdout ;;
'lock update') lock_update ;;
'lock report') lock_report ;;
'unpack '?*) unpack "$2" ;;                 # only from build
'assemble '?*) make_tar "$2" "$2/drift" ;; # only from tar
*)
    printf 'usage: environment.sh build | fingerprint | tar | lock update | lock report\n' >&2
    exit 64
    ;;
esac
