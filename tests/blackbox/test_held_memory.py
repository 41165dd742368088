"""The memory that weir holds for one client connection is bounded, and is released after the connection closes.

Each way is played with one connection in every run. With WEIR_LONG=1 it is played with 50, too, and for longer;
with WEIR_HELD_TABLE=FILE each adds a row of Markdown to FILE. docs/security.md explains the limits."""

import os

import pytest

from harness import KIB, MIB, hoard
from harness.weir import is_sanitized

LONG = bool(os.environ.get("WEIR_LONG"))
SECONDS = 5 if LONG else 1.2
STREAMS = 100

H1_BOUND = 1 * MIB
H2_BOUND = 16 * MIB

BIG = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 3900) for n in range(15))

# (what, protocols of the client, of the upstream, what the client says)
WAYS = [
    ("pipelining, reading nothing", "h1", "h1", lambda: hoard.get(b"/fits", 20000)),
    ("a large answer unread", "h1", "h1", lambda: hoard.get(b"/large")),
    ("a large answer unread, h2 upstream", "h1", "h2", lambda: hoard.get(b"/")),
    ("a chunked answer unread", "h1", "h1", lambda: hoard.get(b"/chunked")),
    ("pipelined large heads of answers unread", "h1", "h1", lambda: hoard.get(b"/head", 20000)),
    ("an upload to a frozen upstream", "h1", "h1",
     lambda: hoard.post(b"/frozen", b"Content-Length: %d" % (1 << 40), hoard.PIECE)),
    ("a chunked upload to a frozen upstream", "h1", "h1",
     lambda: hoard.post(b"/frozen", b"Transfer-Encoding: chunked", b"1000\r\n%s\r\n" % bytes(4096) * 16)),
    ("an upload to a frozen h2 upstream", "h1", "h2",
     lambda: hoard.post(b"/", b"Content-Length: %d" % (1 << 40), hoard.PIECE)),
    ("a head that does not end", "h1", "h1", lambda: (b"GET / HTTP/1.1\r\nHost: a\r\n" + BIG, b"")),
    ("trailers that do not end", "h1", "h1",
     lambda: (b"POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + BIG, b"")),
    ("a tunnel, to the client", "h1", "h1", lambda: hoard.websocket(b"/ws-flood")),
    ("a tunnel, to the upstream", "h1", "h1", lambda: hoard.websocket(b"/ws-frozen", hoard.PIECE)),
    ("100 answers that fit, window 0", "h2", "h1", lambda: hoard.h2_gets(b"/fits", STREAMS)),
    ("100 large answers, window 0", "h2", "h1", lambda: hoard.h2_gets(b"/large", STREAMS)),
    ("100 large answers, open windows, unread", "h2", "h1", lambda: hoard.h2_gets(b"/large", STREAMS, (1 << 31) - 1)),
    ("100 chunked answers, window 0", "h2", "h1", lambda: hoard.h2_gets(b"/chunked", STREAMS)),
    ("100 large heads of answers, unread", "h2", "h1", lambda: hoard.h2_gets(b"/head", STREAMS)),
    ("100 large answers, window 0, h2 upstream", "h2", "h2", lambda: hoard.h2_gets(b"/", STREAMS)),
    ("100 uploads to a frozen upstream", "h2", "h1", lambda: hoard.h2_posts(b"/frozen", STREAMS)),
    ("100 uploads to a frozen h2 upstream", "h2", "h2", lambda: hoard.h2_posts(b"/", STREAMS)),
    ("100 indexed heads, silent upstream", "h2", "h1", lambda: hoard.h2_indexed_heads(b"/silent", STREAMS)),
]


def note(row):
    path = os.environ.get("WEIR_HELD_TABLE")
    if path:
        with open(path, "a") as table:
            table.write("| %s |\n" % " | ".join(row))


@pytest.fixture
def origin():
    one = hoard.Origin()
    yield one
    one.stop()


@pytest.mark.parametrize("connections", [1, 50] if LONG else [1])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("what, down, up, says", WAYS, ids=[way[0] for way in WAYS])
def test_a_connection_holds_little_and_gives_it_back(weir, origin, what, down, up, says, tls, connections):
    w = weir(origin, tls=tls, group={"protocol": up, "max_connections": 10000, "max_pending": 10000, "max_requests": 0})
    warm(w, down, tls)
    context = (lambda: w.ca.client_context()) if tls else (lambda: None)
    streams = STREAMS if down == "h2" else 1
    alpn = "h2" if down == "h2" else "http/1.1"

    def client():
        return hoard.Hoarder(w.address(), says(), context(), alpn, streams)

    bound = (H2_BOUND if down == "h2" else H1_BOUND) * connections + 4 * MIB
    result = hoard.hoard(w.pid, [client] * connections, SECONDS, 4, 4 * MIB)
    note([what, ("TLS, " if tls else "") + down, str(connections), "%.1f" % (result.sent / MIB),
          "%.2f" % (result.grown / MIB / connections), "%.1f" % (result.left / MIB)])
    if is_sanitized():
        return  # sanitizers keep what is freed
    assert result.grown < bound, "%.1f MiB" % (result.grown / MIB)
    assert result.left <= 8 * MIB + connections * 128 * KIB, "%.1f MiB left after %.1f s" % (result.left / MIB, result.seconds_to_return)


def warm(w, down, tls):
    """What a first connection costs once does not count."""
    for _ in range(2):
        sock = hoard.Hoarder(w.address(), hoard.get(b"/fits") if down == "h1" else hoard.h2_gets(b"/fits", 1),
                             w.ca.client_context() if tls else None, "h2" if down == "h2" else "http/1.1", 1)
        hoard.hoard(w.pid, [lambda: sock], 0.1, 0, 0)
