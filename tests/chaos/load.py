"""Steady traffic of many kinds through weir, with every request that fails.

    with Load(weir) as load:
        ...                      # what happens meanwhile
    assert load.failures == []

Each kind is a thread that makes one request after the other at a bounded rate and checks the whole answer. A
connection that closes without having said so before is a failure, too: a client whose POST meets it cannot know
what became of it."""

import hashlib
import json
import threading
import time

from harness import origin
from harness.client import request_bytes

UPLOAD = origin.Firehose.piece(0, 256 << 10)
DOWNLOAD_BYTES = 1 << 20
DOWNLOAD_SHA256 = origin.Firehose.sha256(DOWNLOAD_BYTES)


class Wrong(AssertionError):
    """The answer is not the one that a working site gives."""


def check(condition, text):
    if not condition:
        raise Wrong(text)


def check_page(response):
    check(response.status == 200, "status %d: %s" % (response.status, response.text[:100]))
    return json.loads(response.text)


# --- kinds: each makes one request -------------------------------------------------------------------


class Kind:
    """One client. `request` raises when the answer is not right; then the connection is made anew."""

    listener = "tls"
    pause = 0.01

    def __init__(self, weir):
        self.weir = weir
        self.conn = None

    def open(self):
        return self.weir.connect(self.listener)

    def step(self):
        if self.conn is None:
            self.conn = self.open()
        if not self.request(self.conn):
            self.close()

    def close(self):
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.close()
            if conn in self.weir.clients:
                self.weir.clients.remove(conn)

    def request(self, conn):
        """Answers whether the connection may be used again."""
        raise NotImplementedError


class KeepAlive(Kind):
    """HTTP/1.1 GET, one connection for all."""

    listener = "plain"

    def request(self, conn):
        response = conn.request("/page")
        check_page(response)
        return not response.closes


class Fresh(Kind):
    """HTTP/1.1 GET, TLS, a connection for each."""

    pause = 0.03

    def request(self, conn):
        check_page(conn.request("/page", fields=[("Connection", "close")]))
        return False


class Download(Kind):
    """1 MiB over HTTP/1.1 and TLS."""

    pause = 0.05

    def request(self, conn):
        response = conn.request("/bytes/%d" % DOWNLOAD_BYTES)
        check(response.status == 200, "status %d" % response.status)
        check(hashlib.sha256(response.body).hexdigest() == DOWNLOAD_SHA256, "another body")
        return not response.closes


class Upload(Kind):
    """256 KiB in chunks over HTTP/1.1 and TLS."""

    pause = 0.05

    def request(self, conn):
        conn.send(request_bytes("/upload", "POST", fields=[("Transfer-Encoding", "chunked")]))
        for at in range(0, len(UPLOAD), 32 << 10):
            piece = UPLOAD[at : at + (32 << 10)]
            conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        conn.send(b"0\r\n\r\n")
        response = conn.read("POST")
        check(check_page(response)["body_sha256"] == hashlib.sha256(UPLOAD).hexdigest(), "another body")
        return not response.closes


class H2(Kind):
    """HTTP/2 over TLS, four GETs at a time."""

    pause = 0.03

    def open(self):
        return self.weir.connect_h2(self.listener)

    def request(self, conn):
        streams = [conn.begin("/page") for _ in range(4)]
        for stream_id in streams:
            stream = conn.finish(stream_id)
            check(stream.reset is None, "reset %s" % stream.reset)
            check_page(stream)
            del conn.streams[stream_id]
        return conn.goaway is None


class H2Upload(H2):
    """256 KiB over HTTP/2."""

    pause = 0.05

    def request(self, conn):
        stream = conn.request("/upload", "POST", body=UPLOAD)
        check(stream.reset is None, "reset %s" % stream.reset)
        check(check_page(stream)["body_sha256"] == hashlib.sha256(UPLOAD).hexdigest(), "another body")
        return conn.goaway is None


class WebSocket(Kind):
    """A tunnel that stays open; each step is one message and its echo."""

    pause = 0.02

    def open(self):
        conn = super().open()
        conn.send(request_bytes("/socket", fields=[
            ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]))
        response = conn.read_head()
        check(response.status == 101, "status %d" % response.status)
        return conn

    def request(self, conn):
        conn.send(b"message")
        check(conn.reader.exactly(7) == b"message", "another echo")
        return True


READS = (KeepAlive, Fresh, Download, H2)
WRITES = (Upload, H2Upload)
ALL = READS + WRITES + (WebSocket,)


# --- the load ----------------------------------------------------------------------------------------


class Failure:
    def __init__(self, kind, seconds, error):
        self.kind, self.seconds, self.text = kind, seconds, "%s: %s" % (type(error).__name__, error)

    def __repr__(self):
        return "%.2f s %s: %s" % (self.seconds, self.kind.__name__, self.text)


class Load:
    def __init__(self, weir, kinds=ALL):
        self.weir = weir
        self.done = {kind: 0 for kind in kinds}
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self):
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        self.wait_for_progress()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads), "a request never ended"

    def _run(self, kind):
        client = kind(self.weir)
        while not self._stop.is_set():
            try:
                client.step()
                self.done[kind] += 1
            except Exception as error:  # whatever it is, this request has failed
                self.failures.append(Failure(kind, time.monotonic() - self._began, error))
                client.close()
                self._stop.wait(0.1)
            self._stop.wait(kind.pause)
        client.close()

    def wait_for_progress(self, requests=5, timeout=30):
        """Until each kind has made so many more requests, good or bad."""
        goal = {kind: n + len(self.of(kind)) + requests for kind, n in self.done.items()}
        deadline = time.monotonic() + timeout
        while any(self.done[kind] + len(self.of(kind)) < goal[kind] for kind in goal):
            assert time.monotonic() < deadline, "the load stands still: %s, %s" % (self.done, self.failures[-5:])
            time.sleep(0.02)

    def of(self, *kinds):
        """The failures of these kinds."""
        return [failure for failure in self.failures if failure.kind in kinds]
