"""HTTP/1.1 messages read to the letter of RFC 9112: whatever weir sends has to pass here.

Not lenient anywhere: CRLF only, exact spacing, one framing, token names. A message that breaks a rule
raises Broken with the bytes in question.
"""

import re
import socket
import struct

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"([\x21-\x7e\x80-\xff]([\x20-\x7e\t\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) (HTTP/1\.[01])\Z")
STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([\x20-\x7e\t\x80-\xff]*)\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\x20-\x7e\t]*)?\Z")


class Broken(AssertionError):
    """The peer sent something that is not HTTP/1.1."""


class Closed(AssertionError):
    """The connection ended before the message did."""


class Fields(list):
    """Header fields in order, as (name, value) text pairs; looked up without regard to case."""

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.all(name)
        return found[0] if found else default

    def __contains__(self, name):
        return isinstance(name, tuple) and list.__contains__(self, name) or bool(self.all(name))


class Reader:
    """Buffered reading from a socket; `taken` collects the bytes of the message being read."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.taken = bytearray()

    def _fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def _take(self, n):
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        self.taken += data
        return data

    def line(self, limit=1 << 20):
        """One line without its CRLF. None when the peer closed cleanly before its first byte."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > limit:
                raise Broken("line too long: %r..." % self.buffer[:200])
            if not self._fill():
                if not self.buffer:
                    return None
                raise Closed("closed in the middle of a line: %r" % self.buffer)
        line = self._take(self.buffer.index(b"\n") + 1)
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            raise Broken("bad line: %r" % line)
        return line[:-2]

    def exactly(self, n):
        parts = []
        while n > 0:
            if not self.buffer and not self._fill():
                raise Closed("closed with %d bytes missing" % n)
            part = self._take(min(n, len(self.buffer)))
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def to_end(self):
        while self._fill():
            pass
        return self._take(len(self.buffer))

    def fields(self):
        fields = Fields()
        while True:
            line = self.line()
            if line is None:
                raise Closed("closed in the middle of header fields")
            if line == b"":
                return fields
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not TOKEN.match(name) or not VALUE.match(value):
                raise Broken("bad field line: %r" % line)
            fields.append((name.decode(), value.decode("latin-1")))

    def chunk(self):
        """One chunk's data; b"" for the last one (its trailers are not read yet)."""
        line = self.line()
        if line is None:
            raise Closed("closed between chunks")
        match = CHUNK_LINE.match(line)
        if not match:
            raise Broken("bad chunk line: %r" % line)
        if match[2]:
            raise Broken("weir must not send chunk extensions: %r" % line)
        size = int(match[1], 16)
        data = self.exactly(size)
        if size and self.exactly(2) != b"\r\n":
            raise Broken("chunk data does not end with CRLF")
        return data


def framing(fields):
    """("chunked", None), ("length", n) or (None, None)."""
    codings, lengths = fields.all("transfer-encoding"), fields.all("content-length")
    if codings:
        if [c.lower() for c in codings] != ["chunked"] or lengths:
            raise Broken("bad framing: %r %r" % (codings, lengths))
        return "chunked", None
    if lengths:
        if len(lengths) != 1 or not re.fullmatch("[0-9]+", lengths[0]):
            raise Broken("bad framing: %r" % lengths)
        return "length", int(lengths[0])
    return None, None


class Message:
    """A request or response; the body of a request is read on first use."""

    def __init__(self, reader):
        self.reader = reader
        self.fields = Fields()
        self.trailers = Fields()
        self.raw_head = b""
        self._body = None
        self.chunked = False
        self.length = None

    def header(self, name, default=None):
        return self.fields.get(name, default)

    def headers(self, name):
        return self.fields.all(name)

    def _read_chunked(self, sink):
        while True:
            data = self.reader.chunk()
            if not data:
                break
            sink(data)
        self.trailers = self.reader.fields()


class Request(Message):
    """What an upstream got."""

    @classmethod
    def read(cls, reader):
        """None at a clean end of the connection."""
        reader.taken = bytearray()
        line = reader.line()
        if line is None:
            return None
        match = REQUEST_LINE.match(line)
        if not match:
            raise Broken("bad request line: %r" % line)
        request = cls(reader)
        request.method, request.target = match[1].decode(), match[2].decode("latin-1")
        request.version = match[3].decode()
        request.fields = reader.fields()
        request.raw_head = bytes(reader.taken)
        if request.version == "HTTP/1.1" and len(request.fields.all("host")) != 1:
            raise Broken("not exactly one Host: %r" % request.raw_head)
        kind, length = framing(request.fields)
        request.chunked, request.length = kind == "chunked", length
        request.whole = kind is None or length == 0  # has the end of the body been seen?
        if request.whole:
            request._body = b""
        return request

    @property
    def has_body(self):
        return self.chunked or bool(self.length)

    @property
    def body(self):
        if self._body is None:
            parts = []
            self.read_body(parts.append)
            self._body = b"".join(parts)
        return self._body

    def read_body(self, sink):
        """Passes the body on in pieces, without keeping it."""
        if self._body is not None:
            sink(self._body)
            return
        self._body = b""
        left = self.length
        if self.chunked:
            self._read_chunked(sink)
        else:
            while left > 0:
                piece = self.reader.exactly(min(left, 65536))
                sink(piece)
                left -= len(piece)
        self.whole = True


class Response(Message):
    """What a client got; `interim` holds the 1xx responses before it."""

    @classmethod
    def read_head(cls, reader):
        reader.taken = bytearray()
        line = reader.line()
        if line is None:
            raise Closed("closed without a response")
        match = STATUS_LINE.match(line)
        if not match:
            raise Broken("bad status line: %r" % line)
        response = cls(reader)
        response.version, response.status = match[1].decode(), int(match[2])
        response.phrase = match[3].decode("latin-1")
        response.fields = reader.fields()
        response.raw_head = bytes(reader.taken)
        response.interim = []
        return response

    @classmethod
    def read(cls, reader, method="GET"):
        interim = []
        while True:
            response = cls.read_head(reader)
            if response.status == 101 or response.status >= 200:
                break
            if framing(response.fields) != (None, None):
                raise Broken("1xx with framing: %r" % response.raw_head)
            interim.append(response)
        response.interim = interim
        response.until_close = False
        response._read_body(method)
        return response

    def _read_body(self, method):
        kind, length = framing(self.fields)
        self.chunked, self.length = kind == "chunked", length
        if self.status in (101, 204) or (method == "CONNECT" and self.status < 300):
            if kind is not None:
                raise Broken("framing in a %d: %r" % (self.status, self.raw_head))
            self._body = b""
        elif method == "HEAD" or self.status == 304:
            self._body = b""
        elif kind == "chunked":
            if self.version != "HTTP/1.1":
                raise Broken("chunked in HTTP/1.0")
            parts = []
            self._read_chunked(parts.append)
            self._body = b"".join(parts)
        elif kind == "length":
            self._body = self.reader.exactly(length)
        else:
            self.until_close = True
            self._body = self.reader.to_end()

    @property
    def body(self):
        return self._body

    @property
    def text(self):
        return self._body.decode("utf-8", "replace")

    @property
    def closes(self):
        options = [o.strip().lower() for v in self.headers("connection") for o in v.split(",")]
        if "close" in options:
            return True
        return self.version == "HTTP/1.0" and "keep-alive" not in options

    def __repr__(self):
        return "<%d %r %d bytes>" % (self.status, list(self.fields), len(self._body or b""))


def is_closed(sock):
    """Did the peer end it? True for a clean end and for a reset; False when bytes came instead."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def shut(sock):
    """Closes a socket in any state."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    try:
        sock.close()
    except OSError:
        pass


class ProxyHeader:
    """A PROXY header, read strictly and not a byte further: version, and (client, server) as (ip, port)
    pairs, or None where it says that nothing is known."""

    SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

    def __init__(self, version, client=None, server=None):
        self.version, self.client, self.server = version, client, server

    @classmethod
    def read(cls, sock):
        first = cls._exactly(sock, 12)
        if first == cls.SIGNATURE:
            return cls._read_v2(sock)
        line = first
        while not line.endswith(b"\n"):
            if len(line) >= 107 or not line.startswith(b"PROXY "):
                raise Broken("no PROXY header: %r" % line)
            line += cls._exactly(sock, 1)
        if line == b"PROXY UNKNOWN\r\n":
            return cls(1)
        match = re.fullmatch(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)\r\n", line)
        if not match:
            raise Broken("bad PROXY line: %r" % line)
        family = socket.AF_INET if match[1] == b"TCP4" else socket.AF_INET6
        ips = [match[i].decode() for i in (2, 3)]
        for ip in ips:
            if socket.inet_ntop(family, socket.inet_pton(family, ip)) != ip:
                raise Broken("not in its one form: %s" % ip)
        return cls(1, (ips[0], int(match[4])), (ips[1], int(match[5])))

    @classmethod
    def _read_v2(cls, sock):
        command, family, length = struct.unpack(">BBH", cls._exactly(sock, 4))
        body = cls._exactly(sock, length)
        if command == 0x20:
            return cls(2)
        size = {0x11: 4, 0x21: 16}.get(family)
        if command != 0x21 or size is None or length != 2 * size + 4:
            raise Broken("bad PROXY v2 header: %02x %02x %r" % (command, family, body))
        af = socket.AF_INET if size == 4 else socket.AF_INET6
        ports = struct.unpack(">HH", body[2 * size :])
        ips = [socket.inet_ntop(af, body[i * size : (i + 1) * size]) for i in (0, 1)]
        return cls(2, (ips[0], ports[0]), (ips[1], ports[1]))

    @staticmethod
    def _exactly(sock, count):
        data = b""
        while len(data) < count:
            piece = sock.recv(count - len(data))
            if not piece:
                raise Broken("the connection ended inside its PROXY header: %r" % data)
            data += piece
        return data
