#!/usr/bin/python3
"""Floods one weir in every way of docs/security.md, with a well-behaved client beside it.

    tests/proofs/floods.py --weir build/weir [--seconds 6] [--only "rapid reset"]

Needs nginx (the backend) and openssl. Everything runs on loopback, in about two minutes, and ends by itself.
For each flood one row of Markdown: what the client saw that sends a steady 200 requests a second over four
TLS connections, what clients saw that came anew meanwhile (a handshake and a request, four a second), what
weir paid, and by which reasons it defended itself. The floods are made on the same cores, so two rows say
what is weir's and what the machine's: "calm", and one in which the same processes send as much as they
can over loopback to somebody else. So do the shares of time in which weir's workers and the steady client
were ready to run and no core was free. Ends with 1 if a well-behaved client saw an error."""

import argparse
import errno
import functools
import http.client
import multiprocessing
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from harness import frames as f  # noqa: E402
from stage import ECDSA, certificate  # noqa: E402

FLOODERS = 2  # processes
RATE, CONNECTIONS = 200, 4  # requests a second of the well-behaved client, and what they share
LARGE_MIB = 16

BACKEND = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.err; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; root {dir};
       server {{ listen unix:{dir}/origin.sock backlog=4096; location = /large {{ }}
                 location / {{ return 200 "{body}"; }} }} }}
"""

# As conf/edge.yaml, on one address, with deadlines that end within a flood. Loopback is exempt from the
# limits of a client's address, so those help nobody here.
WEIR = """
listeners:
  - name: edge
    bind: ["127.0.0.1:{port}"]
    tls:
      certificates:
        - {{ chain: {dir}/ecdsa.pem, key: {dir}/ecdsa.key }}
        - {{ chain: {dir}/rsa.pem, key: {dir}/rsa.key }}
      alpn: [h2, http/1.1]
    router: mediawiki
    limits: {{ max_requests: 1000000 }}
    timeouts: {{ header: 4s, write: 4s, handshake: 4s }}
admin: {{ bind: "127.0.0.1:{admin}" }}
access_log: {{ path: /dev/null }}
groups:
  appservers: {{ endpoints: ["unix:{dir}/origin.sock"], max_connections: 2000, max_pending: 2000 }}
  mw-web: {{ endpoints: ["unix:{dir}/origin.sock"], max_connections: 2000, max_pending: 2000 }}
routers:
  mediawiki:
    services: {{ web: {{ legacy: appservers, k8s: mw-web }} }}
    rules: [ {{ service: web }} ]
    split: {{ default: 4% }}
    sticky: {{ key: ["cookie:WMF-Uniq", client-ip], salt: floods }}
workers: 2
"""

HEAD = b"\x82\x87\x84" + f.literal(b":authority", b"a")  # GET https /
LARGE = b"\x82\x87" + f.literal(b":path", b"/large", index=0x00) + f.literal(b":authority", b"a")
REQUEST = b"GET %s HTTP/1.1\r\nHost: en.wikipedia.example\r\nCookie: WMF-Uniq=7\r\n\r\n"


# --- the well-behaved ones ---------------------------------------------------------------------------


@functools.lru_cache()
def context(alpn):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([alpn])
    return made


def hurry():
    """Floods come from elsewhere in the real world: weir, its backend and those who measure go before them on
    this machine's cores, if we may say so."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -5)
    except PermissionError:
        pass


def connect(port, alpn="http/1.1", receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context(alpn).wrap_socket(sock)


def ask(sock):
    """One request and its whole answer."""
    sock.sendall(REQUEST % b"/wiki/Main_Page")
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise OSError("answer: %r" % head[:40])
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += receive(sock)


def receive(sock):
    data = sock.recv(65536)
    if not data:
        raise OSError("closed")
    return data


class Client:
    """Sends RATE requests a second, each at its time, or visits, until told to stop. Latency counts from when
    a request was due."""

    def __init__(self, port, visits):
        self.port, self.errors, self.times, self.stopping = port, [], [], False
        jobs = [(self.visit, ())] if visits else [(self.stay, (n,)) for n in range(CONNECTIONS)]
        self.threads = [threading.Thread(target=job, args=arguments) for job, arguments in jobs]
        for thread in self.threads:
            thread.start()

    def stay(self, number):
        sock, due = None, time.monotonic() + number / RATE
        while not self.stopping:
            try:
                sock = sock or connect(self.port)
                ask(sock)
                self.times.append(time.monotonic() - due)
            except (OSError, TypeError) as error:
                self.errors.append(str(error))
                sock = None
            due += CONNECTIONS / RATE
            time.sleep(max(0, due - time.monotonic()))

    def visit(self):
        while not self.stopping:
            began = time.monotonic()
            try:
                with connect(self.port) as sock:
                    ask(sock)
                self.times.append(time.monotonic() - began)
            except (OSError, TypeError) as error:
                self.errors.append(str(error))
            time.sleep(max(0, began + 0.25 - time.monotonic()))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        return sorted(self.times), self.errors


def well_behaved(port, visits, pipe):
    """A process of its own: measures from one word on the pipe to the next."""
    hurry()
    while pipe.recv() == "begin":
        client = Client(port, visits)
        pipe.recv()
        pipe.send(client.stop())


# --- the others --------------------------------------------------------------------------------------


class Flood:
    """What one process does until the deadline; `count` is what it has offered, in units of `unit`."""

    unit = "frames"

    def __init__(self, port, seconds, seed):
        self.port, self.until, self.seed = port, time.monotonic() + seconds, seed
        self.count = 0

    def over(self):
        return time.monotonic() >= self.until

    def run(self):
        while not self.over():
            try:
                self.once()
            except OSError:
                pass

    def once(self):
        """An h2 connection that says all it has to say and waits for the end, reading nothing before."""
        with connect(self.port, "h2") as sock:
            sock.settimeout(2)
            sock.sendall(f.PREFACE + f.frame(f.SETTINGS, 0, 0) + self.opening())
            part = self.part()
            for _ in range(200):
                if self.over():
                    return
                sock.sendall(part)
                self.count += self.frames
            while sock.recv(65536):
                pass

    def opening(self):
        return b""


def streams(each, first=1, count=1000):
    return b"".join(each(n) for n in range(first, first + 2 * count, 2))


class RapidReset(Flood):
    unit = "streams"

    def once(self):
        with connect(self.port, "h2") as sock:
            sock.settimeout(2)
            sock.sendall(f.PREFACE + f.frame(f.SETTINGS, 0, 0))
            for at in range(20):
                if self.over():
                    return
                sock.sendall(streams(self.stream, 1 + 2000 * at, 1000))
                self.count += 1000
            while sock.recv(65536):
                pass

    @staticmethod
    def stream(n):
        return f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, n, HEAD) + f.frame(f.RST, 0, n, b"\0\0\0\x08")


class MadeYouReset(RapidReset):
    @staticmethod
    def stream(n):
        return f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, n, HEAD) + f.frame(f.WINDOW, 0, n, b"\0\0\0\0")


class Continuation(Flood):
    frames = 1000

    def opening(self):
        return f.frame(f.HEADERS, f.END_STREAM, 1, HEAD)

    def part(self):
        return f.frame(f.CONTINUATION, 0, 1, f.literal(b"x", b"y" * 100)) * 1000


class PingSettings(Flood):
    frames = 2000

    def part(self):
        return (f.frame(f.PING, 0, 0, b"12345678") + f.frame(f.SETTINGS, 0, 0)) * 1000


class Bombs(Flood):
    """A field of 4000 bytes goes into the table, then each byte asks for it again: 16 MB from 8 KB."""

    unit = "header blocks"

    def once(self):
        name = (b"cookie", b"x")[self.seed % 2]
        block = HEAD + f.literal(name, b"y" * 4000, index=0x40) + b"\xbe" * 4000
        with connect(self.port, "h2") as sock:
            sock.settimeout(2)
            sock.sendall(f.PREFACE + f.frame(f.SETTINGS, 0, 0))
            for n in range(1, 100, 2):
                sock.sendall(f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, n, block))
                self.count += 1
            sock.settimeout(0.02)  # refused streams do not end the connection: nothing more to wait for
            while sock.recv(65536):
                pass


class ZeroWindow(Flood):
    unit = "large responses"

    def once(self):
        if self.seed != 0:
            time.sleep(0.1)
            return
        with connect(self.port, "h2") as sock:
            sock.settimeout(30)
            sock.sendall(f.PREFACE + f.frame(f.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
            sock.sendall(streams(lambda n: f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, n, LARGE), 1, 100))
            self.count += 100
            while sock.recv(65536) and not self.over():
                pass


class Crowd(Flood):
    """Many connections that stay, `each` of which does a little once a second."""

    unit = "connections"
    many = 1000 // FLOODERS

    def run(self):
        socks = {}
        opened = 0
        while not self.over():
            began = time.monotonic()
            for _ in range(100):
                if opened < self.many and not self.over():
                    sock = self.open()
                    socks[sock] = None
                    opened += 1
            self.count = opened
            for sock in list(socks):
                try:
                    self.each(sock)
                except (BlockingIOError, InterruptedError):
                    pass
                except OSError:
                    del socks[sock]
                    sock.close()
            time.sleep(max(0.0, began + (1 if opened == self.many else 0) - time.monotonic()))


class Slowloris(Crowd):
    def open(self):
        sock = connect(self.port)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        return sock

    def each(self, sock):
        sock.sendall(b"y")


class SlowReaders(Crowd):
    def open(self):
        tls = connect(self.port, receive_buffer=4096)
        tls.sendall(REQUEST % b"/large")
        sock = socket.socket(fileno=tls.detach())  # what comes is not decrypted, only taken
        sock.setblocking(False)
        return sock

    def each(self, sock):
        if not sock.recv(1):
            raise OSError("closed")


class Handshakes(Flood):
    """ClientHellos that make weir sign with its RSA key: `rate` a second, whatever comes back. With rate 0
    sixteen at a time, which measures what weir can do."""

    unit = "handshakes"
    rate = 0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.hellos = [self.hello() for _ in range(16)]
        self.poll, self.open_socks = select.epoll(), {}
        self.answered = 0

    @staticmethod
    def hello():
        made, out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.MemoryBIO()
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        tls = made.wrap_bio(ssl.MemoryBIO(), out)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return out.read()

    def begin(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.bind(("127.0.0.%d" % (2 + self.seed * 50 + self.count % 50), 0))
        if sock.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            sock.close()
            return
        self.count += 1
        self.open_socks[sock.fileno()] = sock
        self.poll.register(sock.fileno(), select.EPOLLOUT)

    def on_event(self, fd, event):
        sock = self.open_socks[fd]
        if event == select.EPOLLOUT:
            sock.send(self.hellos[self.count % len(self.hellos)])
            self.poll.modify(fd, select.EPOLLIN)
            return
        try:
            self.answered += len(sock.recv(4096)) > 100
        except OSError:
            pass
        self.end(fd)

    def end(self, fd):
        self.poll.unregister(fd)
        self.open_socks.pop(fd).close()

    def run(self):
        began = time.monotonic()
        while not self.over():
            due = int((time.monotonic() - began) * self.rate) if self.rate else self.count + 16 - len(self.open_socks)
            for _ in range(min(due - self.count, 200)):
                self.begin()
            for fd, event in self.poll.poll(0.001):
                try:
                    self.on_event(fd, event)
                except OSError:
                    self.end(fd)
            while len(self.open_socks) > 4000:
                self.end(next(iter(self.open_socks)))


class Elsewhere(Flood):
    """Bytes over loopback to a process that throws them away: what floods cost the machine when weir has nothing
    to do with them."""

    unit = "MiB"

    def run(self):
        listener = socket.create_server(("127.0.0.1", 0))
        if os.fork() == 0:
            sock, _ = listener.accept()
            while sock.recv(65536):
                pass
            os._exit(0)
        sock = socket.create_connection(listener.getsockname())
        data = bytes(17000)
        while not self.over():
            for _ in range(62):
                sock.sendall(data)
            self.count += 1


FLOODS = {
    "the same bytes elsewhere": Elsewhere,
    "rapid reset": RapidReset,
    "MadeYouReset": MadeYouReset,
    "CONTINUATION": Continuation,
    "PING and SETTINGS": PingSettings,
    "HPACK bomb, cookie crumbs": Bombs,
    "window 0, 100 large responses": ZeroWindow,
    "1,000 slowloris": Slowloris,
    "1,000 slow readers": SlowReaders,
    "5 × handshakes": Handshakes,
}


def flood_process(kind, port, seconds, seed, rate, pipe):
    flood = kind(port, seconds, seed)
    flood.rate = rate
    flood.run()
    pipe.send((flood.count, getattr(flood, "answered", 0)))
    os._exit(0)  # and with it all its connections


def run_flood(kind, port, seconds, rate=0, processes=FLOODERS):
    """(offered, answered) by all processes."""
    running = []
    for seed in range(processes):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=flood_process, args=(kind, port, seconds, seed, rate, theirs))
        process.start()
        running.append((process, ours))
    counts = []
    for process, pipe in running:
        if pipe.poll(seconds + 30):
            counts.append(pipe.recv())
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
    return sum(count for count, _ in counts), sum(answered for _, answered in counts)


# --- weir's figures ----------------------------------------------------------------------------------


def resident_mib(pid):
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def times_of(pid):
    """Seconds on a core, and seconds of waiting for one, of all threads but the helpers, who give way."""
    ran, waited = 0, 0
    for task in pathlib.Path("/proc/%d/task" % pid).iterdir():
        words = (task / "schedstat").read_text().split()
        ran += int(words[0])
        if (task / "comm").read_text().strip() != "handshakes":
            waited += int(words[1])
    return ran / 1e9, waited / 1e9


def reasons(admin):
    conn = http.client.HTTPConnection("127.0.0.1", admin, timeout=10)
    conn.request("GET", "/metrics")
    text = conn.getresponse().read().decode()
    conn.close()
    found = re.findall(r'^weir_reasons_total\{reason="(\w+)"\} (\d+)$', text, re.M)
    return {word: int(count) for word, count in found}


class Peak(threading.Thread):
    """The most memory that was seen."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.mib, self.stopping = pid, 0, False
        self.start()

    def run(self):
        while not self.stopping:
            self.mib = max(self.mib, resident_mib(self.pid))
            time.sleep(0.05)

    def stop(self):
        self.stopping = True
        self.join()
        return self.mib


# --- rows --------------------------------------------------------------------------------------------

HEADINGS = ("flood", "offered", "errors", "p50 ms", "p99 ms", "newcomers: errors", "p50 ms", "worst ms",
            "CPU of weir, cores", "waits for a core: weir", "client", "RSS before", "during", "after, MiB", "what weir counted")
EXPECTED = ("idle_timeout", "client_closed", "client_reset")


def share(times, part):
    return "%.1f" % (1000 * times[min(len(times) - 1, int(len(times) * part))]) if times else "-"


class Rig:
    def __init__(self, options, weir, admin):
        self.options, self.weir, self.admin = options, weir, admin
        self.pipes, self.errors = [], 0
        for visits in (True, False):
            ours, theirs = multiprocessing.Pipe()
            client = multiprocessing.Process(target=well_behaved, args=(options.port, visits, theirs), daemon=True)
            client.start()
            self.client = client.pid  # the steady one's in the end
            self.pipes.append(ours)

    def tell(self, word):
        for pipe in self.pipes:
            pipe.send(word)

    def row(self, name, flood, unit):
        """Runs `flood()` with the well-behaved beside it."""
        pid = self.weir.pid
        before, counted, began = resident_mib(pid), reasons(self.admin), time.monotonic()
        spent, waited, client = *times_of(pid), times_of(self.client)[1]
        peak = Peak(pid)
        self.tell("begin")
        offered, answered = flood()
        self.tell("end")
        (visits, failed), (times, errors) = [pipe.recv() for pipe in self.pipes]
        took = time.monotonic() - began
        spent, waited = (now - then for now, then in zip(times_of(pid), (spent, waited)))
        client = times_of(self.client)[1] - client
        most = peak.stop()
        time.sleep(2)
        now = reasons(self.admin)
        why = {word: now[word] - counted.get(word, 0) for word in now if now[word] > counted.get(word, 0)}
        self.errors += len(errors) + len(failed)
        told = ", ".join("%s %d" % (w, n) for w, n in sorted(why.items(), key=lambda x: -x[1]) if w not in EXPECTED)
        offer = "%s %s" % (format(offered, ","), unit) if offered else "-"
        if answered:
            offer += ", %s answered" % format(answered, ",")
        self.print(name, offer, len(errors), share(times, 0.5), share(times, 0.99), len(failed), share(visits, 0.5),
                   share(visits, 1), "%.2f" % (spent / took), "%.2f" % (waited / took), "%.2f" % (client / took),
                   "%.0f" % before, "%.0f" % most,
                   "%.0f" % resident_mib(pid), told or "-")
        for error in (errors + failed)[:3]:
            print("    error: %s" % error, file=sys.stderr)

    @staticmethod
    def print(*cells):
        print("| %s |" % " | ".join(str(cell) for cell in cells), flush=True)


def all_rows(options, rig):
    port, seconds = options.port, options.seconds
    rig.print(*HEADINGS)
    rig.print(*["---"] * len(HEADINGS))
    rig.row("calm", lambda: (time.sleep(seconds), (0, 0))[1], "")
    for name, kind in FLOODS.items():
        if options.only and options.only not in name:
            continue
        rate = 0
        if kind is Handshakes:
            _, capacity = run_flood(kind, port, 3)
            rate = 5 * capacity / 3
            print("    capacity: %d handshakes a second" % (capacity / 3), file=sys.stderr)
            time.sleep(1)
        rig.row(name, lambda: run_flood(kind, port, seconds, rate / FLOODERS), kind.unit)
    rig.row("calm again", lambda: (time.sleep(seconds), (0, 0))[1], "")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--weir", default="build/weir")
    arguments.add_argument("--seconds", type=float, default=6, help="of each flood")
    arguments.add_argument("--only", help="floods with this in their name")
    arguments.add_argument("--port", type=int, default=28543)
    options = arguments.parse_args()
    admin = options.port + 1

    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        (directory / "nginx.conf").write_text(BACKEND.format(dir=directory, body="x" * 1024))
        (directory / "weir.yaml").write_text(WEIR.format(dir=directory, port=options.port, admin=admin))
        (directory / "large").write_bytes(bytes(LARGE_MIB << 20))
        certificate(directory, "ecdsa", *ECDSA)
        certificate(directory, "rsa", "rsa:2048")
        log = open(directory / "weir.log", "w+")
        weir = subprocess.Popen([options.weir, "run", "-c", directory / "weir.yaml"], stdout=log, stderr=log,
                                preexec_fn=hurry)
        backend = subprocess.Popen(["nginx", "-c", directory / "nginx.conf"], preexec_fn=hurry)
        try:
            time.sleep(2)
            rig = Rig(options, weir, admin)
            all_rows(options, rig)
        finally:
            weir.send_signal(signal.SIGTERM)
            weir.wait(60)
            backend.terminate()
            backend.wait(10)
        log.seek(0)
        text = log.read()
        bad = weir.returncode != 0 or "Sanitizer" in text or "runtime error" in text or "ASSERT" in text
        if bad:
            print(text[-5000:], file=sys.stderr)
        return 1 if rig.errors or bad else 0


if __name__ == "__main__":
    sys.exit(main())
