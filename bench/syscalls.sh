#!/bin/sh
# System calls per proxied request: bench/syscalls.sh --help. Run `./dev bench --quick` once before: it
# installs and builds what this needs.
exec /usr/bin/python3 "$(dirname "$0")/syscalls.py" "$@"
