# shellcheck shell=sh
# Sourced by the proofs: makes, enters and takes down bare Debian trees. Needs root and debootstrap.
#
# The sources of packages are those of this machine's apt configuration, so the proofs use the same
# mirror or proxy.

proof_die() {
    echo "proof: $*" >&2
    exit 1
}

# The first URI that apt fetches Debian itself from.
debian_mirror() {
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p'
    } | grep '/debian/*$' | head -n 1
}

# make_tree SUITE DIR: a minimal Debian in DIR, with this machine's way to packages.
make_tree() {
    suite=$1
    tree=$2
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || proof_die "no Debian mirror in /etc/apt"
    debootstrap --variant=minbase "$suite" "$tree" "$mirror" >"$tree.log" 2>&1 || {
        tail -n 20 "$tree.log" >&2
        proof_die "debootstrap $suite failed"
    }
    chmod 755 "$tree" # mktemp makes it 0700, and tests give up root
    # Proxies and the like, but not what belongs to packages of this machine.
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        [ -f "$file" ] || continue
        if grep -q 'Acquire::' "$file" && ! dpkg -S "$file" >/dev/null 2>&1; then
            cp "$file" "$tree/etc/apt/apt.conf.d/80host-$(basename "$file" .conf)"
        fi
    done
    cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
    cp -L /etc/hosts "$tree/etc/hosts"
}

# Mounts what a shell in a tree needs. leave_tree unmounts it, also after a partial failure.
enter_tree() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --make-rslave "$1/dev"
}

leave_tree() {
    umount -R -l "$1/dev" 2>/dev/null || true
    umount -l "$1/proc" 2>/dev/null || true
}

# remove_tree DIR: only when nothing is mounted below it any more.
remove_tree() {
    leave_tree "$1"
    if grep -q " $1/" /proc/mounts; then
        proof_die "mounts are left below $1; not removing it"
    fi
    rm -rf "$1" "$1.log"
}

in_tree() {
    tree=$1
    shift
    chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
}

seconds_since() {
    echo $(($(date +%s) - $1))
}
