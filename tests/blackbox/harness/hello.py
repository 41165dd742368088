"""A TLS 1.3 ClientHello, byte by byte (RFC 8446), for clients that do what no library does."""

import os
import socket
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

HANDSHAKE, ALERT = 22, 21
SERVER_HELLO = 2
X25519, P256, X448 = 29, 23, 30
ILLEGAL_PARAMETER, UNRECOGNIZED_NAME = 47, 112
RETRY_RANDOM = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


def _vector(size, data):
    return len(data).to_bytes(size, "big") + data


def _extension(number, data):
    return struct.pack(">H", number) + _vector(2, data)


def _x25519_share():
    key = x25519.X25519PrivateKey.generate().public_key()
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return struct.pack(">H", X25519) + _vector(2, raw)


def client_hello(name=None, share=None, session_id=bytes(32), alpn=()):
    """One record; `share` is X25519 for a key share, or None for none, which asks for a HelloRetryRequest."""
    extensions = _extension(43, b"\x02\x03\x04")  # supported_versions: TLS 1.3
    extensions += _extension(10, _vector(2, struct.pack(">HH", X25519, P256)))
    extensions += _extension(13, _vector(2, b"\x04\x03\x08\x04\x08\x05\x05\x03"))
    extensions += _extension(51, _vector(2, _x25519_share() if share == X25519 else b""))
    if name is not None:
        extensions += _extension(0, _vector(2, b"\0" + _vector(2, name.encode())))
    if alpn:
        extensions += _extension(16, _vector(2, b"".join(_vector(1, p.encode()) for p in alpn)))
    body = b"\x03\x03" + os.urandom(32) + _vector(1, session_id) + _vector(2, b"\x13\x01") + b"\x01\x00"
    body += _vector(2, extensions)
    message = b"\x01" + _vector(3, body)
    return b"\x16\x03\x01" + _vector(2, message)


class RawClient:
    def __init__(self, address, timeout=5):
        self.sock = socket.create_connection(address, timeout=timeout)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def _exactly(self, size):
        while len(self.buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("closed after %r" % self.buffer)
            self.buffer += data
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def record(self):
        """(type, payload) of the next record that is no ChangeCipherSpec."""
        while True:
            head = self._exactly(5)
            payload = self._exactly(int.from_bytes(head[3:5], "big"))
            if head[0] != 20:
                return head[0], payload

    def answer(self):
        """"retry", "hello", or the number of the alert."""
        kind, payload = self.record()
        if kind == ALERT:
            return payload[1]
        assert kind == HANDSHAKE and payload[0] == SERVER_HELLO, (kind, payload)
        return "retry" if payload[6:38] == RETRY_RANDOM else "hello"

    def close(self):
        self.sock.close()
