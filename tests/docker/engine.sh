# shellcheck shell=bash disable=SC2034 # what uses them sources this
# Images without a Docker engine: buildah and podman, as root, with storage of their own. Source it after tests/lib/tap.sh, in
# the root of the tree; a script that cannot run here ends, as skipped.
#
# The base image is made by debootstrap from the Debian mirror that apt uses here, once, and kept
# under .cache/docker with all storage of these suites. A container shares the network of the namespace
# podman was started in; that is one of its own, so that port 8080 is free, and every request
# comes from another namespace: a bind to loopback would fail all of them.
shared=${MOBILENETD_SHARED:-../shared}
cache=$PWD/.cache/docker
ns=mobilenetd-$$
link=mnd$(($$ % 100000))
net=10.213.$(($$ % 250))
url=http://$net.2:8080
work=
containers=() # to remove in the end

[ "$(id -u)" = 0 ] || skip_all "needs root"
for tool in buildah podman runc debootstrap ip; do
    command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done

store() { # store buildah|podman ARGS…: with storage of our own
    local tool=$1
    shift
    case $tool in
    podman) podman --root "$cache/storage" --runroot "$cache/run" --runtime runc "$@" ;;
    buildah) buildah --root "$cache/storage" --runroot "$cache/run" "$@" ;;
    esac
}

cleanup() {
    if [ ${#containers[@]} -gt 0 ]; then store podman rm -f -t 0 -v "${containers[@]}" >/dev/null 2>&1; fi
    ip link del "${link}a" 2>/dev/null
    ip netns del "$ns" 2>/dev/null
    if [ -n "$work" ]; then rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

make_base() {
    local dir=$cache/base.tmp mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
    rm -rf "$dir"
    # An empty mirror means debootstrap's own default.
    debootstrap --variant=minbase bookworm "$dir" ${mirror:+"$mirror"} || return 1
    # What makes the slim image slim: no manuals, no translations, of the documents the copyrights alone.
    { printf 'path-exclude /usr/share/%s/*\n' doc man info locale && echo 'path-include /usr/share/doc/*/copyright'; } \
        >"$dir/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "$dir"/usr/share/{man,info,locale}/* "$dir"/var/lib/apt/lists/* "$dir"/var/cache/apt/*
    find "$dir/usr/share/doc" ! -type d ! -name copyright -delete
    tar -C "$dir" -cf - . | store podman import - localhost/mobilenetd-base:bookworm-slim || return 1
    rm -rf "$dir"
}

prepare() {
    work=$(mktemp -d "$cache/work.XXXXXX") || return 1
    store podman image exists localhost/mobilenetd-base:bookworm-slim || make_base
}

build_image() { # build_image TARGET TAG ARG…: of the context
    local proxy target=$1 tag=$2 args=()
    shift 2
    proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
    if [ -n "$proxy" ]; then args=(--build-arg "http_proxy=$proxy"); fi
    store buildah bud --format docker --isolation chroot --network host --pull-never --layers \
        --build-arg BASE=localhost/mobilenetd-base:bookworm-slim "${args[@]}" "$@" \
        --target "$target" -t "localhost/$tag" -f "$work/context/deploy/Dockerfile" "$work/context"
}

# The context is what git would hand to a user, so that nothing untracked can make the build work.
make_context() {
    mkdir -p "$work/context" || return 1
    /usr/bin/python3 tests/lib/tree.py | tar --null -T - -cf - --ignore-failed-read |
        tar -xf - -C "$work/context"
}

make_network() {
    ip netns add "$ns" &&
        ip link add "${link}a" type veth peer name "${link}b" &&
        ip link set "${link}b" netns "$ns" &&
        ip addr add "$net.1/24" dev "${link}a" &&
        ip link set "${link}a" up &&
        ip -n "$ns" addr add "$net.2/24" dev "${link}b" &&
        ip -n "$ns" link set "${link}b" up &&
        ip -n "$ns" link set lo up
}

# nsenter, not "ip netns exec": that one mounts another /sys, without the cgroups that runc needs.
inside() { # inside ARGS…: podman in the network namespace of the container
    nsenter --net="/run/netns/$ns" podman --root "$cache/storage" --runroot "$cache/run" --runtime runc "$@"
}

size_of() { # size_of IMAGE: in millions of bytes
    store podman image inspect --format '{{.Size}}' "localhost/$1" | awk '{ printf "%.1f", $1 / 1e6 }'
}

is_ready() { # is_ready NAME URL: within ten seconds
    for _ in $(seq 100); do
        if curl -sf -m 2 -o "$work/ready" "$2/v2/health/ready"; then return 0; fi
        sleep 0.1
    done
    echo "not ready within 10 s"
    store podman logs "$1"
    return 1
}

limits=(--ulimit "nofile=1024:1024" --ulimit "nproc=4096:4096") # podman's own defaults may be more than this machine lets it have

without_model() { # without_model IMAGE: the last line that it says before it fails
    local said
    if said=$(store podman run --rm --read-only --network none --no-healthcheck "${limits[@]}" "localhost/$1" 2>&1); then return 1; fi
    tail -n 1 <<<"$said"
}

# A read-only root, as everybody should have it.
start() { # start NAME URL IMAGE ARGS…
    local name=$1 at=$2 image=$3
    shift 3
    containers+=("$name")
    inside run --detach --name "$name" --network host --read-only --read-only-tmpfs=false "${limits[@]}" "$@" \
        "localhost/$image" >/dev/null && is_ready "$name" "$at"
}

models=/var/lib/mobilenetd/models # in an image

classify() { # classify PHOTO CLASS [URL]
    curl -sS -m 20 -T "$1" "${3:-$url}/v1/classify" >"$work/answer" && cat "$work/answer" &&
        jq -e ".predictions[0].class == $2" "$work/answer"
}

pid_of() {
    store podman inspect --format '{{.State.Pid}}' "$1"
}

non_root() {
    [ "$(awk '/^Uid:/ { print $2 }' "/proc/$(pid_of "$1")/status")" -gt 0 ]
}

sandboxed() { # a kernel may lack Landlock, but not the rest
    store podman logs "$1" 2>&1 | grep 'sandbox on: .* [1-9][0-9]* system calls' &&
        ! grep -L '^NoNewPrivs:.1$' /proc/"$(pid_of "$1")"/task/*/status | grep .
}

stopped=

stop() { # stop NAME: from the signal to the end of the process, without the time that podman itself takes
    local pid before code ms
    pid=$(pid_of "$1")
    before=$(date +%s%3N)
    kill -TERM "$pid" || return 1
    while [ -e "/proc/$pid" ] && [ $(($(date +%s%3N) - before)) -lt 10000 ]; do sleep 0.01; done
    ms=$(($(date +%s%3N) - before))
    code=$(store podman wait "$1")
    stopped="exit status $code after $ms ms"
    echo "$stopped"
    [ "$code" = 0 ] && [ "$ms" -lt 1000 ]
}

check_stop() { # check_stop NAME
    if stop "$1" >"$work/stop" 2>&1; then
        ok "stops on SIGTERM within a second, exit status 0"
    else
        not_ok "stops on SIGTERM within a second, exit status 0" "$(cat "$work/stop")"
    fi
    note "stopped by SIGTERM: $stopped"
}

begin() { # the context and the base image, or the script ends
    mkdir -p "$cache"
    prepare >"$cache/log" 2>&1 || skip_all "no base image can be made here: $(tail -n 1 "$cache/log")"
    chmod 755 "$work"
    check "checkout copied as build context" make_context
}
