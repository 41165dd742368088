#!/usr/bin/python3
"""System calls for each proxied request on warm connections, counted by strace.

    bench/syscalls.sh [SUBJECT] [--plain] [--connections N] [--requests N]

strace is attached after the warm-up and detached before the connections close, so that it sees requests and
nothing else. It slows everything down: turns of the loop hold fewer events than without it."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time

import loads
import peers
from bed import HERE, Bed, Unavailable
from measure import tree


def attach(subject, out):
    """strace on the subject's tree, once it really watches every thread."""
    processes = [word for pid in tree(subject.pid) for word in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-c", "-f", "-S", "calls", "-o", str(out), *processes],
                              stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    if strace.poll() is not None:
        raise Unavailable("strace: " + strace.stderr.read().strip())
    return strace


def count(subject, options, out):
    with loads.Background(subject.bed, "closed", subject.plain if options.plain else subject.tls, plain=options.plain,
                          connections=options.connections, warm=2000, requests=options.requests) as load:
        load.line()
        strace = attach(subject, out)
        load.say()
        print(load.line())
        strace.send_signal(signal.SIGINT)
        strace.wait(20)


def counts(text):
    """{system call: (calls, errors)} from strace's table."""
    lines = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(\d+)?\s+(\w+)$", text, re.M)
    return {name: (int(calls), int(errors or 0)) for calls, errors, name in lines if name != "total"}


def main():
    parser = argparse.ArgumentParser(prog="bench/syscalls.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", nargs="?", default="weir", choices=["weir", "weir-h2up", "nginx", "haproxy",
                                                                      "nghttpx", "h2o", "relay"])
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--tools", default=os.environ.get("WEIR_BENCH_TOOLS", HERE.parent / "build"))
    options = parser.parse_args()

    bed = Bed(options.tools)
    try:
        bed.set_up()
        subject = peers.BY_NAME[options.subject](bed).start()
        out = bed.dir / "strace.txt"
        count(subject, options, out)
        found = counts(out.read_text())
    except (Unavailable, loads.Failed) as why:
        sys.exit("syscalls: %s" % why)
    finally:
        bed.close()

    total = sum(calls for calls, _ in found.values())
    for name, (calls, errors) in sorted(found.items(), key=lambda one: -one[1][0]):
        print("%-16s %8d  %7.3f per request%s" % (name, calls, calls / options.requests,
                                                 "  (%d errors)" % errors if errors else ""))
    print("%-16s %8d  %7.3f per request" % (options.subject, total, total / options.requests))
    return 0


if __name__ == "__main__":
    sys.exit(main())
