#!/bin/sh
# Tables and their users agree: every reason is given somewhere, every counter and gauge is counted
# somewhere, every configuration key is in a man page, and the variables of the shipped configurations
# are documented and cannot be set by accident. Prints every name that breaks the promise.
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

for table in REASONS:REASON:base/reason.h COUNTERS:COUNTER:observe/metrics_table.h GAUGES:GAUGE:observe/metrics_table.h; do
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

# The other metrics are printed somewhere, by observe itself or by a room above.
for list in WORKER_FIGURES GROUP_FIGURES CONTROL_FIGURES PROCESS_FIGURES; do
    found=$(names src/observe/metrics_table.h "$list")
    [ -n "$found" ] || complain "src/observe/metrics_table.h: no table $list"
    for name in $found; do
        grep -rqw --include='*.c' "METRIC_$name" src || complain "nothing prints METRIC_$name"
    done
done

keys=$(sed -n 's/.*"\([a-z0-9_]*\)", *load_[a-z0-9_]*,.*/\1/p' src/config/*.c src/config/*.h | sort -u)
[ -n "$keys" ] || complain "src/config: no keys found"
for key in $keys; do
    grep -qw -- "$key" docs/man/weir.yaml.5 docs/man/weir.1 || complain "no man page has the key \"$key\""
done

# Kubernetes sets NAME_PORT, NAME_PORT_443_TCP, NAME_SERVICE_HOST and the like in every pod, for each
# Service NAME: a shipped configuration must not take one of these for its own variable.
for file in conf/*.yaml; do
    for name in $(grep -o '\${[A-Z][A-Z0-9_]*' "$file" | sort -u | cut -c 3-); do
        if echo "$name" | grep -qE '_PORT(_|$)|_SERVICE_(HOST|PORT)'; then
            complain "$file: a Kubernetes service link can set $name"
        fi
        grep -qw -- "$name" docs/man/weir.1 || complain "$file: $name is not in weir.1"
    done
done
exit $bad
