#!/bin/sh
# Proof: the Dockerfile builds and its image runs, without a container engine: buildah in chroot isolation
# on a base image that is imported from a debootstrap tree.
#   tests/proofs/dockerfile.sh [trixie|bookworm]
# As root, with debootstrap, git and buildah. States times.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian-tree.sh"

suite=${1:-trixie}
[ "$(id -u)" = 0 ] || proof_die "needs root, for chroot"
command -v buildah >/dev/null || proof_die "needs buildah"

repository=$(git -C "$here" rev-parse --show-toplevel)
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-proof-image.XXXXXX")
container=
# Storage of its own, so that nothing of this machine's images is touched and all of it can go.
bah() {
    buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"
}
finish() {
    [ -z "$container" ] || bah rm "$container" >/dev/null 2>&1 || true
    remove_tree "$work/tree"
    if grep -q " $work/" /proc/mounts; then
        proof_die "mounts are left below $work; not removing it"
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

began=$(date +%s)
make_tree "$suite" "$work/tree"
container=$(bah from --isolation chroot scratch)
bah add "$container" "$work/tree" / >/dev/null
bah commit "$container" "localhost/debian:$suite" >/dev/null 2>&1
bah rm "$container" >/dev/null
container=
echo "$suite: base image in $(seconds_since "$began") s"

mkdir "$work/context"
git -C "$repository" archive HEAD | tar -x -C "$work/context"
began=$(date +%s)
bah bud --isolation chroot --build-arg "BASE=localhost/debian:$suite" -t localhost/weir "$work/context" \
    >"$work/bud.log" 2>&1 || {
    tail -n 50 "$work/bud.log" >&2
    proof_die "the Dockerfile does not build"
}
echo "$suite: Dockerfile built in $(seconds_since "$began") s ($(git -C "$repository" log -1 --format='%h %s'))"

container=$(bah from --isolation chroot localhost/weir)
user=$(bah inspect --type image --format '{{.OCIv1.Config.User}}' localhost/weir)
case $user in
'' | 0 | 0:* | root) proof_die "the image runs as root" ;;
esac
bah run --isolation chroot "$container" -- weir --version
bah run --isolation chroot "$container" -- weir check --no-certificates -c /usr/share/weir/conf/demo.yaml
echo "$suite: image runs as $user; compilers in it: $(bah run --isolation chroot "$container" -- \
    sh -c 'command -v cc gcc cmake || echo none')"
