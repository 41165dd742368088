#!/usr/bin/python3
"""What each defence costs on the hot path: user-space instructions for each request, by callgrind.

    tests/proofs/costs.py --weir build/weir [--row "as weir comes"]

Needs valgrind, h2load, nginx and openssl. One binary, and one configuration with all defences off that can be
turned off; then with each of them on, with all, and as weir comes. Each is run twice, with few requests and
with many; the difference is what the requests cost, whatever the start did. Prints rows of Markdown. Takes some
minutes; instructions do not mind a busy machine."""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from stage import BACKEND, ECDSA, certificate

FEW, MANY = 1000, 5000

WEIR = """
listeners:
  - name: edge
    bind: ["127.0.0.1:{port}"]
    {tls}
    router: r
    {listener}
access_log: {{ path: /dev/null }}
admin: {{ bind: "127.0.0.1:{admin}" }}
groups:
  legacy: {{ endpoints: ["unix:{dir}/origin.sock"] }}
  k8s: {{ endpoints: ["unix:{dir}/origin.sock"] }}
routers:
  r:
    services: {{ web: {{ legacy: legacy, k8s: k8s }} }}
    rules: [ {{ service: web }} ]
    split: {{ default: 4% }}
    sticky: {{ key: ["cookie:WMF-Uniq"] }}
workers: 1
handshake_threads: 0
{top}
"""

OFF = {
    "odd_names": "odd_names: keep",
    "limits": "limits: { min_body_rate: 0, max_requests: 1000000, max_header_bytes: 1MiB, max_header_count: 1000, "
    "max_uri_bytes: 1MiB, max_line_bytes: 1MiB }",
    "per_client": "per_client: { max_connections: 0, new_per_second: 0, exempt: [] }",
    "overload": "overload: { keepalive_at: 100%, refuse_at: 100%, keepalive_lag: 1h, refuse_lag: 1h }",
}
ON = {
    "odd_names": "",
    "limits": "limits: { max_requests: 1000000 }",
    "per_client": "per_client: { exempt: [] }",
    "overload": "overload: { keepalive_lag: 1h, refuse_lag: 1h }",  # valgrind is late all the time
    "rate": 'rate_limit: { rate: 1000000/s, burst: 1000000 }',
    "rate by cookie": 'rate_limit: { rate: 1000000/s, burst: 1000000, key: "cookie:WMF-Uniq" }',
}
ROWS = {
    "all that can be turned off is off": [],
    "odd field names dropped": ["odd_names"],
    "limits of heads, minimum rate of bodies": ["limits"],
    "connections of a client, and how often": ["per_client"],
    "overload manager": ["overload"],
    "one rate limit by address": ["rate"],
    "one rate limit by cookie": ["rate by cookie"],
    "as weir comes": ["odd_names", "limits", "per_client", "overload"],
    "as weir comes, and two rate limits": ["odd_names", "limits", "per_client", "overload", "rates"],
}


def configuration(directory, port, on, tls):
    rates = [ON[name] for name in ("rate", "rate by cookie") if name in on]
    if "rates" in on:
        rates = ["rate_limit: [{ rate: 1000000/s, burst: 1000000 }, "
                 '{ rate: 1000000/s, burst: 1000000, key: "cookie:WMF-Uniq" }]']
    chosen = {name: ON[name] if name in on else OFF[name] for name in OFF}
    top = chosen.pop("overload")
    lines = [line for line in list(chosen.values()) + rates if line]
    certificate = "tls: {{ certificates: [ {{ chain: {0}/ecdsa.pem, key: {0}/ecdsa.key }} ] }}".format(directory)
    return WEIR.format(dir=directory, port=port, admin=port + 100, listener="\n    ".join(lines), top=top,
                       tls=certificate if tls else "")


def load(port, requests, protocol, tls):
    how = ["--h1", "-c", "4"] if protocol == "h1" else ["-c", "4", "-m", "8"]
    done = subprocess.run(
        ["h2load", "-n", str(requests), *how, "-H", "Cookie: WMF-Uniq=7; session=abcdefgh", "-H",
         "Accept-Language: en", "-H", "X-Requested-With: costs",
         "http%s://127.0.0.1:%d/wiki/Main_Page?x=1" % ("s" if tls else "", port)],
        capture_output=True, text=True, timeout=600,
    )
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    assert good == requests, done.stdout


def instructions(options, directory, on, requests, protocol, tls):
    """Of a whole run with so many requests."""
    (directory / "weir.yaml").write_text(configuration(directory, options.port, on, tls))
    out = directory / "callgrind.out"
    log = directory / "valgrind.log"
    weir = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=%s" % out, options.weir, "run", "-c",
         directory / "weir.yaml"], stdout=subprocess.DEVNULL, stderr=open(log, "w"),
    )
    try:
        for _ in range(300):
            if " running " in log.read_text():
                break
            time.sleep(0.1)
        load(options.port, requests, protocol, tls)
    finally:
        weir.send_signal(signal.SIGTERM)
        weir.wait(60)
    assert weir.returncode == 0, log.read_text()
    return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M).group(1))


def cost(options, directory, on, protocol, tls):
    few, many = (instructions(options, directory, on, n, protocol, tls) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--weir", default="build/weir")
    arguments.add_argument("--port", type=int, default=28943)
    arguments.add_argument("--plain", action="store_true", help="without TLS, whose instructions hide the rest")
    arguments.add_argument("--row", action="append", choices=ROWS, help="only this row; may be repeated")
    options = arguments.parse_args()
    tls = not options.plain

    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        (directory / "nginx.conf").write_text(BACKEND.format(dir=directory, body="x" * 1024))
        certificate(directory, "ecdsa", *ECDSA)
        backend = subprocess.Popen(["nginx", "-c", directory / "nginx.conf"])
        try:
            time.sleep(0.5)
            print("| instructions for each request | h1 | | h2 | |\n| --- | --- | --- | --- | --- |")
            none = {}
            for name, on in ROWS.items():
                if options.row and name not in options.row:
                    continue
                cells = []
                for protocol in ("h1", "h2"):
                    one = cost(options, directory, on, protocol, tls)
                    none.setdefault(protocol, one)
                    cells += ["%.0f" % one, "%+.1f %%" % (100 * (one / none[protocol] - 1)) if on else ""]
                print("| %s | %s |" % (name, " | ".join(cells)), flush=True)
        finally:
            backend.terminate()
            backend.wait(10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
