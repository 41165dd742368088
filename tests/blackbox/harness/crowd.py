"""Many clients in few lines: origins that answer as fast as Python can, and callers that send a stream
of requests, each as another client, over one TLS connection (HTTP/1.1 pipelined, or HTTP/2)."""

import selectors
import socket
import ssl
import struct
import threading

import hpack

BATCH = 64  # requests under way at once on one connection; below the stream limit


class FastOrigin:
    """Answers every request with an empty 200; counts them."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        rest = b""
        while True:
            try:
                data = sock.recv(65536)
                if not data:
                    return
                rest += data
                count = rest.count(b"\r\n\r\n")
                if count:
                    rest = rest[rest.rindex(b"\r\n\r\n") + 4 :]
                    sock.sendall(self.ANSWER * count)
            except OSError:
                return

    def stop(self):
        for sock in [self.listener] + self.sockets:
            sock.close()


class Spring:
    """Answers /large with `total` bytes to any number of connections at once, and all else with little; one
    thread for all of them."""

    PIECE = bytes(256 * 1024)

    def __init__(self, total):
        self.total = total
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.left = {}  # socket: bytes of its response still to be sent
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.1):
                try:
                    self._on_event(key.fileobj)
                except BlockingIOError:
                    pass
                except OSError:
                    self._end(key.fileobj)

    def _on_event(self, sock):
        if sock is self.listener:
            sock, _ = sock.accept()
            sock.setblocking(False)
            self.left[sock] = 0
            self.selector.register(sock, selectors.EVENT_READ)
        elif self.left[sock] == 0:
            self._answer(sock, sock.recv(65536))
        else:
            self.left[sock] -= sock.send(self.PIECE[: self.left[sock]])
            if self.left[sock] == 0:
                self.selector.modify(sock, selectors.EVENT_READ)

    def _answer(self, sock, request):
        if not request:
            raise OSError("closed")
        is_large = request.startswith(b"GET /large ")
        length = self.total if is_large else 5
        sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, b"" if is_large else b"hello"))
        if is_large:
            self.left[sock] = self.total
            self.selector.modify(sock, selectors.EVENT_WRITE)

    def _end(self, sock):
        self.selector.unregister(sock)
        self.left.pop(sock, None)
        sock.close()

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in list(self.left) + [self.listener]:
            sock.close()


def _connect(port, context, alpn):
    context.set_alpn_protocols([alpn])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))
    assert sock.selected_alpn_protocol() == alpn
    return sock


def _batches(clients):
    batch = []
    for client in clients:
        batch.append(client)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def ask_h1(port, host, clients, path="/wiki/Main_Page"):
    """[(status, group)] of one request for each client, in order. A client is the value of its cookie."""
    sock = _connect(port, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "http/1.1")
    reader = sock.makefile("rb")
    answers = []
    for batch in _batches(clients):
        sock.sendall(
            b"".join(
                b"GET %s HTTP/1.1\r\nHost: %s\r\nCookie: WMF-Uniq=%s\r\n\r\n"
                % (path.encode(), host.encode(), str(client).encode())
                for client in batch
            )
        )
        for _ in batch:
            answers.append(_read_h1(reader))
    sock.close()
    return answers


def _read_h1(reader):
    status, group, length = int(reader.readline().split()[1]), None, 0
    for line in iter(reader.readline, b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-weir-group":
            group = value.strip().decode()
        elif name.lower() == b"content-length":
            length = int(value)
    reader.read(length)
    return status, group


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WIDE_OPEN = struct.pack(">I", 0x7FFFFFFF - 65535)  # the connection's window never closes


def _frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    """A field that is never indexed (RFC 7541 section 6.2.3); both texts are short."""
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


def ask_h2(port, host, clients, path="/wiki/Main_Page"):
    """The same over HTTP/2."""
    sock = _connect(port, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "h2")
    reader = sock.makefile("rb")
    decoder = hpack.Decoder()
    sock.sendall(PREFACE + _frame(SETTINGS, 0, 0) + _frame(WINDOW_UPDATE, 0, 0, WIDE_OPEN))
    common = (
        _literal(b":method", b"GET")
        + _literal(b":scheme", b"https")
        + _literal(b":authority", host.encode())
        + _literal(b":path", path.encode())
    )
    answers, stream = [], 1
    for batch in _batches(clients):
        out, found, waiting = b"", {}, set()
        for client in batch:
            block = common + _literal(b"cookie", b"WMF-Uniq=%s" % str(client).encode())
            out += _frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
            waiting.add(stream)
            stream += 2
        order = sorted(waiting)
        sock.sendall(out)
        while waiting:
            _read_h2(sock, reader, decoder, found, waiting)
        answers += [found[one] for one in order]
    sock.close()
    return answers


def _read_h2(sock, reader, decoder, found, waiting):
    head = reader.read(9)
    length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
    stream = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
    payload = reader.read(length)
    assert kind != GOAWAY, payload
    if kind == SETTINGS and not flags & ACK:
        sock.sendall(_frame(SETTINGS, ACK, 0))
    if kind == HEADERS:
        assert flags & END_HEADERS
        fields = dict(decoder.decode(payload))
        found[stream] = (int(fields[":status"]), fields.get("x-weir-group"))
    if kind in (HEADERS, DATA) and flags & END_STREAM:
        waiting.discard(stream)
