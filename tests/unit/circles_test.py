#!/usr/bin/python3
"""Inside a room, includes have no circles, but for those of KNOWN, which docs/architecture.md explains.

An object is X.c, X.h and X_impl.h together. Prints each set of objects that include each other."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "src"

KNOWN = [
    {"observe/group_metrics", "observe/metrics", "observe/metrics_table"},
    {"tls/client", "tls/helpers", "tls/plan", "tls/policy", "tls/server", "tls/tls", "tls/trust"},
    {"upstream/endpoint", "upstream/group", "upstream/target", "upstream/upconn", "upstream/upstream"},
]


def object_of(name):
    return re.sub(r"(_impl)?\.[ch]$", "", name)


def includes():
    graph = collections.defaultdict(set)
    for path in ROOT.rglob("*.[ch]"):
        here = object_of(str(path.relative_to(ROOT)))
        for header in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            if (ROOT / header).exists() and object_of(header) != here:
                graph[here].add(object_of(header))
    return graph


def reachable(graph, start):
    seen, stack = set(), [start]
    while stack:
        for other in graph[stack.pop()]:
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen


def circles(graph):
    reach = {name: reachable(graph, name) for name in list(graph)}
    found = []
    for name in sorted(reach):
        circle = {other for other in reach[name] if name in reach.get(other, ())}
        if circle and circle not in found:
            found.append(circle)
    return found


def main():
    status = 0
    for circle in circles(includes()):
        if not any(circle <= known for known in KNOWN):
            print("circle of includes: " + " ".join(sorted(circle)))
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
