"""A body that comes in tiny pieces leaves in pieces as large as what came in one turn of the loop."""

import re
import socket
import threading

import pytest

from harness.frames import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, literal

PIECES = 30000  # fits into the initial window
MOST = 400  # pieces that may be left of them
CHUNKS = b"1\r\nx\r\n" * PIECES + b"0\r\n\r\n"


def data_frames(stream):
    return frame(DATA, 0, stream, b"x") * PIECES + frame(DATA, END_STREAM, stream)


class Wire:
    """One end of a connection: reads a message of either version and remembers how its body was cut."""

    def __init__(self, sock):
        self.sock, self.input = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise OSError("closed")
        self.input += data

    def read_chunked(self):
        while not self.input.endswith(b"0\r\n\r\n"):
            self.more()
        head, _, rest = self.input.partition(b"\r\n\r\n")
        assert b"chunked" in head.lower()
        self.input = b""
        sizes = []
        while True:
            size, _, rest = rest.partition(b"\r\n")
            assert re.fullmatch(b"[1-9a-f][0-9a-f]*|0", size)
            if size == b"0":
                return sizes
            sizes.append(int(size, 16))
            assert rest[: sizes[-1] + 2] == b"x" * sizes[-1] + b"\r\n"
            rest = rest[sizes[-1] + 2 :]

    def read_frames(self):
        sizes = []
        while True:
            while len(self.input) < 9 or len(self.input) < 9 + int.from_bytes(self.input[:3], "big"):
                self.more()
            size, kind, flags = int.from_bytes(self.input[:3], "big"), self.input[3], self.input[4]
            self.input = self.input[9 + size :]
            if kind == DATA and size:
                sizes.append(size)
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return sizes


class TinyOrigin:
    """Answers one message in tiny pieces with another, in the version that it is spoken to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sizes = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            sock, _ = self.listener.accept()
            wire = Wire(sock)
            while len(wire.input) < len(PREFACE):
                wire.more()
            if wire.input.startswith(PREFACE):
                wire.input = wire.input[len(PREFACE) :]
                sock.sendall(frame(SETTINGS, 0, 0))
                self.sizes = wire.read_frames()
                sock.sendall(frame(HEADERS, END_HEADERS, 1, b"\x88") + data_frames(1))
            else:
                self.sizes = wire.read_chunked()
                sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
            while sock.recv(65536):  # to close with bytes unread would be a reset
                pass
        except OSError:
            pass

    def stop(self):
        self.listener.close()


@pytest.mark.parametrize("up", ["h1", "h2"])
@pytest.mark.parametrize("down", ["h1", "h2"])
def test_pieces_of_one_turn_leave_together(weir, down, up):
    origin = TinyOrigin()
    w = weir(origin, group={"protocol": up})
    sock = socket.create_connection(w.address(), timeout=20)
    wire = Wire(sock)
    if down == "h1":
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
        sizes = wire.read_chunked()
    else:
        head = b"\x83\x86\x84" + literal(b":authority", b"a")  # POST http /
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, head) + data_frames(1))
        sizes = wire.read_frames()
    sock.close()
    origin.stop()
    assert sum(origin.sizes) == sum(sizes) == PIECES
    assert len(origin.sizes) <= MOST, "to the upstream"
    assert len(sizes) <= MOST, "to the client"
