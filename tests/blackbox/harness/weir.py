"""The binary under test: started on a configuration, watched, ended, its reports read."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import yaml

from . import ports
from .client import Client
from .h2client import H2Client

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_SECONDS = 20
STOP_SECONDS = 20
REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "LeakSanitizer", "ASSERT")


def binary():
    return os.environ.get("WEIR_BIN", str(ROOT / "build" / "weir"))


def is_sanitized():
    with open(binary(), "rb") as file:
        code = file.read()
    return b"__asan_init" in code or b"__tsan_init" in code


def run(*arguments, stdin=None, timeout=30, cwd=None):
    """One of the commands that end by themselves; the CompletedProcess, with text."""
    return subprocess.run(
        [binary(), *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=timeout,
        cwd=cwd,
    )


# --- the metrics page --------------------------------------------------------------------------------

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')


class Metrics:
    """A parsed page in Prometheus text format 0.0.4; parsing is strict."""

    def __init__(self, text):
        self.text = text
        self.samples = []  # (name, labels, value)
        self.types = {}
        self.help = {}
        seen = set()
        assert text.endswith("\n"), "the page must end with a newline"
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, words = line[7:].partition(" ")
                assert name not in self.help, "two HELP lines for %s" % name
                self.help[name] = words
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                assert name not in self.types, "two TYPE lines for %s" % name
                assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
                self.types[name] = kind
            elif line and not line.startswith("#"):
                name, labels, value = self._sample(line)
                key = (name, tuple(sorted(labels.items())))
                assert key not in seen, "twice: %s" % line
                seen.add(key)
                self.samples.append((name, labels, value))

    @staticmethod
    def _sample(line):
        match = SAMPLE.match(line)
        assert match, "not a sample: %r" % line
        labels, rest = {}, match[2] or ""
        while rest:
            label = LABEL.match(rest)
            assert label, "bad labels: %r" % line
            labels[label[1]] = label[2]
            rest = rest[label.end() :]
        return match[1], labels, float(match[3])

    def family(self, name):
        return [(labels, value) for n, labels, value in self.samples if n == name]

    def sum(self, name, **labels):
        """The sum over all samples of that name that have these labels; 0 when there is none."""
        return sum(v for have, v in self.family(name) if all(have.get(k) == w for k, w in labels.items()))

    def reason(self, word):
        """How many exchanges and connections ended with that reason."""
        return self.sum("weir_reasons_total", reason=word)


# --- the process -------------------------------------------------------------------------------------


class Weir:
    def __init__(self, directory, config, ready=True):
        self.directory = directory
        self.config_file = directory / "weir.yaml"
        self.stdout_file, self.stderr_file = directory / "stdout", directory / "stderr"
        self.access_file = directory / "access.log"
        self.write(config)
        self.listeners = {}
        self.admin_port = None
        self.ca = None  # an Authority, when some listener does TLS
        self.exit_code = None
        self.clients = []
        self._read_addresses(config)
        with open(self.stdout_file, "wb") as out, open(self.stderr_file, "wb") as err:
            self.process = subprocess.Popen(
                [binary(), "run", "-c", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=str(directory),
            )
        if ready:
            self.wait_until_ready()

    def write(self, config):
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        # Replaced in one step: a reload never sees half a file.
        temporary = self.config_file.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self.config_file)
        self.config = config

    def _read_addresses(self, config):
        tree = yaml.safe_load(config) if isinstance(config, str) else config
        for listener in tree.get("listeners", []):
            self.listeners[listener["name"]] = listener
        admin = tree.get("admin", {}).get("bind")
        if isinstance(admin, list):
            admin = [bind for bind in admin if isinstance(bind, str) and not bind.startswith("unix:")][0]
        if admin:
            self.admin_port = int(admin.rsplit(":", 1)[1])

    # life

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_running():
                raise AssertionError("weir ended with %d:\n%s" % (self.process.returncode, self.log))
            try:
                if self.admin("/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("weir is not ready after %d s:\n%s" % (START_SECONDS, self.log))

    def signal(self, number):
        self.process.send_signal(number)

    def terminate(self):
        """Asks for the graceful end, without waiting for it."""
        self.signal(signal.SIGTERM)

    def wait(self, timeout=STOP_SECONDS):
        self.exit_code = self.process.wait(timeout)
        return self.exit_code

    def stop(self):
        """Ends weir with SIGTERM and checks for exit code 0 and no report of a sanitizer."""
        for client in self.clients:
            client.close()
        if self.exit_code is None:
            if self.is_running():
                self.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("weir did not end within %d s of SIGTERM" % STOP_SECONDS)
        log = self.log
        for report in REPORTS:
            assert report not in log, "a sanitizer has something to say, or an assertion failed"
        assert self.exit_code == 0, "weir ended with %d" % self.exit_code

    def reload(self, config=None, good=True):
        """Writes a new configuration, sends SIGHUP, and waits for the result of the reload."""
        before = self.metrics()
        if config is not None:
            self.write(config)
        self.signal(signal.SIGHUP)
        name = "weir_reloads_total" if good else "weir_reload_failures_total"
        deadline = time.monotonic() + 10
        while self.metrics().sum(name) <= before.sum(name):
            assert time.monotonic() < deadline, "no news of the reload"
            time.sleep(0.02)

    # reports

    @property
    def log(self):
        return self.stderr_file.read_text(errors="replace")

    def wait_for_log(self, pattern, timeout=10):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.log):
            assert time.monotonic() < deadline, "no %r in the log" % pattern
            time.sleep(0.02)

    def admin(self, path, method="GET"):
        """(status, text, headers) of the admin port."""
        conn = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            conn.request(method, path)
            response = conn.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            conn.close()

    def metrics(self):
        status, text, _ = self.admin("/metrics")
        assert status == 200
        return Metrics(text)

    def wait_for_metric(self, condition, timeout=5, what="a metric"):
        """Counters are summed by another thread: waits until condition(metrics) holds."""
        deadline = time.monotonic() + timeout
        while True:
            metrics = self.metrics()
            if condition(metrics):
                return metrics
            assert time.monotonic() < deadline, "waited for %s:\n%s" % (what, metrics.text)
            time.sleep(0.02)

    def wait_for_reason(self, word, count=1):
        self.wait_for_metric(lambda m: m.reason(word) >= count, what="reason %s" % word)

    def access_log(self, count=None, timeout=5):
        """The entries so far; with `count`, waits for that many."""
        deadline = time.monotonic() + timeout
        while True:
            text = self.access_file.read_text() if self.access_file.exists() else ""
            lines = text.split("\n")[:-1]
            if count is None or len(lines) >= count:
                return [json.loads(line) for line in lines]
            assert time.monotonic() < deadline, "%d of %d lines:\n%s" % (len(lines), count, text)
            time.sleep(0.02)

    def resident_bytes(self):
        with open("/proc/%d/status" % self.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    # talking to it

    def address(self, listener="main"):
        bind = self.listeners[listener]["bind"][0]
        if isinstance(bind, dict):
            bind = bind["address"]
        if bind.startswith("unix:"):
            return bind[5:]
        host, _, port = bind.rpartition(":")
        return host.strip("[]"), int(port)

    def port(self, listener="main"):
        return self.address(listener)[1]

    def _tls(self, listener, tls):
        if not self.listeners[listener].get("tls"):
            return None
        return tls or self.ca.client_context(alpn=["http/1.1"])

    def connect(self, listener="main", tls=None, sni="wiki.example", **options):
        client = Client(
            self.address(listener), tls=self._tls(listener, tls), sni=sni, **options
        )
        self.clients.append(client)
        return client

    def connect_h2(self, listener="main", tls=None, sni="wiki.example", **options):
        if self.listeners[listener].get("tls"):
            tls = tls or self.ca.client_context(alpn=["h2"])
        client = H2Client(self.address(listener), tls=tls, sni=sni, **options)
        self.clients.append(client)
        return client

    def get(self, target="/", listener="main", **request):
        """One request on a connection of its own."""
        with self.connect(listener) as client:
            return client.request(target, **request)

    def exchange(self, data, listener="main"):
        """Sends raw bytes on a connection of its own and reads one response."""
        with self.connect(listener) as client:
            client.send(data)
            return client.read()
