#!/usr/bin/python3
"""Sends many requests, h1 and h2 mixed over TLS, through one weir and watches its memory.

    tests/proofs/soak.py --weir build-asan/weir --requests 10000000

Needs nginx (the backend), h2load and openssl. Prints a line per slice: requests so far, failures,
resident memory; ends with 1 if a request failed, a sanitizer spoke, or memory kept growing: the median
of the last third of the slices may be at most 5 % above that of the second third."""

import argparse
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from stage import BACKEND, ECDSA, certificate

WEIR = """
listeners:
  - name: soak
    bind: ["127.0.0.1:{port}"]
    tls: {{ certificates: [ {{ chain: {dir}/ecdsa.pem, key: {dir}/ecdsa.key }} ] }}
    router: soak
    limits: {{ max_requests: 100000 }}
access_log: {{ path: /dev/null }}
groups:
  legacy: {{ endpoints: ["unix:{dir}/origin.sock"] }}
  k8s: {{ endpoints: ["unix:{dir}/origin.sock"] }}
routers:
  soak:
    services: {{ web: {{ legacy: legacy, k8s: k8s }} }}
    rules: [ {{ service: web }} ]
    split: {{ default: 4% }}
    sticky: {{ key: [none] }}
workers: 1
"""


def resident_kib(pid):
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


def load(port, protocol, requests):
    """Sends `requests`; how many were not answered with 2xx."""
    multiplex = ["-m", "16"] if protocol == "h2" else ["--h1"]
    done = subprocess.run(
        ["h2load", "-n", str(requests), "-c", "32", *multiplex, "-H", "Cookie: WMF-Uniq=7",
         "https://127.0.0.1:%d/wiki/Main_Page" % port],
        capture_output=True, text=True, timeout=1800,
    )
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    return requests - good


def median_grew(sizes):
    third = len(sizes) // 3
    if third < 3:
        return False
    return statistics.median(sizes[-third:]) > 1.05 * statistics.median(sizes[third : 2 * third])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--weir", default="build/weir")
    arguments.add_argument("--requests", type=int, default=10_000_000)
    arguments.add_argument("--slice", type=int, default=250_000)
    arguments.add_argument("--port", type=int, default=28443)
    options = arguments.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        (directory / "nginx.conf").write_text(BACKEND.format(dir=directory, body="x" * 1024))
        (directory / "weir.yaml").write_text(WEIR.format(dir=directory, port=options.port))
        certificate(directory, "ecdsa", *ECDSA)
        log = open(directory / "weir.log", "w+")
        weir = subprocess.Popen([options.weir, "run", "-c", directory / "weir.yaml"], stdout=log, stderr=log)
        backend = subprocess.Popen(["nginx", "-c", directory / "nginx.conf"])
        try:
            time.sleep(2)
            failed, sizes = soak(options, weir)
        finally:
            weir.send_signal(signal.SIGTERM)
            weir.wait(60)
            backend.terminate()
            backend.wait(10)
        log.seek(0)
        text = log.read()
        bad = weir.returncode != 0 or "Sanitizer" in text or "runtime error" in text
        if bad:
            print(text[-5000:])
        print("requests %d, failed %d, exit %d, memory first %d KiB, last %d KiB, grew: %s"
              % (options.requests, failed, weir.returncode, sizes[0], sizes[-1], median_grew(sizes)))
        return 1 if failed or bad or median_grew(sizes) else 0


def soak(options, weir):
    sent, failed, sizes = 0, 0, []
    while sent < options.requests:
        protocol = "h2" if (sent // options.slice) % 2 else "h1"
        failed += load(options.port, protocol, options.slice)
        sent += options.slice
        sizes.append(resident_kib(weir.pid))
        print("%10d  %s  failed %d  resident %d KiB" % (sent, protocol, failed, sizes[-1]), flush=True)
    return failed, sizes


if __name__ == "__main__":
    sys.exit(main())
