#!/usr/bin/env python3
"""How long weir takes to load many hosts: until it listens, and for `weir check`.

    bench/loading.py [--hosts 100000] [--rounds 5] WEIR...

The hosts are in each of the places where a configuration can have many of them. Prints the fastest round."""

import argparse
import pathlib
import socket
import subprocess
import tempfile
import time

HEAD = """
listeners: [{ name: plain, bind: "127.0.0.1:%d", router: r }]
admin: off
access_log: off
workers: 1
groups: { a: { endpoints: ["127.0.0.1:1"] }, b: { endpoints: ["127.0.0.1:2"] } }
%s
routers:
  r:
    services: { web: { legacy: a, k8s: b } }
    rules: [%s{ service: web }]
    split:
      default: 4%%
      wikis: [%s]
"""


def in_groups(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def forms(directory, hosts):
    """(what, the table of wikis, rules, entries of the split)"""
    wikis = ["w%dwiki" % i for i in range(len(hosts))]
    (directory / "hosts.txt").write_text("\n".join(hosts) + "\n")
    (directory / "names.txt").write_text("\n".join(wikis) + "\n")
    (directory / "wikis.txt").write_text("".join("%s %s -\n" % pair for pair in zip(wikis, hosts)))
    few = in_groups(hosts, max(len(hosts) // 4000, 1))
    yield "a list file", "", "", "{ list: hosts.txt, k8s: 4% }"
    yield "a table of wikis and a list", "wikis: wikis.txt", "", "{ list: names.txt, k8s: 50% }"
    yield "one entry of the split", "", "", "{ hosts: [%s], k8s: 4%% }" % ", ".join(hosts)
    yield "4,000 entries of the split", "", "", ", ".join(
        "{ hosts: [%s], k8s: %d%% }" % (", ".join(some), i % 100) for i, some in enumerate(few)
    )
    yield "one rule", "", "{ group: a, host: [%s] }, " % ", ".join(hosts), ""
    yield "4,000 rules", "", "".join("{ group: a, host: [%s] }, " % ", ".join(some) for some in few[:4000]), ""
    yield "one rule, as *.host", "", "{ group: a, host: [%s] }, " % ", ".join("'*.%s'" % h for h in hosts), ""


def seconds_until_it_listens(weir, file, port):
    began = time.monotonic()
    process = subprocess.Popen([weir, "run", "-c", file], stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - began < 60:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return time.monotonic() - began
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("%s run -c %s has ended" % (weir, file))
                time.sleep(0.001)
        return float("inf")
    finally:
        process.kill()
        process.wait()


def seconds_of_check(weir, file):
    began = time.monotonic()
    subprocess.run([weir, "check", "-q", "-c", file], stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("weir", nargs="+")
    options = parser.parse_args()
    with socket.socket() as free, tempfile.TemporaryDirectory() as name:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        directory = pathlib.Path(name)
        hosts = ["w%d.wiki.example.org" % i for i in range(options.hosts)]
        for what, wikis, rules, entries in forms(directory, hosts):
            file = directory / "weir.yaml"
            file.write_text(HEAD % (port, wikis, rules, entries))
            for weir in options.weir:
                run = min(seconds_until_it_listens(weir, str(file), port) for _ in range(options.rounds))
                check = min(seconds_of_check(weir, str(file)) for _ in range(options.rounds))
                print("%-30s %-30s listens %6.3f s   check %6.3f s" % (what, weir, run, check), flush=True)


if __name__ == "__main__":
    main()
