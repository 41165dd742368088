"""Attacks with raw HTTP/2 frames: floods end with GOAWAY or a closed connection, nothing of them reaches
an upstream beyond the cap, memory stays, and others are served meanwhile."""

import socket
import struct
import time

import h2.errors
import pytest

from harness import KIB, MIB
from harness import origin as o
from harness.frames import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEAD, HEADERS, PING, PREFACE, PRIORITY, RST, SETTINGS, WINDOW, frame,
    literal,
)
from harness.weir import is_sanitized


class Raw:
    """A connection that sends the given frames, and reads and keeps the frames that it receives."""

    def __init__(self, w):
        self.sock = socket.create_connection(w.address(), timeout=10)
        self.sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.goaway = self.seen = None
        self.data = b""

    def send(self, data):
        try:
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def frames(self, seconds=5):
        """Everything until the connection is closed, or nothing came for that long."""
        self.sock.settimeout(seconds)
        self.closed = False
        try:
            while chunk := self.sock.recv(65536):
                self.data += chunk
            self.closed = True
        except socket.timeout:
            pass
        except OSError:
            self.closed = True
        at, out = 0, []
        while at + 9 <= len(self.data):
            size = int.from_bytes(self.data[at : at + 3], "big")
            out.append((self.data[at + 3], int.from_bytes(self.data[at + 5 : at + 9], "big") & 0x7FFFFFFF, self.data[at + 9 : at + 9 + size]))
            at += 9 + size
        return out

    def goaway_code(self, seconds=5):
        """The error code of the GOAWAY; None when the connection was closed without; fails when it lives."""
        codes = [int.from_bytes(p[4:8], "big") for kind, _, p in self.frames(seconds) if kind == GOAWAY]
        assert self.closed, "the connection is still open"
        return codes[-1] if codes else None


def ends_badly(raw, *codes):
    code = raw.goaway_code()
    assert code is None or code in codes, "GOAWAY with %r" % code


EYC, IE, PE, FC, FSE, CE = (h2.errors.ErrorCodes[n].value for n in (
    "ENHANCE_YOUR_CALM", "INTERNAL_ERROR", "PROTOCOL_ERROR", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR", "COMPRESSION_ERROR"))


@pytest.fixture
def rig(weir, upstream):
    up = upstream(o.respond(delay=0.2))
    w = weir(up)
    w.up = up
    good = w.connect()
    assert good.request().status == 200
    yield w
    assert good.request().status == 200  # other clients are not affected
    assert w.admin("/ready")[0] == 200


def test_rapid_reset(rig):
    raw = Raw(rig)
    for n in range(2000):
        stream = 2 * n + 1
        if not raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD) + frame(RST, 0, stream, struct.pack(">I", 8))):
            break
    ends_badly(raw, EYC, IE)
    rig.wait_for_reason("h2_flood")
    assert len(rig.up.requests) < 400  # far less than was asked for


def test_made_you_reset(rig):
    raw = Raw(rig)
    for n in range(2000):
        stream = 2 * n + 1
        if not raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD) + frame(WINDOW, 0, stream, struct.pack(">I", 0))):
            break
    ends_badly(raw, EYC, IE, PE)
    assert len(rig.up.requests) < 400


def test_continuation_flood(rig):
    raw = Raw(rig)
    before = rig.resident_bytes()
    raw.send(frame(HEADERS, END_STREAM, 1, HEAD))
    for _ in range(20000):
        if not raw.send(frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100))):
            break
    ends_badly(raw, EYC, IE, PE)
    assert rig.resident_bytes() - before < 8 * MIB
    assert len(rig.up.requests) == 1


@pytest.mark.parametrize("cookie", [True, False])
def test_hpack_bombs(rig, cookie):
    """One field is put into the dynamic table and then repeated with one byte each: 4000 bytes from one."""
    raw = Raw(rig)
    before = rig.resident_bytes()
    name = b"cookie" if cookie else b"x"
    block = HEAD + literal(name, b"y" * 4000, index=0x40) + b"\xbe" * 4000
    for stream in range(1, 100, 2):
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, block))
    ends_badly(raw, EYC)
    rig.wait_for_reason("h2_flood")  # some may be a mistake, fifty are none
    assert rig.resident_bytes() - before < 16 * MIB
    assert len(rig.up.requests) == 1


def test_indexed_heads_of_many_silent_streams_hold_little(weir, upstream):
    """60 KiB of fields for each of 100 streams, from 15 bytes each."""
    up = upstream(o.respond(delay=3))
    w = weir(up, group={"max_connections": 200})
    before = w.resident_bytes()
    raw = Raw(w)
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD + literal(b"x", b"y" * 4000, index=0x40) + b"\xbe" * 14))
    for stream in range(3, 200, 2):
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD + b"\xbe" * 15))
    w.wait_for_reason("headers_held", 80)
    most = 12 if is_sanitized() else 6  # sanitizers keep what is freed
    assert w.resident_bytes() - before < most * MIB
    assert len(up.requests) <= 17
    assert w.connect_h2().request("/").status == 200  # another connection has its own


@pytest.mark.parametrize("crumbs, served", [(120, True), (200, False)])
def test_cookie_crumbs_count(rig, crumbs, served):
    raw = Raw(rig)
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD + literal(b"cookie", b"a=b", index=0x40) + b"\xbe" * (crumbs - 1)))
    raw.frames(0.8)
    assert len(rig.up.requests) == (2 if served else 1)
    if not served:
        rig.wait_for_metric(lambda m: m.reason("too_many_fields") + m.reason("headers_too_large") >= 1)


@pytest.mark.parametrize("name, data", [
    ("ping", frame(PING, 0, 0, b"12345678")),
    ("settings", frame(SETTINGS, 0, 0)),
    ("ping answers", frame(PING, 1, 0, b"12345678")),
    ("empty data", frame(0, 0, 1)),
    ("padding only", frame(0, 8, 1, b"\0")),
    ("unknown", frame(0x42, 0, 0)),
    ("goaway", frame(GOAWAY, 0, 0, bytes(8))),
    ("priority", frame(PRIORITY, 0, 1, b"\0\0\0\3\x10")),
    ("reset of an idle stream", frame(RST, 0, 9, struct.pack(">I", 8))),
    ("window by one", frame(WINDOW, 0, 0, struct.pack(">I", 1))),
])
def test_floods_of_small_frames(rig, name, data):
    raw = Raw(rig)
    before = rig.resident_bytes()
    raw.send(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84" + literal(b":authority", b"a")))
    for _ in range(200):
        if not raw.send(data * 1000):  # without reading a byte
            break
    ends_badly(raw, EYC, IE, PE)
    assert rig.resident_bytes() - before < 8 * MIB


def test_33_settings_in_one_frame(rig):
    raw = Raw(rig)
    raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100) * 33))
    ends_badly(raw, EYC)


@pytest.mark.parametrize("data", [
    pytest.param(frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)), id="update"),
    pytest.param(frame(HEADERS, END_HEADERS, 1, HEAD) + frame(WINDOW, 0, 1, struct.pack(">I", 0x7FFF0000))
                 + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x20000)), id="settings"),
])
def test_windows_overflow(rig, data):
    raw = Raw(rig)
    raw.send(data)
    assert raw.goaway_code() == FC


def test_a_window_update_of_nothing(rig):
    raw = Raw(rig)
    raw.send(frame(WINDOW, 0, 0, struct.pack(">I", 0)))
    ends_badly(raw, PE)


@pytest.mark.parametrize("first, then, code", [(1, 1, "STREAM_CLOSED"), (5, 3, "PROTOCOL_ERROR")], ids=["ended", "passed over"])
def test_headers_of_a_past_stream_end_the_connection(rig, first, then, code):
    """RFC 9113 sections 5.1 and 5.1.1."""
    raw = Raw(rig)
    for stream in (first, then):
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD))
        raw.frames(0.5)
    assert raw.goaway_code() == h2.errors.ErrorCodes[code].value
    rig.wait_for_reason("h2_protocol")
    assert len(rig.up.requests) == 2


def test_data_of_an_ended_stream_ends_the_connection(rig):
    """RFC 9113 section 6.1."""
    raw = Raw(rig)
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD))
    raw.frames(0.5)
    raw.send(frame(DATA, 0, 1, b"more"))
    raw.frames(0.5)
    assert raw.goaway_code() == h2.errors.ErrorCodes.STREAM_CLOSED.value


@pytest.mark.parametrize("data, code", [
    pytest.param(frame(HEADERS, END_HEADERS, 1, HEAD) + frame(RST, 0, 1, struct.pack(">I", 8)) + frame(DATA, 0, 1, b"more"),
                 "STREAM_CLOSED", id="data after a reset"),
    pytest.param(frame(HEADERS, END_HEADERS, 5, HEAD) + frame(DATA, 0, 3, b"more"), "PROTOCOL_ERROR", id="data of a skipped stream"),
    pytest.param(frame(PRIORITY, 0, 0, b"\0\0\0\1\x10"), "PROTOCOL_ERROR", id="priority of no stream"),
    pytest.param(frame(PRIORITY, 0, 3, b"\x80\0\0\3\x10"), "PROTOCOL_ERROR", id="depends on itself"),
])
@pytest.mark.parametrize("pieces", [False, True], ids=["one write", "byte by byte"])
def test_what_could_be_ignored_ends_the_connection(rig, data, code, pieces):
    """RFC 9113 sections 5.1, 6.1 and 6.3, RFC 7540 section 5.3.1: however the frames come."""
    raw = Raw(rig)
    for piece in [data[n : n + 1] for n in range(len(data))] if pieces else [data]:
        raw.send(piece)
        time.sleep(0.001)
    assert raw.goaway_code() == h2.errors.ErrorCodes[code].value


def test_data_that_crosses_our_reset_does_no_harm(rig):
    raw = Raw(rig)
    bad = b"\x83\x86\x84" + literal(b":authority", b"a") + literal(b"x", b" y")
    raw.send(frame(HEADERS, END_HEADERS, 1, bad))
    assert any(kind == RST for kind, _, _ in raw.frames(0.5))
    for _ in range(50):
        raw.send(frame(DATA, 0, 1, bytes(1000)))
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, HEAD))
    assert (0, 3, b"hello") in raw.frames(1)
    assert not raw.closed


def test_trailers_that_cross_our_reset_do_no_harm(rig):
    raw = Raw(rig)
    bad = b"\x83\x86\x84" + literal(b":authority", b"a") + literal(b"x", b" y")
    raw.send(frame(HEADERS, END_HEADERS, 1, bad))
    assert any(kind == RST for kind, _, _ in raw.frames(0.5))
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, literal(b"x", b"y")))
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, HEAD))
    assert (0, 3, b"hello") in raw.frames(1)
    assert not raw.closed


def test_hpack_index_out_of_range(rig):
    raw = Raw(rig)
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD + b"\xff\xff\x0f"))
    ends_badly(raw, CE)
    rig.wait_for_reason("h2_protocol")
    rig.wait_for_log("h2_connection_error .*reason=h2_protocol")


BAD_HEADS = {
    "method twice": b"\x82" + HEAD,
    "unknown pseudo": HEAD + literal(b":x", b"y"),
    "pseudo after field": b"\x82\x86" + literal(b"x", b"y") + b"\x84" + literal(b":authority", b"a"),
    "no path": b"\x82\x86" + literal(b":authority", b"a"),
    "no method": b"\x86\x84" + literal(b":authority", b"a"),
    "status": HEAD + literal(b":status", b"200"),
    "connection": HEAD + literal(b"connection", b"close"),
    "te": HEAD + literal(b"te", b"gzip"),
    "transfer-encoding": HEAD + literal(b"transfer-encoding", b"chunked"),
    "upgrade": HEAD + literal(b"upgrade", b"websocket"),
    "keep-alive": HEAD + literal(b"keep-alive", b"5"),
    "proxy-connection": HEAD + literal(b"proxy-connection", b"close"),
    "upper case": HEAD + literal(b"X-Y", b"z"),
    "empty name": HEAD + literal(b"", b"z"),
    "cr lf in value": HEAD + literal(b"x", b"a\r\nhost: b"),
    "nul in value": HEAD + literal(b"x", b"a\0b"),
    "lf in name": HEAD + literal(b"x\ny", b"z"),
    "space in path": b"\x82\x86" + literal(b":path", b"/ HTTP/1.1") + literal(b":authority", b"a"),
    "crlf in path": b"\x82\x86" + literal(b":path", b"/\r\nx: y") + literal(b":authority", b"a"),
    "space in method": literal(b":method", b"GET /x") + b"\x86\x84" + literal(b":authority", b"a"),
    "length without body": HEAD + literal(b"content-length", b"5"),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_malformed_heads_reach_no_upstream(rig, name):
    raw = Raw(rig)
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, BAD_HEADS[name]))
    answers = [(kind, payload) for kind, stream, payload in raw.frames(0.6) if stream == 1 or kind == GOAWAY]
    assert answers, "no answer"
    assert any(kind in (RST, GOAWAY, HEADERS) for kind, _ in answers)
    assert len(rig.up.requests) == 1


def test_a_body_shorter_than_its_length_leaves_no_upstream_connection_behind(rig):
    raw = Raw(rig)
    raw.send(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84" + literal(b":authority", b"a") + literal(b"content-length", b"5")))
    time.sleep(0.1)
    raw.send(frame(0, END_STREAM, 1, b"four"))
    raw.frames(0.6)
    bad = [r for r in rig.up.requests if r.method == "POST"]
    assert not any(r.whole for r in bad)
    for request in bad:
        assert request.conn.closed.wait(5)


def test_zero_windows_hold_little(weir, upstream):
    """100 large responses at window zero; updates of one byte do not extend the deadline."""
    up = upstream(o.Firehose(16 * MIB))
    w = weir(up, listener={"timeouts": {"write": "2s"}}, group={"max_connections": 200})
    before = w.resident_bytes()
    raw = Raw(w)
    raw.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    for n in range(100):
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, HEAD))
    began = time.monotonic()
    peak = 0
    raw.sock.settimeout(0.2)
    while time.monotonic() - began < 15:
        peak = max(peak, w.resident_bytes())
        try:
            if raw.sock.recv(65536) == b"":
                break
        except socket.timeout:
            pass
        except OSError:
            break
    assert time.monotonic() - began < 10, "still open"
    assert peak - before < 100 * 256 * KIB
    for conn in up.connections:
        assert conn.closed.wait(5)
