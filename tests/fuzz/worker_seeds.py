#!/usr/bin/env python3
"""Writes the seeds of worker_fuzz.c into corpus/worker/. A seed is a byte of settings and then acts:
one byte each (what to do, and in its upper half an argument), and what the act needs. The names here
are those of `enum act` there.

    tests/fuzz/worker_seeds.py        (writes what is missing or has changed)
"""
import pathlib
import struct

# --- settings ---------------------------------------------------------------------------------
UP_H2, TRUSTED, PROXY, SMALL, SMALL_SOCKETS, CUT = 1, 1 << 1, 2 << 1, 3 << 1, 8, 0x80

# --- acts -------------------------------------------------------------------------------------
NO_TURN, PIECES, BOTH_WAYS, WIDE, SHUT = 4, 8, 4, 4, 8


def act(kind, arg=0):
    return bytes([kind | arg << 4])


def text(payload):
    return struct.pack(">H", len(payload)) + payload


def client(payload, who=0, piece=0, arg=0):
    if piece:
        return act(0, who | arg | PIECES) + bytes([piece - 1]) + text(payload)
    return act(0, who | arg) + text(payload)


def up(payload, which=0, piece=0, arg=0):
    if piece:
        return act(1, which | arg | PIECES) + bytes([piece - 1]) + text(payload)
    return act(1, which | arg) + text(payload)


def frame(kind, flags, stream, payload=b"", who=0, arg=0):
    return act(2, who | arg) + bytes([kind, flags, stream]) + text(payload)


def up_frame(kind, flags, stream, payload=b"", which=0):
    return act(3, which) + bytes([kind, flags, stream]) + text(payload)


def answer(kind=0, which=0):
    return act(4, which) + bytes([kind])


def turns(count=0):
    return act(5, count)


TIMES = [1, 5, 16, 50, 100, 250, 490, 600, 1000, 1500, 2100, 3100, 4200, 9000, 30000, 600000]


def time(ms):
    return act(6, TIMES.index(ms))


def client_end(who=0, arg=0):
    return act(7, who | arg)


def up_end(which=0, arg=0):
    return act(8, which | arg)


def client_reads(who=0):
    return act(9, who)


def up_reads(which=0):
    return act(10, which)


def preface(who=0, arg=0):
    return act(11, who | arg)


def up_preface(which=0, arg=0):
    return act(12, which | arg)


def reload(config):
    return act(13, config)


def overload(level):
    return act(14, level)


def drain():
    return act(15)


# --- messages ---------------------------------------------------------------------------------
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


def request(path="/a", method="GET", fields=(), body=b"", version="1.1", host="a"):
    lines = [f"{method} {path} HTTP/{version}"] + ([f"Host: {host}"] if host else []) + list(fields)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def length(count):
    return f"Content-Length: {count}"


CHUNKED = "Transfer-Encoding: chunked"


def chunks(*pieces, trailers=b""):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


def hpack(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(path=b"/a", method=b"GET", fields=()):
    block = hpack(b":method", method) + b"\x86" + hpack(b":path", path) + hpack(b":authority", b"a")
    return block + b"".join(hpack(n, v) for n, v in fields)


def get(stream, path=b"/a", who=0, arg=0):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, head(path), who, arg)


SMUGGLED = request("/smuggled")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

SEEDS = {
    # HTTP/1, as it should be
    "h1-keepalive": (0, client(request()) + answer() + client(request("/b")) + answer(1)
                     + client(request("/c", "HEAD")) + answer()),
    "h1-pipelined": (0, client(request() + request("/answer") + request("/b") + request("/teapot"))
                     + answer() + answer()),
    "h1-post": (0, client(request("/p", "POST", [length(5)], b"hello")) + answer(2)
                + client(request("/q", "POST", [CHUNKED], chunks(b"hello", b"you"))) + answer(9)),
    "h1-dribbled": (0, client(request("/d", "PUT", [CHUNKED], chunks(b"hello", trailers=b"X-A: 1\r\n")),
                              piece=1) + up(OK, piece=3)),
    "h1-trailers": (0, client(request("/t", "POST", [CHUNKED, "Trailer: X-Sum"],
                                      chunks(b"a", trailers=b"X-Sum: 1\r\nContent-Length: 3\r\n"
                                                            b"Host: b\r\n"))) + answer(1)),
    "h1-expect": (0, client(request("/e", "POST", ["Expect: 100-continue", length(2)])) + answer(5)
                  + client(b"ok") + answer()),
    "h1-expect-refused": (0, client(request("/e", "POST", ["Expect: 100-continue", CHUNKED]))
                          + up(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n") + client(SMUGGLED)),
    "h1-upgrade": (0, client(request("/w", fields=["Upgrade: websocket", "Connection: upgrade"])
                             + SMUGGLED) + answer(6) + client(b"raw") + up(b"raw too")
                   + client_end() + up(b"more") + up_end()),
    "h1-upgrade-refused": (0, client(request("/w", fields=["Upgrade: websocket", "Connection: upgrade"])
                                     + SMUGGLED) + answer() + answer()),
    "h1-close-delimited": (0, client(request()) + answer(7) + up_end(0, BOTH_WAYS)),
    "h1-http10": (0, client(request(version="1.0", fields=["Connection: keep-alive"])
                            + request("/b", version="1.0")) + answer(1) + answer(1)),
    "h1-rewrite": (0, client(request("/rw/%41?b=c")) + answer() + client(request("http://a/rw/"))
                   + answer() + client(request("*", "OPTIONS")) + answer()),
    "h1-retry": (0, client(request()) + answer() + up_end(0, BOTH_WAYS | 8) + client(request("/again"))
                 + answer() + client(request("/half/a")) + client(request("/half/b"), 1)
                 + client(request("/half/c"), 2) + answer() + client(request("/gone"), 3)),
    "h1-retry-post": (0, client(request()) + answer() + client(request("/p", "POST", [length(0)]))
                      + up_end(0, BOTH_WAYS) + client(request("/q")) + answer() + client(request("/r"))
                      + up_end(0, BOTH_WAYS) + answer()),
    "h1-big-slow": (SMALL_SOCKETS, client(request()) + client_reads() + answer(9) + time(1000)
                    + client_reads() + client(request("/b", "POST", [length(20000)])) + up_reads()
                    + client(b"x" * 20000) + time(1000) + up_reads() + answer()),
    "h1-silent": (0, client(b"GET /a HT") + time(2100) + client(request("/b", "POST", [length(9)]), 1)
                  + time(2100) + client(request(), 2) + time(3100) + client(b"", 3) + time(2100)),
    # HTTP/1, as attackers write it
    "smuggle-cl-te": (0, client(request("/a", "POST", [length(len(SMUGGLED) + 5), CHUNKED],
                                        b"0\r\n\r\n" + SMUGGLED)) + answer()),
    "smuggle-te-te": (0, client(request("/a", "POST", [CHUNKED, "Transfer-Encoding: x"],
                                        b"0\r\n\r\n" + SMUGGLED)) + answer()),
    "smuggle-te-space": (0, client(request("/a", "POST", ["Transfer-Encoding : chunked", length(3)],
                                           b"0\r\n\r\n" + SMUGGLED)) + answer()),
    "smuggle-cl-cl": (0, client(request("/a", "POST", [length(0), length(30)], SMUGGLED)) + answer()),
    "smuggle-cl-odd": (0, client(request("/a", "POST", ["Content-Length: +3"], b"abc" + SMUGGLED))
                       + client(request("/a", "POST", ["Content_Length: 3"], b"abc"), 1) + answer()),
    "smuggle-get-body": (0, client(request("/a", "GET", [length(len(SMUGGLED))], SMUGGLED)) + answer()
                         + answer()),
    "smuggle-obs-fold": (0, client(request("/a", "POST", ["Transfer-Encoding:", "\tchunked"],
                                           chunks(b"a") + SMUGGLED)) + answer()),
    "smuggle-bare-lf": (0, client(b"GET /a HTTP/1.1\nHost: a\n\n" + SMUGGLED)
                        + client(b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\nZ: z\r\n\r\n", 1)),
    "smuggle-bare-cr": (0, client(b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked"
                                  b"\r\n\r\n")),
    "smuggle-chunk-size": (0, client(request("/a", "POST", [CHUNKED], b"5 \r\nhello\r\n0\r\n\r\n"))
                           + client(request("/a", "POST", [CHUNKED], b"ffffffffffffffff1\r\nh"), 1)
                           + client(request("/a", "POST", [CHUNKED], b"0x5\r\nhello\r\n0\r\n\r\n"), 2)
                           + client(request("/a", "POST", [CHUNKED], b"5;a=\"b\nc\"\r\nhello\r\n"), 3)),
    "smuggle-chunk-end": (0, client(request("/a", "POST", [CHUNKED], b"5\r\nhelloXX0\r\n\r\n"))
                          + client(request("/a", "POST", [CHUNKED], b"5\r\nhello\r\n0\r\n\n" + SMUGGLED),
                                   1) + answer()),
    "smuggle-connection": (0, client(request("/a", "POST", ["Connection: content-length", length(3)],
                                             b"abc")) + answer()
                           + client(request("/a", fields=["Connection: x-forwarded-for, host"]), 1)),
    "smuggle-absolute": (0, client(request("http://b/a", host="a") + SMUGGLED)
                         + client(request("//b/a"), 1) + client(request("/a b"), 2)),
    "smuggle-early-answer": (0, client(request("/a", "POST", [length(len(SMUGGLED))])) + answer()
                             + client(SMUGGLED)),
    "smuggle-too-long": (TRUSTED, client(request("/a", "POST", [CHUNKED], b"3e9\r\n" + b"x" * 1001 + b"\r\n"))
                         + client(request("/a", "POST", [length(1001)]), 1)),
    "h1-client-gone": (0, client(request("/a", "POST", [length(9)], b"part")) + client_end()
                       + client(request("/b", "POST", [CHUNKED], b"4\r\npart\r\n"), 1)
                       + client_end(1, BOTH_WAYS) + client(request("/c"), 2) + client_end(2) + answer()),
    "h1-head-refused": (0, client(b"HEAD /a HTTP/1.1\r\nHo+t: a\r\n\r\n" + SMUGGLED)
                        + client(request("/a", "HEAD", [length(0), length(1)]), 1)),
    "smuggle-preface": (0, client(request("/d", "PRI", [CHUNKED], b"\r\n")) + up(OK)
                        + client(b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", 1)),
    # an upstream that cannot be trusted
    "up-cl-te": (0, client(request() + request("/b")) + up(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                                                            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    "up-split": (0, client(request() + request("/b")) + up(OK + OK) + answer()),
    "up-bad-chunk": (0, client(request() + request("/b"))
                     + up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n")),
    "up-short": (0, client(request() + request("/b")) + up(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
                 + up_end(0, BOTH_WAYS)),
    "up-interim-flood": (0, client(request()) + up(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" * 20) + up(OK)),
    "up-switch-unasked": (0, client(request() + SMUGGLED) + answer(6) + up(OK)),
    "up-unsolicited": (0, client(request()) + answer() + up(OK) + client(request("/b")) + answer()),
    # … and whose connection is not to be used again
    "reuse-surplus": (0, client(request()) + up(OK + OK) + client(request("/b"), 1) + up(OK) + up(OK[:30])
                      + client(request("/c"), 2) + up(OK) + up(b"\r\n") + client(request("/d"), 3) + up(OK)),
    "reuse-surplus-slow": (SMALL_SOCKETS, client(request()) + client_reads() + answer(9) + up(OK) + time(5)
                           + client_reads() + turns() + client(request("/b"), 1) + answer()),
    "reuse-cut": (0, client(request()) + up(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
                  + client_end(0, BOTH_WAYS) + client(request("/b"), 1)
                  + up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")
                  + client_end(1, BOTH_WAYS) + client(request("/c"), 2) + client_end(2, BOTH_WAYS)
                  + client(request("/d"), 3) + answer()),
    "reuse-cut-upload": (0, client(request("/a", "POST", [length(40)], b"part")) + answer()
                         + client(request("/b"), 1) + answer()
                         + client(request("/c", "POST", [CHUNKED], b"4\r\npart\r\n"), 2) + answer()
                         + client(request("/d"), 3) + answer()),
    "reuse-last": (0, client(request()) + answer(8) + client(request("/b"))
                   + up(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok") + client(request("/c")) + answer()),
    "reuse-upgrade": (0, client(request("/w", fields=["Upgrade: websocket", "Connection: upgrade"])) + answer()
                      + client(request("/b")) + answer()),
    "reload-whole-answers": (0, client(request()) + answer(1) + reload(0) + client(request("/b")) + answer(1)),
    "up-left-halfway": (0, client(request()) + up(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nab")
                        + client_end(0, BOTH_WAYS) + client(request("/b"), 1) + up(OK + OK)),
    "up-ends-halfway": (SMALL_SOCKETS, client(request()) + client_reads() + answer(9) + time(1000)
                        + up_end(0, 8) + turns(2) + client_reads()),
    "up-no-body": (0, client(request("/a", "HEAD") + request("/b")) + up(OK) + answer()
                   + client(request("/c"), 1) + up(b"HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\nabc")),
    "up-oversized": (0, client(request()) + up(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000 + b"\r\n\r\n")
                     + client(request("/b")) + up(b"HTTP/1.1 200 OK\r\nX: y\r\n Z\r\n\r\n")
                     + client(request("/c"), 1) + up(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")),
    # HTTP/2 down
    "h2-get": (0, preface() + get(1) + answer() + get(3, b"/b") + answer(1) + get(5, b"/answer")),
    "h2-post": (0, preface() + frame(HEADERS, END_HEADERS, 1, head(method=b"POST", fields=[
        (b"content-length", b"5")])) + frame(DATA, 0, 1, b"he") + frame(DATA, END_STREAM, 1, b"llo")
        + answer() + frame(HEADERS, END_HEADERS, 3, head(b"/t", b"POST")) + frame(DATA, 0, 3, b"abc")
        + frame(HEADERS, END_HEADERS | END_STREAM, 3, hpack(b"x-sum", b"1")) + answer(1)),
    "h2-length-lies": (0, preface() + frame(HEADERS, END_HEADERS, 1, head(method=b"POST", fields=[
        (b"content-length", b"2")])) + frame(DATA, END_STREAM, 1, b"ab" + SMUGGLED) + answer()
        + frame(HEADERS, END_HEADERS | END_STREAM, 3, head(method=b"POST", fields=[
            (b"content-length", b"9")])) + answer()),
    "h2-fields": (0, preface() + frame(HEADERS, END_HEADERS | END_STREAM, 1, head(fields=[
        (b"transfer-encoding", b"chunked")])) + frame(HEADERS, END_HEADERS | END_STREAM, 3, head(
            fields=[(b"x", b"a\r\nTransfer-Encoding: chunked")])) + frame(
                HEADERS, END_HEADERS | END_STREAM, 5, head(b"/a HTTP/1.1\r\nX: y"))
        + frame(HEADERS, END_HEADERS | END_STREAM, 7, head(fields=[(b"X-Upper", b"1")]))
        + frame(HEADERS, END_HEADERS | END_STREAM, 9, head(method=b"GET /x HTTP/1.1"))
        + frame(HEADERS, END_HEADERS | END_STREAM, 11, head(fields=[(b"host", b"b")])) + answer()),
    "h2-rapid-reset": (0, preface() + b"".join(get(s, arg=NO_TURN) + frame(RST, 0, s, b"\0\0\0\x08")
                                               for s in range(1, 120, 2)) + answer()),
    "h2-continuation": (0, preface() + frame(HEADERS, END_STREAM, 1, head()[:9])
                        + frame(CONTINUATION, 0, 1, head()[9:20]) + frame(CONTINUATION, 4, 1, head()[20:])
                        + answer() + frame(HEADERS, 0, 3, head())
                        + b"".join(frame(CONTINUATION, 0, 3, hpack(b"x%d" % i, b"y")) for i in range(20))),
    "h2-control-flood": (0, preface() + b"".join(frame(PING, 0, 0, b"12345678", arg=NO_TURN)
                                                 + frame(SETTINGS, 0, 0, arg=NO_TURN) for _ in range(60))
                         + turns()),
    "h2-shut-window": (0, preface(0, WIDE | SHUT) + get(1) + get(3) + answer(9) + answer(9) + time(1000)
                       + frame(WINDOW, 0, 1, b"\0\0\1\0") + time(1500) + frame(WINDOW, 0, 3, b"\0\1\0\0")),
    "h2-made-you-reset": (0, preface() + b"".join(get(s) + frame(WINDOW, 0, s, b"\0\0\0\0")
                                                  for s in range(1, 30, 2))),
    "h2-padded-mess": (0, preface() + frame(HEADERS, END_HEADERS | PADDED, 1, b"\x03" + head(method=b"POST")
                                            + b"\0\0\0") + frame(DATA, PADDED | END_STREAM, 1, b"\x09ab")
                       + frame(DATA, 0, 3, b"idle") + frame(PUSH, 4, 1, b"\0\0\0\2" + head())),
    "h2-many-clients": (0, preface(0) + preface(1) + get(1, b"/zero", 0) + get(1, b"/one", 1)
                        + client(request("/two"), 2) + get(3, b"/three", 1, NO_TURN) + client_end(0, BOTH_WAYS)
                        + answer(0, 2) + answer(1, 1) + answer(0, 0) + answer() + drain()),
    # HTTP/2 up
    "uph2-mixed": (UP_H2, client(request()) + up_preface() + answer() + client(request("/p", "POST", [
        length(5)], b"hello")) + answer(2) + preface(1) + get(1, b"/two", 1) + answer(1)
        + client(request("/e", "POST", ["Expect: 100-continue", CHUNKED]), 2) + answer(5)
        + client(chunks(b"ab", trailers=b"X-Sum: 1\r\n"), 2) + answer(6)),
    "uph2-refused": (UP_H2, client(request()) + up_preface() + answer(3) + answer() + client(
        request("/b")) + answer(7) + answer() + client(request("/c"), 1)
        + up_frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\2")),
    "uph2-bad": (UP_H2, client(request()) + up_preface() + up_frame(HEADERS, 4, 1, b"\x88" + hpack(
        b"content-length", b"3")) + up_frame(DATA, 1, 1, b"abcd") + client(request("/b"), 1)
        + up_frame(HEADERS, 5, 3, hpack(b":status", b"101")) + client(request("/c"), 2)
        + up_frame(HEADERS, 5, 5, b"\x88" + hpack(b"connection", b"close")
                   + hpack(b"x", b"a\r\nb"))),
    "uph2-interim-flood": (UP_H2, client(request()) + up_preface()
                           + up_frame(HEADERS, 4, 1, hpack(b":status", b"103")) * 20 + answer()),
    "uph2-slow": (UP_H2 | SMALL_SOCKETS, preface(0, WIDE | SHUT) + get(1) + up_preface(0, WIDE | SHUT)
                  + answer(6) + time(1000) + frame(WINDOW, 0, 1, b"\0\0\x40\0")
                  + frame(HEADERS, END_HEADERS, 3, head(method=b"POST")) + frame(DATA, 0, 3, b"x" * 9000)
                  + up_frame(WINDOW, 0, 3, b"\0\0\4\0") + time(1500)
                  + up_frame(WINDOW, 0, 3, b"\0\1\0\0") + frame(DATA, 1, 3, b"end") + answer()),
    # the worker
    "proxy-v1": (PROXY, client(b"PROXY TCP4 198.51.100.9 192.0.2.9 1000 80\r\n" + request()) + answer()
                 + client(b"PROXY UNKNOWN\r\n" + request("/b", fields=["X_Odd: 1"]), 1)
                 + client(b"PROXY TCP4 1.2.3.4 1.2.3.4 00 80\r\n" + request("/c"), 2)
                 + client(request("/d"), 3)),
    "proxy-v2": (PROXY, client(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x09\xc0\0\2\x09\4\0\0\x50"
                               + request()) + answer()
                 + client(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 1, piece=5) + preface(1) + get(1, who=1)
                 + answer()),
    "trusted": (TRUSTED, client(request(fields=["X-Forwarded-For: 203.0.113.7, 192.0.2.9",
                                                "X-Request-Id: mine", "X_Odd: 1"])) + answer()
                + client(request("/b", fields=["X-Request-Id: mine"]), 1) + answer()),
    "small-limits": (SMALL, client(request("/limited")) + answer() + client(request("/limited"))
                     + answer() + client(request("/limited")) + client(request("/a", fields=[
                         "X-Key: k"] * 14), 1) + client(request("/" + "a" * 200), 2) + time(1000)
                     + client(request("/p", "POST", [length(101)]), 2)),
    "small-h2": (SMALL, preface() + b"".join(get(s, arg=NO_TURN) for s in (1, 3, 5, 7, 9)) + turns()
                 + answer() * 5),
    "reload": (0, client(request()) + reload(1) + answer() + client(request("/b")) + up_preface()
               + answer() + preface(1) + get(1, b"/c", 1) + reload(0) + answer() + get(3, b"/d", 1)
               + answer()),
    "drain": (0, client(request()) + preface(1) + get(1, b"/b", 1) + drain() + answer() + answer(0, 1)
              + client(request("/c"), 2) + time(1000) + get(3, b"/d", 1)),
    "overload": (0, client(request()) + overload(1) + answer() + overload(2) + client(request("/b"), 1)
                 + overload(3) + preface(2) + get(1, who=2) + overload(0) + client(request("/c"), 3)
                 + answer()),
    "cut": (CUT, client(request() + request("/b")) + preface(1) + get(1, who=1) + answer() + client(
        request("/p", "POST", [length(9)], b"ab"), 2)),
}


def main():
    folder = pathlib.Path(__file__).resolve().parent / "corpus" / "worker"
    for name, (settings, play) in SEEDS.items():
        (folder / name).write_bytes(bytes([settings]) + play)
    print(f"{len(SEEDS)} seeds in {folder}")


if __name__ == "__main__":
    main()
