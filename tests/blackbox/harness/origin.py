"""Scripted HTTP/1.1 upstreams on real sockets, a thread per connection.

An origin reads requests strictly (wire.py), records them, and lets a handler write the answer:

    def handler(conn, request): conn.sock.sendall(b"HTTP/1.1 200 OK\\r\\n...")

The functions below make the usual handlers. A handler that returns leaves the connection open for the
next request; one that raises or calls conn.close() ends it. A request that breaks HTTP is recorded in
`broken` and ends the test that made it, because weir must never send one.
"""

import hashlib
import json
import os
import socket
import ssl
import threading
import time

from . import ports, wire


class Connection:
    def __init__(self, origin, sock, number):
        self.origin, self.sock, self.number = origin, sock, number
        self.reader = wire.Reader(sock)
        self.request_count = 0
        self.proxy = None  # a wire.ProxyHeader where the origin takes them
        self.closed = threading.Event()

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        wire.shut(self.sock)
        self.closed.set()

    def reset(self):
        """Ends the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()
        self.closed.set()

    def wait_for_end(self, timeout=10):
        """Does weir close, or reset, within the time?"""
        self.sock.settimeout(timeout)
        try:
            return wire.is_closed(self.sock)
        except socket.timeout:
            return False


class Origin:
    """An upstream. `requests` is what came, in order; `connections` counts what was accepted."""

    def __init__(self, handler=None, tls=None, unix=None, host="127.0.0.1", port=None, listening=True, proxy=False):
        self.handler = handler or respond()
        self.tls = tls
        self.proxy = proxy  # every connection begins with a PROXY header
        self.unix = unix
        self.host = host
        self.requests = []
        self.broken = []
        self.connections = []
        self.failed_handshakes = []
        self._changed = threading.Condition()
        self.continues = True  # answer Expect: 100-continue before the handler runs
        self._stopped = False
        self._listener = None
        if unix:
            self.port = None
        else:
            self.port = port or ports.free_port()
        if listening:
            self.listen()

    @property
    def address(self):
        if self.unix:
            return "unix:" + self.unix
        return "%s:%d" % ("[%s]" % self.host if ":" in self.host else self.host, self.port)

    def listen(self):
        if self.unix:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.unix)
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((self.host, self.port))
        self._listener.listen(512)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(60)
        proxy = None
        if self.proxy:
            try:
                proxy = wire.ProxyHeader.read(sock)
            except (OSError, wire.Broken) as error:
                self.broken.append("PROXY header: %s" % error)
                wire.shut(sock)
                return
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except (OSError, ssl.SSLError) as error:
                with self._changed:
                    self.failed_handshakes.append(error)
                    self._changed.notify_all()
                wire.shut(sock)
                return
        with self._changed:
            conn = Connection(self, sock, len(self.connections))
            conn.proxy = proxy
            self.connections.append(conn)
            self._changed.notify_all()
        try:
            while self._serve_one(conn):
                pass
        except wire.Broken as error:
            self.broken.append(str(error))
        except (wire.Closed, OSError, ValueError):
            pass
        finally:
            conn.close()

    def _serve_one(self, conn):
        on_accept = getattr(self.handler, "on_connection", None)
        if on_accept and conn.request_count == 0:
            on_accept(conn)
        request = wire.Request.read(conn.reader)
        if request is None or self._stopped:
            return False
        conn.request_count += 1
        request.conn = conn
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        if self.continues and request.header("expect", "").lower() == "100-continue":
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.handler(conn, request)
        if conn.closed.is_set():
            return False
        if request._body is None:
            request.read_body(lambda piece: None)
        return True

    def wait_for(self, condition, timeout=10, what="the upstream"):
        """Waits until condition(self) holds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition(self):
                left = deadline - time.monotonic()
                assert left > 0, "waited %g s for %s" % (timeout, what)
                self._changed.wait(min(left, 0.05))

    def wait_for_requests(self, count, timeout=10):
        self.wait_for(lambda o: len(o.requests) >= count, timeout, "%d requests" % count)
        return self.requests[count - 1]

    @property
    def last(self):
        assert self.requests, "nothing reached the upstream"
        return self.requests[-1]

    def stop_listening(self):
        if self._listener:
            wire.shut(self._listener)
            self._listener = None
            if self.unix and os.path.exists(self.unix):
                os.unlink(self.unix)

    def close_connections(self):
        for conn in list(self.connections):
            conn.close()

    def stop(self):
        self._stopped = True
        self.stop_listening()
        self.close_connections()


# --- handlers ----------------------------------------------------------------------------------------


def head(status=200, fields=(), phrase="OK"):
    lines = ["HTTP/1.1 %d %s" % (status, phrase)] + ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def respond(body=b"hello", status=200, fields=(), chunked=False, trailers=(), close=False, delay=0):
    """A whole response; `chunked` may also be the list of chunks. Reads the request's body first."""
    if isinstance(body, str):
        body = body.encode()

    def handler(conn, request):
        request.body
        if delay:
            time.sleep(delay)
        own = list(fields) + ([("Connection", "close")] if close else [])
        no_body = request.method == "HEAD" or status in (204, 304)
        if status == 204:
            conn.send(head(status, own))
        elif chunked or trailers:
            out = head(status, own + [("Transfer-Encoding", "chunked")])
            if not no_body:
                chunks = chunked if isinstance(chunked, (list, tuple)) else [body]
                out += b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks if c)
                out += b"0\r\n" + b"".join(b"%s: %s\r\n" % (n.encode(), v.encode()) for n, v in trailers)
                out += b"\r\n"
            conn.send(out)
        else:
            conn.send(head(status, own + [("Content-Length", str(len(body)))]) + (b"" if no_body else body))
        if close:
            conn.close()

    return handler


def echo(name="echo", fields=()):
    """JSON of what came: method, target, headers (pairs), body length and hash, trailers, connection."""

    def handler(conn, request):
        digest, size = hashlib.sha256(), 0

        def sink(piece):
            nonlocal size
            digest.update(piece)
            size += len(piece)

        request.read_body(sink)
        page = json.dumps(
            {
                "name": name,
                "method": request.method,
                "target": request.target,
                "version": request.version,
                "headers": list(request.fields),
                "chunked": request.chunked,
                "body_bytes": size,
                "body_sha256": digest.hexdigest(),
                "trailers": list(request.trailers),
                "connection": conn.number,
            }
        ).encode()
        own = list(fields) + [("Content-Type", "application/json"), ("Content-Length", str(len(page)))]
        conn.send(head(200, own) + (b"" if request.method == "HEAD" else page))

    return handler


def raw(data, close=True, read_body=True):
    """Exactly these bytes, also when they are invalid."""

    def handler(conn, request):
        if read_body:
            request.body
        conn.send(data)
        if close:
            conn.close()

    return handler


def silence(conn, request):
    """Reads the request and never answers; ends when weir does."""
    request.body
    conn.wait_for_end(60)
    conn.close()


def hang_up(conn, request):
    conn.close()


def reset(conn, request):
    conn.reset()


def sequence(*handlers):
    """The first request gets the first handler, and so on; the last one serves all the rest."""
    lock = threading.Lock()
    left = list(handlers)

    def handler(conn, request):
        with lock:
            current = left.pop(0) if len(left) > 1 else left[0]
        current(conn, request)

    return handler


def by_path(routes, default=None):
    """A handler for each path (without query)."""

    def handler(conn, request):
        (routes.get(request.target.split("?")[0]) or default or respond())(conn, request)

    return handler


class Firehose:
    """Sends `total` bytes as fast as weir takes them and knows how far it came."""

    def __init__(self, total, chunked=False):
        self.total, self.chunked = total, chunked
        self.sent = 0
        self.done = threading.Event()

    @staticmethod
    def piece(offset, size):
        """The bytes at `offset`: a pattern that shows loss, doubling and swapping."""
        begin = offset // 8
        text = b"".join(b"%08x" % (n & 0xFFFFFFFF) for n in range(begin, (offset + size) // 8 + 1))
        return text[offset - begin * 8 : offset - begin * 8 + size]

    @classmethod
    def sha256(cls, total):
        digest = hashlib.sha256()
        for offset in range(0, total, 65536):
            digest.update(cls.piece(offset, min(65536, total - offset)))
        return digest.hexdigest()

    def __call__(self, conn, request):
        request.body
        if self.chunked:
            conn.send(head(200, [("Transfer-Encoding", "chunked")]))
        else:
            conn.send(head(200, [("Content-Length", str(self.total))]))
        while self.sent < self.total:
            data = self.piece(self.sent, min(65536, self.total - self.sent))
            framed = b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data
            view, end = memoryview(framed), self.sent + len(data)
            while view:
                count = conn.sock.send(view)
                self.sent = min(self.sent + count, end)
                view = view[count:]
            self.sent = end
        if self.chunked:
            conn.send(b"0\r\n\r\n")
        self.done.set()

    def wait_until_it_stalls(self, quiet=0.5, timeout=20):
        """Waits until nothing was taken for `quiet` seconds; answers how much was."""
        deadline = time.monotonic() + timeout
        last, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            if self.sent != last:
                last, since = self.sent, time.monotonic()
            elif last > 0 and time.monotonic() - since >= quiet:
                return last
            time.sleep(0.02)
        raise AssertionError("the upstream is still being read after %g s" % timeout)
