"""A raw HTTP/1.1 client: sends exactly the given bytes, and parses responses strictly."""

import socket
import time

from . import wire


class Client:
    def __init__(self, address, tls=None, sni=None, timeout=10, receive_buffer=None, session=None):
        """`address` is (host, port) or the path of a unix socket; `tls` an ssl.SSLContext."""
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.sock = socket.socket(family)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni, session=session)
        self.reader = wire.Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def read(self, method="GET"):
        return wire.Response.read(self.reader, method)

    def read_head(self):
        return wire.Response.read_head(self.reader)

    def request(self, target="/", method="GET", host="wiki.example", fields=(), body=None):
        """Sends a well-formed request and reads its response."""
        self.send(request_bytes(target, method, host, fields, body))
        return self.read(method)

    def is_closed(self, timeout=5):
        """Has weir closed the connection, with nothing more to read? Waits that long for it."""
        if self.reader.buffer:
            return False
        self.sock.settimeout(timeout)
        try:
            return wire.is_closed(self.sock)
        except socket.timeout:
            return False

    def seconds_until_closed(self, timeout=20):
        began = time.monotonic()
        assert self.is_closed(timeout), "still open after %g s" % timeout
        return time.monotonic() - began

    def is_open(self, quiet=0.3):
        """Nothing to read and no end of the connection for `quiet` seconds."""
        self.sock.settimeout(quiet)
        try:
            data = self.sock.recv(1, socket.MSG_PEEK) if not hasattr(self.sock, "pending") else self.sock.recv(1)
        except (socket.timeout, TimeoutError):
            return True
        except ConnectionError:
            return False
        finally:
            self.sock.settimeout(10)
        assert not data, "unexpected byte %r" % data
        return False

    def finish_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        wire.shut(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request_bytes(target="/", method="GET", host="wiki.example", fields=(), body=None, version="1.1"):
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("Host: " + host)
    lines += ["%s: %s" % field for field in fields]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")
