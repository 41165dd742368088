#!/bin/sh
# Dependencies point down: a room includes headers of the rooms below it, never above, and *_impl.h only
# of its own. Each foreign API has its rooms too; a room that does not exist yet, as fetch, is where the
# first user of that API will be. Prints every line that breaks the promise.
set -u
cd "$(dirname "$0")/../.." || exit 2

below() {
    case $1 in
    base) echo "" ;;
    config) echo "base" ;;
    route) echo "config base" ;;
    observe) echo "base" ;;
    net) echo "base" ;;
    tls) echo "net config base" ;;
    http) echo "base" ;;
    discovery) echo "net config base" ;;
    upstream) echo "discovery http tls net observe config base" ;;
    proxy) echo "upstream discovery http tls net observe route config base" ;;
    admin) echo "proxy upstream discovery http tls net observe route config base" ;;
    control) echo "admin proxy upstream discovery http tls net observe route config base" ;;
    server) echo "control admin proxy upstream discovery http tls net observe route config base" ;;
    cli) echo "server control admin proxy upstream discovery http tls net observe route config base" ;;
    esac
}

# Rooms that may include a foreign header.
foreign() {
    case $1 in
    openssl/*) echo "tls" ;;
    nghttp2/*) echo "http" ;;
    llhttp.h) echo "http" ;;
    yaml.h) echo "config" ;;
    pcre2.h) echo "base" ;;
    jansson.h) echo "base" ;;
    curl/*) echo "fetch" ;;
    ev.h) echo "net" ;;
    ares.h) echo "discovery" ;;
    *) echo "any" ;;
    esac
}

bad=0
complain() {
    echo "$1" >&2
    bad=1
}

for room in $(ls src); do
    allowed="$room $(below "$room")"
    for file in $(find "src/$room" -name "*.[ch]"); do
        for header in $(sed -n 's/^#include "\(.*\)".*/\1/p' "$file"); do
            owner=${header%%/*}
            case $header in weir/*) continue ;; esac
            case " $allowed " in
            *" $owner "*) ;;
            *) complain "$file includes $header: $owner is not below $room" ;;
            esac
            case $header in
            *_impl.h) [ "$owner" = "$room" ] || complain "$file includes $header: private to $owner" ;;
            esac
        done
        for header in $(sed -n 's/^#include <\(.*\)>.*/\1/p' "$file"); do
            rooms=$(foreign "$header")
            case " $rooms " in
            *" any "* | *" $room "*) ;;
            *) complain "$file includes <$header>: only for $rooms" ;;
            esac
        done
    done
done

# One file speaks to jansson, so nothing else has names that begin as jansson's do.
for file in $(grep -lrw 'json_[a-z_]*' src | grep -v '^src/base/json\.c$'); do
    complain "$file says json_...: only src/base/json.c does"
done
for file in $(grep -lr '<jansson\.h>' src | grep -v '^src/base/json\.c$'); do
    complain "$file includes <jansson.h>: only src/base/json.c does"
done
exit $bad
