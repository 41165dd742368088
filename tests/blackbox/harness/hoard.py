"""Clients that make a proxy hold bytes, and an origin that helps them; one thread for all connections of
each, so that hundreds cost little."""

import re
import selectors
import socket
import ssl
import threading
import time

from . import KIB
from .frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST, SETTINGS, WINDOW, frame, literal

FITS = 15 * 1000  # an answer that fits into one read
BIG_HEAD = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 3000) for n in range(16))
PIECE = bytes(64 * KIB)


class OriginConnection:
    def __init__(self, sock):
        self.sock, self.input, self.output = sock, b"", b""
        self.endless = b""  # sent again and again once `output` has left
        self.reads = True
        self.h2 = None


class H2State:
    def __init__(self):
        self.window, self.initial, self.streams = 65535, 65535, {}


class Origin:
    """Speaks HTTP/1.1 or HTTP/2 with prior knowledge. By path: /fits has 15 KB; /large and /chunked never end;
    /frozen reads no body and never answers; /silent never answers; /head has 48 KiB of fields; /ws-flood and
    /ws-frozen switch protocols and then send all they can, or read nothing. Over HTTP/2 each answer is endless
    where the method is GET, and nothing is read or answered where it is POST."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.connections = {}
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for key, events in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self._accept()
                    continue
                conn = self.connections[key.fileobj]
                try:
                    if events & selectors.EVENT_READ:
                        self._read(conn)
                    self._write(conn)
                    self._watch(conn)
                except (OSError, ValueError):
                    self._end(conn)

    def _accept(self):
        try:
            while True:
                sock, _ = self.listener.accept()
                sock.setblocking(False)
                self.connections[sock] = OriginConnection(sock)
                self.selector.register(sock, selectors.EVENT_READ)
        except OSError:
            pass

    def _watch(self, conn):
        wants = selectors.EVENT_READ if conn.reads else 0
        if conn.output or conn.endless:
            wants |= selectors.EVENT_WRITE
        if wants:
            self.selector.modify(conn.sock, wants)
        else:
            self.selector.unregister(conn.sock)  # its end is noticed when the origin stops

    def _end(self, conn):
        self.selector.unregister(conn.sock)
        self.connections.pop(conn.sock, None)
        conn.sock.close()

    def _read(self, conn):
        data = conn.sock.recv(256 * KIB)
        if not data:
            raise OSError("closed")
        conn.input += data
        if conn.h2 is None and len(conn.input) < len(PREFACE) and PREFACE.startswith(conn.input):
            return
        if conn.h2 is None and conn.input.startswith(PREFACE):
            conn.h2 = H2State()
            conn.input = conn.input[len(PREFACE) :]
            conn.output = frame(SETTINGS, 0, 0)
        if conn.h2 is not None:
            self._read_frames(conn)
            return
        while conn.reads and b"\r\n\r\n" in conn.input:
            head, _, conn.input = conn.input.partition(b"\r\n\r\n")
            self._answer(conn, head.split(b" ")[1])

    def _answer(self, conn, path):
        ok = b"HTTP/1.1 200 OK\r\n"
        switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        if path == b"/fits":
            conn.output += ok + b"Content-Length: %d\r\n\r\n" % FITS + PIECE[:FITS]
        elif path == b"/head":
            conn.output += ok + BIG_HEAD + b"Content-Length: 1\r\n\r\nx"
        elif path == b"/large":
            conn.output, conn.endless = ok + b"Content-Length: %d\r\n\r\n" % (1 << 40), PIECE
        elif path == b"/chunked":
            conn.output, conn.endless = ok + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n%s\r\n" % PIECE[:4096] * 16
        elif path == b"/ws-flood":
            conn.output, conn.endless = switch, PIECE
        elif path == b"/ws-frozen":
            conn.output, conn.reads = switch, False
        elif path == b"/frozen":
            conn.reads = False

    def _read_frames(self, conn):
        h2 = conn.h2
        while len(conn.input) >= 9 and len(conn.input) >= 9 + int.from_bytes(conn.input[:3], "big"):
            size, kind, flags = int.from_bytes(conn.input[:3], "big"), conn.input[3], conn.input[4]
            stream = int.from_bytes(conn.input[5:9], "big")
            payload, conn.input = conn.input[9 : 9 + size], conn.input[9 + size :]
            if kind == SETTINGS and not flags & 1:
                for at in range(0, size, 6):
                    if payload[at : at + 2] == b"\0\4":
                        h2.initial = int.from_bytes(payload[at + 2 : at + 6], "big")
                conn.output += frame(SETTINGS, 1, 0)
            elif kind == WINDOW and stream == 0:
                h2.window += int.from_bytes(payload, "big")
            elif kind == WINDOW and stream in h2.streams:
                h2.streams[stream] += int.from_bytes(payload, "big")
            elif kind == RST:
                h2.streams.pop(stream, None)
            elif kind == HEADERS and flags & END_STREAM:
                h2.streams[stream] = h2.initial
                conn.output += frame(HEADERS, END_HEADERS, stream, b"\x88")
        for stream, room in h2.streams.items():
            while min(h2.window, room) > 0 and len(conn.output) < (1 << 24):
                size = min(h2.window, room, 16384)
                conn.output += frame(DATA, 0, stream, PIECE[:size])
                h2.window -= size
                room -= size
            h2.streams[stream] = room

    def _write(self, conn):
        while conn.output or conn.endless:
            if not conn.output:
                conn.output = conn.endless
            try:
                conn.output = conn.output[conn.sock.send(conn.output) :]
            except BlockingIOError:
                return

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in list(self.connections) + [self.listener]:
            sock.close()


# what a client says: bytes, and bytes that follow for ever


def get(path, count=1):
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path * count, b""


def post(path, framing, endless):
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (path, framing), endless


def websocket(path, endless=b""):
    return (b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n" % path), endless


def h2_head(path, method=b"GET"):
    return (b"\x82" if method == b"GET" else b"\x83") + b"\x86" + literal(b":path", path) + literal(b":authority", b"a")


def h2_start(window=None):
    settings = b"" if window is None else b"\0\4" + window.to_bytes(4, "big")
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def h2_gets(path, count, window=0):
    return h2_start(window) + b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, h2_head(path)) for n in range(count)), b""


def h2_posts(path, count):
    """As much of each body as the default windows allow, which is what a client that knows nothing sends; the
    rest goes out as the windows open."""
    heads = b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, h2_head(path, b"POST")) for n in range(count))
    return h2_start() + heads, "uploads"


def h2_indexed_heads(path, count):
    first = h2_head(path) + literal(b"x", b"y" * 4000, index=0x40) + b"\xbe" * 14
    rest = h2_head(path) + b"\xbe" * 15
    return h2_start() + b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, first if n == 0 else rest) for n in range(count)), b""


class Uploads:
    """The bodies of an h2 client: everything that the server's windows let through."""

    def __init__(self, count):
        self.window, self.initial = 65535, 65535
        self.rooms = {2 * n + 1: 65535 for n in range(count)}
        self.input, self.acks = b"", b""

    def take(self, data):
        self.input += data
        while len(self.input) >= 9 and len(self.input) >= 9 + int.from_bytes(self.input[:3], "big"):
            size, kind, flags = int.from_bytes(self.input[:3], "big"), self.input[3], self.input[4]
            stream = int.from_bytes(self.input[5:9], "big")
            payload, self.input = self.input[9 : 9 + size], self.input[9 + size :]
            if kind == WINDOW and stream == 0:
                self.window += int.from_bytes(payload, "big")
            elif kind == WINDOW and stream in self.rooms:
                self.rooms[stream] += int.from_bytes(payload, "big")
            elif kind == RST:
                self.rooms.pop(stream, None)
            elif kind == SETTINGS and not flags & 1:
                for at in range(0, size, 6):
                    if payload[at : at + 2] == b"\0\4":
                        new = int.from_bytes(payload[at + 2 : at + 6], "big")
                        self.rooms = {s: room + new - self.initial for s, room in self.rooms.items()}
                        self.initial = new
                self.acks += frame(SETTINGS, 1, 0)

    def more(self):
        out, self.acks = [self.acks], b""
        for stream, room in self.rooms.items():
            size = min(self.window, room, 16384)
            if size > 0:
                out.append(frame(DATA, 0, stream, PIECE[:size]))
                self.window -= size
                self.rooms[stream] -= size
        return b"".join(out)


class Hoarder:
    """A client that sends its part, and reads only what opens its windows."""

    def __init__(self, address, says, context=None, alpn=None, streams=0):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(20)
        self.sock.connect(address)
        if context:
            context.set_alpn_protocols([alpn])
            self.sock = context.wrap_socket(self.sock, server_hostname="wiki.example")
        self.sock.setblocking(False)
        self.output, self.endless = says
        self.uploads = Uploads(streams) if self.endless == "uploads" else None
        self.sent = 0
        self.ended = False

    def step(self):
        try:
            if self.uploads:
                self._read()
                self.output += self.uploads.more() if len(self.output) < 65536 else b""
            for _ in range(4):
                if not self.output and self.endless and not self.uploads:
                    self.output = self.endless
                if not self.output:
                    return
                count = self.sock.send(self.output[: 256 * KIB])
                self.output = self.output[count:]
                self.sent += count
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.ended = True

    def _read(self):
        try:
            data = self.sock.recv(65536)
            self.uploads.take(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass


def resident(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * KIB


class Result:
    def __init__(self, grown, left, sent, seconds_to_return):
        self.grown, self.left, self.sent, self.seconds_to_return = grown, left, sent, seconds_to_return


def hoard(pid, clients, seconds, back_within, slack):
    """Lets `clients` do what they can for so long; then they leave. What weir grew by, at most, and what of
    that was left `back_within` seconds later (or when it was down to `slack`)."""
    def grown():
        return resident(pid) - before

    before, peak = resident(pid), 0
    crowd = [make() for make in clients]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for client in crowd:
            client.step()
        peak = max(peak, grown())
        time.sleep(0.01)
    peak = max(peak, grown())
    sent = sum(client.sent for client in crowd)
    for client in crowd:
        client.sock.close()
    left = time.monotonic()
    while grown() > slack and time.monotonic() - left < back_within:
        time.sleep(0.05)
    return Result(peak, grown(), sent, time.monotonic() - left)
