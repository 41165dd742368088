#!/usr/bin/python3
"""What a reload costs clients: the longest answer while weir reloads with many certificates.

    tests/proofs/reload_latency.py build/weir [N ...]

Each line: certificates, seconds to the start, CPU time that one reload takes from the worker, the longest answer
without a reload and with four of them, on a connection that is used all the time, the longest full handshake during
reloads, and how long a reload takes. Everything is on loopback, with one worker. The longest answers include what the
machine does besides; the CPU time does not.
"""

import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "blackbox"))

from harness import certs, ports  # noqa: E402

RELOADS = 4
REQUEST = b"GET / HTTP/1.1\r\nHost: n0.example\r\n\r\n"


def write_config(directory, ca, count):
    leaves = [ca.leaf("n%d.example" % i, "*.n%d.example" % i, kind="rsa" if i % 2 else "ecdsa") for i in range(count)]
    port, admin = ports.free_port(), ports.free_port()
    lines = ["workers: 1", "admin: { bind: '127.0.0.1:%d' }" % admin, "access_log: { enabled: false }", "listeners:"]
    lines += ["  - name: main", "    bind: '127.0.0.1:%d'" % port, "    router: r", "    limits: { max_requests: 1000000000 }",
              "    tls:", "      certificates:"]
    lines += ["        - { chain: %s, key: %s }" % (leaf.chain, leaf.key) for leaf in leaves]
    lines += ["groups: { g: { endpoints: ['127.0.0.1:1'] } }", "routers:", "  r:", "    services: { s: g }"]
    lines += ["    rules: [ { path: /, answer: { status: 200, body: hello } } ]", ""]
    (directory / "weir.yaml").write_text("\n".join(lines))
    return port


class Watch(threading.Thread):
    """Calls `step` until stopped; remembers the longest call since the last look."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.longest, self.running = step, 0, True
        self.start()

    def run(self):
        while self.running:
            began = time.monotonic()
            self.step()
            self.longest = max(self.longest, time.monotonic() - began)

    def look(self):
        longest, self.longest = self.longest, 0
        return longest

    def stop(self):
        self.running = False
        self.join()


def connect(port, context, name):
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname=name)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock):
    sock.sendall(REQUEST)
    data = b""
    while not data.endswith(b"hello"):
        more = sock.recv(4096)
        assert more, data
        data += more


def handshake(port, context, count, state=[0]):
    state[0] += 1
    connect(port, context, "n%d.example" % (state[0] % count)).close()
    time.sleep(0.002)


def wait_for(process, log, word, count):
    deadline = time.monotonic() + 60
    while len(re.findall(word, log.read_text())) < count:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)


def worker_cpu_seconds(pid):
    for task in pathlib.Path("/proc/%d/task" % pid).iterdir():
        if (task / "comm").read_text() == "worker-0\n":
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    raise AssertionError("no worker")


def worker_share(process, log):
    """CPU time of the worker for one reload, while no client is there."""
    before = worker_cpu_seconds(process.pid)
    for i in range(RELOADS):
        process.send_signal(signal.SIGHUP)
        wait_for(process, log, "reload_done", i + 1)
    return (worker_cpu_seconds(process.pid) - before) / RELOADS


def measure(binary, count):
    with tempfile.TemporaryDirectory() as path:
        directory = pathlib.Path(path)
        ca = certs.Authority(directory)
        port = write_config(directory, ca, count)
        log = directory / "log"
        began = time.monotonic()
        with open(log, "wb") as out:
            process = subprocess.Popen([binary, "run", "-c", str(directory / "weir.yaml")], stderr=out, stdout=out)
        try:
            wait_for(process, log, " running ", 1)
            start = time.monotonic() - began
            time.sleep(0.5)
            share = worker_share(process, log)
            context = ca.client_context()
            sock = connect(port, context, "n0.example")
            watch = Watch(lambda: ask(sock))
            time.sleep(1.5)
            quiet = watch.look()
            durations = []
            for i in range(RELOADS):
                began = time.monotonic()
                process.send_signal(signal.SIGHUP)
                wait_for(process, log, "reload_done", RELOADS + i + 1)
                durations.append(time.monotonic() - began)
                time.sleep(0.2)
            busy = watch.look()
            watch.stop()
            shaker = Watch(lambda: handshake(port, context, count))
            for i in range(RELOADS):
                process.send_signal(signal.SIGHUP)
                wait_for(process, log, "reload_done", 2 * RELOADS + i + 1)
            shaken = shaker.look()
            shaker.stop()
            overload = " overload " if re.search(" overload ", log.read_text()) else ""
        finally:
            process.kill()
            process.wait()
        print("%5d  start %5.2f s  worker %6.1f ms  quiet %6.1f ms  reload %7.1f ms  handshake %7.1f ms  takes %6.0f ms%s"
              % (count, start, share * 1e3, quiet * 1e3, busy * 1e3, shaken * 1e3, max(durations) * 1e3, overload), flush=True)


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "weir")
    os.sched_setaffinity(0, {0, 1})
    for count in [int(n) for n in sys.argv[2:]] or [10, 50, 150, 400]:
        measure(binary, count)


if __name__ == "__main__":
    main()
