"""HTTP/2 towards clients: by ALPN and by prior knowledge, both kinds of flow control, streams and limits."""

import hashlib
import threading
import time

import h2.errors
import h2.settings
import pytest

from harness import KIB, MIB
from harness import origin as o
from harness.tools import curl, h2load, nghttp

S = h2.settings.SettingCodes


@pytest.fixture(params=["tls", "plain"])
def transport(request):
    return {"tls": request.param == "tls"}


@pytest.mark.tsan
def test_h2_serves_by_alpn_and_by_prior_knowledge(weir, upstream, transport):
    up = upstream(o.echo())
    with weir(up, **transport).connect_h2() as client:
        stream = client.request("/page?x=1", fields=[("x-a", "b")])
    assert stream.status == 200
    assert (up.last.method, up.last.target) == ("GET", "/page?x=1")
    assert up.last.header("host") == "wiki.example" and up.last.header("x-a") == "b"


def test_curl_speaks_h2_to_a_plain_listener(weir, upstream):
    w = weir(upstream())
    out = curl("--http2-prior-knowledge", "-w", " %{http_version}", "http://127.0.0.1:%d/" % w.port()).stdout
    assert out == "hello 2"


def test_nghttp_loads_a_page_over_tls(weir, upstream):
    w = weir(upstream(o.respond(b"x" * 100000)), tls=True)
    out = nghttp("-ns", "--no-verify-peer", "https://127.0.0.1:%d/" % w.port(), check=False)
    if out.returncode != 0:  # older nghttp never verifies and does not know the option
        out = nghttp("-ns", "https://127.0.0.1:%d/" % w.port())
    assert " 200 " in out.stdout


@pytest.mark.tsan
def test_h2load_sees_no_errors(weir, upstream):
    w = weir(upstream(), tls=True)
    out = h2load("-n2000", "-c8", "-m16", "https://127.0.0.1:%d/" % w.port()).stdout
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in out


def test_h2_fields_are_lower_case_and_not_hop_by_hop(weir, upstream):
    up = upstream(o.respond(fields=[("X-CamelCase", "V"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")]))
    with weir(up).connect_h2() as client:
        stream = client.request()
    names = [name for name, _ in stream.fields]
    assert "x-camelcase" in names and names == [n.lower() for n in names]
    assert not {"connection", "keep-alive", "proxy-connection", "transfer-encoding"} & set(names)


def test_cookie_crumbs_are_joined_for_the_upstream(weir, upstream):
    up = upstream(o.echo())
    with weir(up).connect_h2() as client:
        client.request(fields=[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert up.last.headers("cookie") == ["a=1; b=2; c=3"]


def test_several_set_cookie_fields_stay_several(weir, upstream):
    up = upstream(o.respond(fields=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    with weir(up).connect_h2() as client:
        assert client.request().fields.all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.tsan
def test_streams_are_served_at_the_same_time(weir, upstream):
    """The first response waits for the last request, so the streams must be served in parallel."""
    last_came = threading.Event()

    def wait_for_last(conn, request):
        assert last_came.wait(10)
        o.respond(b"first")(conn, request)

    def say_last(conn, request):
        o.respond(b"last")(conn, request)
        last_came.set()

    up = upstream(o.by_path({"/first": wait_for_last, "/last": say_last}))
    with weir(up).connect_h2() as client:
        first, last = client.begin("/first"), client.begin("/last")
        assert client.finish(last).body == b"last"
        assert client.finish(first).body == b"first"


def test_100_streams_on_one_connection_all_succeed(weir, upstream):
    with weir(upstream(o.echo())).connect_h2() as client:
        ids = [client.begin("/%d" % n) for n in range(100)]
        for n, stream_id in enumerate(ids):
            assert '"target": "/%d"' % n in client.finish(stream_id).text


# --- bodies and trailers -----------------------------------------------------------------------------


def test_a_body_without_length_goes_up_chunked(weir, upstream):
    up = upstream(o.echo())
    with weir(up).connect_h2() as client:
        stream_id = client.begin("/", "POST", end=False)
        client.send_body(stream_id, b"abc" * 1000)
        assert '"body_bytes": 3000' in client.finish(stream_id).text
    assert up.last.chunked


def test_a_body_with_length_keeps_its_length(weir, upstream):
    up = upstream(o.echo())
    with weir(up).connect_h2() as client:
        stream = client.request("/", "POST", [("content-length", "5")], b"hello")
    assert stream.status == 200 and up.last.length == 5


def test_a_post_without_body_gets_a_length_of_zero_or_none(weir, upstream):
    up = upstream(o.echo())
    with weir(up).connect_h2() as client:
        assert client.request("/", "POST").status == 200
    assert not up.last.has_body


def test_trailers_go_both_ways(weir, upstream):
    up = upstream(o.respond(b"abc", trailers=[("X-Sum", "7")]))
    with weir(up).connect_h2() as client:
        stream_id = client.begin("/", "POST", [("te", "trailers")], end=False)
        client.send_body(stream_id, b"abc", trailers=[("x-up", "8")])
        stream = client.finish(stream_id)
    assert stream.body == b"abc" and stream.trailers.get("x-sum") == "7"
    assert up.last.trailers.get("x-up") == "8"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_response_arrives_unchanged(weir, upstream, transport, chunked):
    total = 8 * MIB
    with weir(upstream(o.Firehose(total, chunked=chunked)), **transport).connect_h2() as client:
        stream = client.request(timeout=60)
    assert hashlib.sha256(stream.body).hexdigest() == o.Firehose.sha256(total)


def test_a_large_request_arrives_unchanged(weir, upstream, transport):
    total = 8 * MIB
    with weir(upstream(o.echo()), **transport).connect_h2() as client:
        stream = client.request("/", "PUT", body=o.Firehose.piece(0, total), timeout=60)
    assert o.Firehose.sha256(total) in stream.text


def test_head_over_h2_has_no_body(weir, upstream):
    with weir(upstream(o.respond(b"x" * 77))).connect_h2() as client:
        stream = client.request(method="HEAD")
        assert stream.status == 200 and stream.body == b"" and stream.header("content-length") == "77"
        assert client.request().body == b"x" * 77


def test_an_upstream_that_breaks_off_resets_the_stream_not_the_connection(weir, upstream):
    cut = o.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    with weir(upstream(o.by_path({"/cut": cut}))).connect_h2() as client:
        stream = client.request("/cut")
        assert stream.reset is not None and not stream.ended
        assert client.request("/").body == b"hello"


# --- flow control ------------------------------------------------------------------------------------


def test_a_client_that_gives_no_window_stops_the_upstream(weir, upstream):
    hose = o.Firehose(32 * MIB)
    with weir(upstream(hose)).connect_h2(auto_ack=False) as client:
        stream_id = client.begin()
        client.drain_events()
        assert hose.wait_until_it_stalls() < 12 * MIB
        stream = client.streams[stream_id]
        assert len(stream.body) <= 65535
        client.auto_ack = True
        client.acknowledge(stream_id)
        client.wait(lambda: len(stream.body) > MIB, 20, "more than the first window")
        assert stream.body[:MIB] == o.Firehose.piece(0, MIB)


def test_a_stalled_stream_does_not_stop_its_neighbours(weir, upstream):
    hose = o.Firehose(32 * MIB)
    # The connection's window is wide; only the stream's is small.
    with weir(upstream(o.by_path({"/big": hose}))).connect_h2(auto_ack=False) as client:
        client.conn.increment_flow_control_window(8 * MIB)
        client.flush()
        client.begin("/big")
        client.drain_events()
        for _ in range(5):
            assert client.request("/small").body == b"hello"


def test_an_upstream_that_does_not_read_stops_the_client(weir, upstream):
    go_on = threading.Event()

    def handler(conn, request):
        assert go_on.wait(30)
        o.echo()(conn, request)

    body = b"x" * (16 * MIB)
    with weir(upstream(handler)).connect_h2() as client:
        stream_id = client.begin("/", "PUT", end=False)
        with pytest.raises(AssertionError, match="no window"):
            client.send_body(stream_id, body, timeout=2)
        go_on.set()


def test_a_ping_for_each_piece_of_data_is_no_flood(weir, upstream):
    """gRPC measures bandwidth like that, without end."""
    settings, total = {S.INITIAL_WINDOW_SIZE: 1000}, 2 * MIB
    with weir(upstream(o.Firehose(total))).connect_h2(settings=settings) as client:
        stream = client.streams[client.begin()]
        while not stream.done:
            seen = len(stream.body)
            client.wait(lambda: len(stream.body) > seen or stream.done, 10, "data")
            client.conn.ping(b"bdp-ping")
        assert len(stream.body) == total and client.goaway is None
    assert client.pings > 1600  # more than could be free without data


def test_small_windows_still_deliver_everything(weir, upstream):
    settings = {S.INITIAL_WINDOW_SIZE: 100}
    with weir(upstream(o.respond(b"y" * 20000))).connect_h2(settings=settings) as client:
        assert client.request(timeout=20).body == b"y" * 20000


# --- limits and resets -------------------------------------------------------------------------------


def test_the_stream_limit_is_advertised(weir, upstream):
    with weir(upstream(), listener={"limits": {"max_streams": 7}}).connect_h2() as client:
        client.request()
        assert client.settings_seen[S.MAX_CONCURRENT_STREAMS] == 7


def test_a_stream_beyond_the_limit_is_refused(weir, upstream):
    up = upstream(o.silence)
    with weir(up, listener={"limits": {"max_streams": 5}}).connect_h2() as client:
        # Five more than allowed, in one write, before weir's SETTINGS were looked at.
        ids = [client.begin("/%d" % n) for n in range(10)]
        client.drain_events(0.5)
        refused = [i for i in ids if client.streams[i].reset is not None]
        assert client.closed or client.goaway or len(refused) == 5
    assert len(up.requests) <= 5


def test_a_reset_stream_cancels_the_upstream_request(weir, upstream):
    up = upstream(o.silence)
    with weir(up).connect_h2() as client:
        stream_id = client.begin()
        conn = up.wait_for_requests(1).conn
        began = time.monotonic()
        client.reset(stream_id)
        assert conn.closed.wait(5)
        assert time.monotonic() - began < 1
        # the connection stays usable
        up.handler = o.respond()
        assert client.request().body == b"hello"


def test_a_closed_connection_cancels_all_its_upstream_requests(weir, upstream):
    up = upstream(o.silence)
    client = weir(up).connect_h2()
    for _ in range(10):
        client.begin()
    up.wait_for_requests(10)
    client.close()
    for conn in up.connections:
        assert conn.closed.wait(5)


def test_ping_is_answered(weir, upstream):
    with weir(upstream()).connect_h2() as client:
        client.conn.ping(b"12345678")
        client.flush()
        client.wait(lambda: client.pings == 1, 5, "PING ACK")


def test_after_max_requests_there_is_a_goaway(weir, upstream):
    with weir(upstream(), listener={"limits": {"max_requests": 3}}).connect_h2() as client:
        for _ in range(3):
            assert client.request().status == 200
        client.wait(lambda: client.goaway is not None, 5, "GOAWAY")
        assert client.goaway.error_code == h2.errors.ErrorCodes.NO_ERROR
        assert client.is_closed()


def test_expect_100_continue_over_h2_gets_its_100(weir, upstream):
    with weir(upstream(o.echo())).connect_h2() as client:
        stream_id = client.begin("/", "POST", [("expect", "100-continue")], end=False)
        client.wait(lambda: client.streams[stream_id].interim == [100], 5, "100")
        client.send_body(stream_id, b"abc")
        assert '"body_bytes": 3' in client.finish(stream_id).text
