"""The test bed: a directory, certificates, free ports, the backends, and every process the bench starts.

What is started here is ended here: at the end, on a signal, and, should the bench be killed, by the
kernel (parent-death signal)."""

import ctypes
import getpass
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
START_SECONDS = 20
STOP_SECONDS = 4
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)
_cores = sorted(os.sched_getaffinity(0))
PROXY_CORE = _cores[0]
LOAD_CORE = _cores[-1]


class Unavailable(Exception):
    """A subject cannot take part; the text says why."""


def host_name(number):
    return "w%05d.wiki.test" % number


def _in_child(cores):
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.sched_setaffinity(0, cores)
    return prepare


class Process:
    """A server that the bench started, pinned to `cores`."""

    def __init__(self, argv, cores, log):
        self.log = pathlib.Path(log)
        with open(self.log, "w") as out:
            self.popen = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out, preexec_fn=_in_child(cores), start_new_session=True)
        self.pid = self.popen.pid

    def wait_for(self, ports):
        deadline = time.monotonic() + START_SECONDS
        for port in ports:
            while not _answers(port):
                if self.popen.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Unavailable("did not start: " + self.last_words())
                time.sleep(0.02)

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "(it said nothing)"

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                # Its own session, so that no other processes are in that group.
                os.killpg(self.pid, signal.SIGKILL)
                self.popen.wait()


def _answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Bed:
    def __init__(self, tools):
        self.tools = pathlib.Path(tools)  # where weir and the bench_* programs are
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-", dir=_memory_directory()))
        self.dir.chmod(0o755)  # nginx, started by root, serves as somebody else
        self.processes = []
        self.used_ports = set()
        self.files = _raise_descriptors()
        self.values = {"DIR": self.dir, "FILES": self.files, "CONNECTIONS": self.files - 200,
                       "USER": getpass.getuser()}

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- pieces ---

    def port(self):
        """A free port, which is not given out again."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in self.used_ports:
                self.used_ports.add(port)
                return port

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def fill(self, template, name, values):
        """peers/`template` with every @NAME@ replaced, as a file in the directory."""
        text = (PEERS / template).read_text()
        for key, value in {**self.values, **values}.items():
            text = text.replace("@%s@" % key, str(value))
        return self.write(name, text)

    def start(self, argv, cores, name, ports):
        process = Process(argv, cores, self.dir / (name + ".out"))
        self.processes.append(process)
        process.wait_for(ports)
        return process

    def stop(self, process):
        process.stop()
        self.processes.remove(process)

    # --- what all subjects share ---

    def set_up(self):
        self._make_certificates()
        (self.dir / "large").write_bytes(b"x" * (1 << 20))
        for name in ("LEGACY", "K8S", "DEBUG"):
            self.values[name] = self.port()
            self.values[name + "_H2"] = self.port()
        self.fill("backend-pages.conf", "backend-pages.conf", {"KIBIBYTE": "x" * 1023 + "\\n"})
        conf = self.fill("backend.conf", "backend.conf", {})
        self.start([_tool("nginx"), "-p", self.dir, "-e", self.dir / "backend.log", "-c", conf],
                   {LOAD_CORE}, "backend", [self.values["LEGACY"]])

    def _make_certificates(self):
        kinds = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
        for kind, key_type in kinds.items():
            pem, key = self.dir / (kind + ".pem"), self.dir / (kind + ".key")
            subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", *key_type,
                            "-subj", "/CN=wiki.test", "-addext", "subjectAltName=DNS:*.wiki.test,IP:127.0.0.1",
                            "-keyout", key, "-out", pem], check=True, capture_output=True)
            self.write(kind + "-both.pem", pem.read_text() + key.read_text())


def _tool(name):
    """Path of an installed program; Debian keeps servers in /usr/sbin."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Unavailable("not installed")
    return path


tool = _tool


def _memory_directory():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _raise_descriptors():
    """As many descriptors as there may be, up to what 10,000 proxied connections need twice over."""
    wanted = 65536
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            continue
    return soft
