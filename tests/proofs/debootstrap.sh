#!/bin/sh
# Proof: in a bare Debian, with nothing but a shell and apt-get, `./dev run` serves and `./dev test` passes.
#   tests/proofs/debootstrap.sh bookworm|trixie [setup|run|test]...     (default: run test)
# As root, with debootstrap and git. Takes what is committed, not what lies around. States times.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian-tree.sh"

suite=${1:-}
case $suite in
bookworm | trixie) shift ;;
*) proof_die "usage: $0 bookworm|trixie [setup|run|test]..." ;;
esac
[ $# -gt 0 ] || set -- run test
[ "$(id -u)" = 0 ] || proof_die "needs root, for chroot"

repository=$(git -C "$here" rev-parse --show-toplevel)
tree=$(mktemp -d "${TMPDIR:-/tmp}/weir-proof-$suite.XXXXXX")
demo_pid=
finish() {
    [ -z "$demo_pid" ] || kill "$demo_pid" 2>/dev/null || true
    remove_tree "$tree"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

began=$(date +%s)
make_tree "$suite" "$tree"
mkdir -p "$tree/weir"
git -C "$repository" archive HEAD | tar -x -C "$tree/weir"
# Tests that compare with real data find it beside the repository, where it is on this machine.
if [ -d "$repository/../shared" ]; then
    cp -r "$repository/../shared" "$tree/shared"
    chmod -R a-w "$tree/shared"
fi
enter_tree "$tree"
echo "$suite: bare tree in $(seconds_since "$began") s ($(git -C "$repository" log -1 --format='%h %s'))"

prove_setup() {
    began=$(date +%s)
    in_tree "$tree" sh -c 'cd /weir && ./dev build'
    echo "$suite: ./dev build in $(seconds_since "$began") s"
}

# Waits for the demo's curl commands, runs the first of them inside the tree, stops it politely.
prove_run() {
    began=$(date +%s)
    mkfifo "$tree/demo-pid"
    in_tree "$tree" sh -c 'cd /weir && echo $$ >/demo-pid; exec ./dev run' >"$tree/demo.log" 2>&1 &
    read -r demo_pid <"$tree/demo-pid"
    until grep -q 'curl ' "$tree/demo.log"; do
        kill -0 "$demo_pid" 2>/dev/null || { cat "$tree/demo.log"; proof_die "./dev run ended"; }
        [ "$(seconds_since "$began")" -lt 600 ] || { cat "$tree/demo.log"; proof_die "./dev run: no demo"; }
        sleep 0.2
    done
    sleep 1
    cat "$tree/demo.log"
    echo "$suite: ./dev run serves after $(seconds_since "$began") s"
    # A demo needs no curl to run; this one asks with the curl of the machine when there is one.
    command=$(sed -n 's/.*\(curl .*\)/\1/p' "$tree/demo.log" | head -n 1)
    echo "$suite: $command"
    sh -c "$command" | head -n 20
    kill -TERM "$demo_pid"
    wait || true
    demo_pid=
}

prove_test() {
    began=$(date +%s)
    in_tree "$tree" sh -c 'cd /weir && ./dev test'
    echo "$suite: ./dev test passes, in $(seconds_since "$began") s"
}

for part; do
    case $part in
    setup | run | test) "prove_$part" ;;
    *) proof_die "there is no part \"$part\"" ;;
    esac
done
echo "$suite: proven: $*"
