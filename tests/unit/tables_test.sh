#!/bin/sh
# What stands in a table is kept: every reason is given somewhere, every counter and gauge is counted
# somewhere, and every configuration key is in a man page. Prints every name that breaks the promise.
set -u
cd "$(dirname "$0")/../.." || exit 2

bad=0
complain() {
    echo "$1" >&2
    bad=1
}

# The names in FILE's table.
names() {
    sed -n "/^#define $2(X)/,/[^\\\\]\$/s/^ *X(\\([A-Z0-9_]*\\),.*/\\1/p" "$1"
}

# used PREFIX NAME ROOM: is it in some room's code other than the table's?
used() {
    grep -rqw --include='*.c' --exclude-dir="$3" "$1_$2" src
}

for table in REASONS:REASON:base/reason.h COUNTERS:COUNTER:observe/metrics.h GAUGES:GAUGE:observe/metrics.h; do
    list=${table%%:*}
    rest=${table#*:}
    prefix=${rest%%:*}
    file=${rest#*:}
    found=$(names "src/$file" "$list")
    [ -n "$found" ] || complain "src/$file: no table $list"
    for name in $found; do
        used "$prefix" "$name" "${file%%/*}" || complain "src/$file: nothing uses ${prefix}_$name"
    done
done

keys=$(sed -n 's/.*"\([a-z0-9_]*\)", *load_[a-z0-9_]*,.*/\1/p' src/config/*.c src/config/*.h | sort -u)
[ -n "$keys" ] || complain "src/config: no keys found"
for key in $keys; do
    grep -qw -- "$key" docs/man/weir.yaml.5 docs/man/weir.1 || complain "no man page has the key \"$key\""
done
exit $bad
