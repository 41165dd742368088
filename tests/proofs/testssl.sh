#!/bin/sh
# Proof: testssl.sh has no finding from LOW upwards on conf/edge.yaml, except those caused by this test.
#   tests/proofs/testssl.sh [BINARY]
# Runs weir on a copy of conf/ with other ports, and each part of testssl.sh against its edge listener;
# prints the findings from LOW upwards and states the time. Needs openssl and testssl.sh (Debian).
set -eu

weir=${1:-build/weir}
conf=$(cd "$(dirname "$0")/../../conf" && pwd)
port=${WEIR_PROOF_PORT:-28500}
# The certificates of this proof are self-signed, and there is no application that would set HSTS,
# Content-Security-Policy and the like.
surroundings='"(cert_chain_of_trust|cert_revocation|security_headers)[ "]'

work=$(mktemp -d "${TMPDIR:-/tmp}/weir-proof-testssl.XXXXXX")
pid=
finish() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid" || true; }
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# make_certificate NAME KEY-OPTIONS...
make_certificate() {
    name=$1
    shift
    openssl req -x509 -nodes -days 90 -subj /CN=www.wikipedia.example "$@" \
        -addext subjectAltName=DNS:www.wikipedia.example -addext extendedKeyUsage=serverAuth \
        -keyout "$work/$name.key" -out "$work/$name.pem" 2>/dev/null
}
make_certificate unified-ecdsa -newkey ec -pkeyopt ec_paramgen_curve:prime256v1
make_certificate unified-rsa -newkey rsa:2048
make_certificate internal -newkey ec -pkeyopt ec_paramgen_curve:prime256v1

cp -r "$conf" "$work/conf"
sed -i -e "s/:443\"/:$port\"/g" -e "s/:80\"/:$((port + 1))\"/g" -e "s/:6500\"/:$((port + 2))\"/g" \
    -e "s/:6501\"/:$((port + 3))\"/g" "$work/conf/edge.yaml"
WEIR_TLS_DIR=$work WEIR_ADMIN=127.0.0.1:$((port + 4)) "$weir" run -c "$work/conf/edge.yaml" \
    >"$work/out" 2>"$work/log" &
pid=$!
sleep 3

began=$(date +%s)
# protocols, forward secrecy, server defaults, preference, headers, vulnerabilities, ciphers, clients
for part in --protocols --fs --server-defaults --server-preference --headers --vulnerable \
    --each-cipher --client-simulation --std; do
    testssl --quiet --color 0 --warnings off --nodns none --sneaky --ip 127.0.0.1 \
        --jsonfile "$work/$part.json" $part "https://www.wikipedia.example:$port/" \
        >"$work/$part.txt" 2>&1 </dev/null || true
done
kill -0 "$pid"

cat "$work"/*.json | tr -d '\n' | sed -e 's/},/}\n/g' | tr -s ' ' >"$work/findings"
echo "testssl.sh $(testssl --version 2>/dev/null | sed -n 's/.*testssl *\([0-9.]*\) .*/\1/p' | head -n 1):" \
    "$(grep -c '"severity"' "$work/findings") findings in $(($(date +%s) - began)) s"
echo "by severity:"
sed -n 's/.*"severity" : "\([A-Z]*\)".*/    \1/p' "$work/findings" | sort | uniq -c
echo "LOW and above:"
grep -E '"severity" : "(LOW|MEDIUM|HIGH|CRITICAL|WARN|FATAL)"' "$work/findings" >"$work/bad" || true
sed -n 's/.*"id" : "\([^"]*\)".*"severity" : "\([^"]*\)".*"finding" : "\([^"]*\)".*/    \2 \1: \3/p' "$work/bad" | sort -u
if grep -E '"severity" : "(MEDIUM|HIGH|CRITICAL|FATAL)"' "$work/bad" | grep -qvE "\"id\" : $surroundings"; then
    echo "not all of that comes from the surroundings"
    exit 1
fi
echo "nothing above LOW but what the certificates and the missing application bring"
