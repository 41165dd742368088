"""Making load: wrk, h2load and our own bench_load, pinned to the load core, answers counted and checked.

Each function gives a dict with at least `done` (answers that were 200, or handshakes) and `seconds`, and
raises Failed when anything else came back."""

import json
import pathlib
import re
import signal
import subprocess
import time

from bed import HERE, LOAD_CORE, host_name, tool
from measure import cpu_files

GRACE_SECONDS = 60  # how much longer than it should take a load may take


class Failed(Exception):
    """Not every answer was right: the sample is no measurement."""


def _pinned(argv):
    return ["taskset", "-c", str(LOAD_CORE), *(str(word) for word in argv)]


def _name(argv):
    return pathlib.Path(argv[0]).name


def _run(argv, seconds, interrupt_after=None):
    """Output of a load that ends well. `interrupt_after`: seconds until it is asked to end, by SIGINT."""
    with subprocess.Popen(_pinned(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        try:
            if interrupt_after:
                time.sleep(interrupt_after)
                load.send_signal(signal.SIGINT)
            out, errors = load.communicate(timeout=seconds + GRACE_SECONDS)
        except BaseException as why:
            load.kill()
            if isinstance(why, subprocess.TimeoutExpired):
                raise Failed("%s did not end" % _name(argv))
            raise
    if load.returncode:
        raise Failed("%s: %s" % (_name(argv), " ".join((errors or out).strip().splitlines()[-1:]) or load.returncode))
    return out


def _checked(result):
    if result["errors"] or not result["done"]:
        raise Failed("%d answers, %d errors" % (result["done"], result["errors"]))
    return result


def wrk(port, path, *, tls, seconds, connections=64, hosts=1000, body=0, pid=None):
    """`done` are all answers; `counted` those that came while CPU time of `pid` was watched: `cpu_seconds`."""
    warm = connections if body or path == "/large" else connections * 10
    out = _run([tool("wrk"), "-t1", "-c%d" % connections, "-d60s", "--timeout", "10s",
                "-s", HERE / "wrk.lua", "%s://127.0.0.1:%d/" % ("https" if tls else "http", port),
                "--", path, hosts, body, warm, *(cpu_files(pid) if pid else ())],
               seconds, interrupt_after=seconds)
    result = _checked(json.loads(re.search(r"^JSON (.*)$", out, re.M)[1]))
    cpu = re.search(r"^CPU (\d+)$", out, re.M)
    if not cpu:
        raise Failed("only %d answers in %.1f s" % (result["done"], seconds))
    # When request number `warm` left, each connection had one on its way.
    return {**result, "cpu_seconds": int(cpu[1]) / 1e9, "counted": result["done"] - (warm - connections)}


def h2load(port, path, *, requests, connections=16, streams=16, body_file=None, seconds=30):
    argv = [tool("h2load"), "-t1", "-n%d" % requests, "-c%d" % connections, "-m%d" % streams,
            "-H", ":authority: " + host_name(9), "-H", "user-agent: bench", "-H", "accept: */*",
            "-H", "cookie: WMF-Uniq=0123456789abcdef", "https://127.0.0.1:%d%s" % (port, path)]
    if body_file:
        argv[1:1] = ["-d", body_file]
    out = _run(argv, seconds)
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m)", out)
    right = int(re.search(r"status codes: (\d+) 2xx", out)[1])
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[took[2]]
    return _checked({"done": right, "errors": requests - right, "seconds": float(took[1]) * scale})


def _bench_load(bed, mode, port, flags):
    argv = [bed.tools / "bench_load", mode, "--port", port]
    for flag, value in flags.items():
        if value is True:
            argv.append("--" + flag)
        elif value:
            argv += ["--" + flag, value]
    return argv


def handshakes(bed, port, count, resume=False, rsa=False):
    """`rsa`: the client takes no other certificate."""
    out = _run(_bench_load(bed, "handshakes", port, dict(count=count, resume=resume, rsa=rsa)), 60)
    result = _checked(json.loads(out))
    if result["resumed"] != (count if resume else 0):
        raise Failed("%d of %d handshakes were resumed" % (result["resumed"], count))
    return result


def rate(bed, port, *, plain, rate, seconds, connections=64, hosts=1000):
    out = _run(_bench_load(bed, "rate", port, dict(plain=plain, rate=rate, seconds=seconds, hosts=hosts,
                                                  connections=connections)), seconds)
    return _checked(json.loads(out))


class Background:
    """bench_load beside something else: `with Background(...)`. It waits for its standard input or is ended
    with the block."""

    def __init__(self, bed, mode, port, **flags):
        self.argv = _pinned(_bench_load(bed, mode, port, flags))

    def __enter__(self):
        self.popen = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        return self

    def line(self):
        line = self.popen.stdout.readline()
        if not line:
            raise Failed("bench_load: " + self.popen.stderr.read().strip())
        return line.strip()

    def say(self, line=""):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.popen.terminate()
        self.popen.communicate()
