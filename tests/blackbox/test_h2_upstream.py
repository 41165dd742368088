"""HTTP/2 to upstreams: the fields of a request, and faults of the upstream."""

import time

import pytest

from harness.client import request_bytes
from harness.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame
from harness.h2origin import H2Origin, respond


@pytest.fixture
def h2_upstream():
    """h2_upstream(handler): an origin that speaks h2 without TLS; beside it the group's configuration."""
    started = []

    def start(handler=None, **options):
        started.append(H2Origin(handler, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
        assert not one.broken, one.broken


H2 = {"protocol": "h2"}


def test_an_h1_request_becomes_an_h2_request(weir, h2_upstream):
    up = h2_upstream()
    client = weir(up, group=H2).connect()
    assert client.request("/a?b", fields=[("X-Case", "Yes")]).body == b"hello"
    call = up.calls[-1]
    assert call.ended.wait(5)
    assert [call.values(n) for n in (":method", ":path", "x-case")] == [["GET"], ["/a?b"], ["Yes"]]
    assert len(call.values(":authority")) == 1 and not call.values("host")


@pytest.mark.parametrize("tls, scheme", [(False, "http"), (True, "https")])
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_the_scheme_is_that_of_the_listener(weir, h2_upstream, protocol, tls, scheme):
    """RFC 9113 section 8.3.1; the scheme in a client's target is not trusted."""
    up = h2_upstream()
    w = weir(up, tls=tls, group=H2)
    if protocol == "h2":
        client = w.connect_h2()
        client.scheme = "https"
        assert client.request().status == 200
    else:
        client = w.connect()
        assert client.request().status == 200
        assert up.calls[-1].values(":scheme") == [scheme]
        client.send(b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().status == 200
    assert up.calls[-1].values(":scheme") == [scheme]


def test_a_request_without_authority_goes_on_without_one(weir, h2_upstream):
    """RFC 9113 section 8.3.1: an empty :authority must not be made up for HTTP/1.0."""
    up = h2_upstream(validate=False)  # python-h2 wants a name all the same
    assert weir(up, group=H2).exchange(b"GET /old HTTP/1.0\r\n\r\n").status == 200
    assert up.calls[-1].values(":authority") == []


@pytest.mark.parametrize("value, wanted", [("trailers", ["trailers"]), (None, [])])
def test_te_trailers_goes_on_over_h2(weir, h2_upstream, value, wanted):
    """gRPC servers refuse calls without it."""
    up = h2_upstream()
    client = weir(up, group=H2).connect_h2()
    fields = [("te", value)] if value else []
    assert client.request(method="POST", body=b"x", fields=fields).status == 200
    assert up.calls[-1].values("te") == wanted


def test_no_other_te_goes_on_over_h2(weir, h2_upstream):
    up = h2_upstream()
    client = weir(up, group=H2).connect()
    for te in ("gzip", "trailers, gzip;q=0.5"):
        assert client.request(fields=[("TE", te), ("Connection", "TE")]).status == 200
        assert up.calls[-1].values("te") == []


def test_names_are_in_lower_case_over_h2_however_they_are_spelled(weir, h2_upstream):
    """RFC 9113 section 8.2.1."""
    up = h2_upstream()
    rules = {"set": {"X-CaMeL": "1", "X-Client-PORT": "2"}}
    conf = {"header_case": "proper"}
    w = weir(up, group={**H2, **conf}, listener={"headers": {"request": rules, "response": rules}, **conf})
    assert w.get(fields=[("X-wEiRd", "1"), ("ACCEPT", "*/*")]).status == 200
    names = [name for name, _ in up.calls[-1].fields]
    assert {"x-camel", "x-client-port", "x-weird", "accept"} <= set(names) and names == [n.lower() for n in names]
    with w.connect_h2() as client:
        response = client.request()
        assert response.header("x-camel") == "1"
        assert all(name == name.lower() for name, _ in response.fields)


@pytest.mark.parametrize("where", ["head", "interim", "trailers"])
@pytest.mark.parametrize(
    "field",
    [("te", "trailers"), ("te", "gzip"), ("connection", "close"), ("keep-alive", "timeout=5"), ("upgrade", "h2c"),
     ("proxy-connection", "close"), ("transfer-encoding", "chunked")],
)
def test_a_response_with_a_field_of_the_connection_is_malformed(weir, h2_upstream, where, field):
    """RFC 9113 section 8.2.2: TE may stand in requests only, the others nowhere."""

    def handler(call):
        if where == "interim":
            call.head(103, [("link", "</a>"), field])
        call.head(200, [field] if where == "head" else [])
        call.data(b"x", end=False)
        call.end_with([("x-sum", "1")] + ([field] if where == "trailers" else []))

    w = weir(h2_upstream(handler, validate=False), group=H2)
    with w.connect_h2() as client:
        response = client.request()
        assert response.status == 502 if where != "trailers" else response.reset is not None
    w.wait_for_reason("upstream_protocol")


def test_an_upgrade_is_an_ordinary_request_over_h2(weir, h2_upstream):
    """h2 has no Upgrade (RFC 9113 section 8.6): the request must end, or the upstream waits for ever."""
    up = h2_upstream()
    client = weir(up, group=H2).connect()
    for _ in range(2):
        client.send(request_bytes("/ws", fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")]))
        assert client.read().body == b"hello"
        assert up.calls[-1].ended.wait(5)
        assert up.calls[-1].values("upgrade") == up.calls[-1].values("connection") == []
    assert up.calls[-1].reset is None


@pytest.mark.parametrize("count, status", [(17, 200), (90, 200), (300, 502)])
def test_a_flood_of_interim_responses_is_502(weir, h2_upstream, count, status):
    def handler(call):
        for _ in range(count):
            call.head(103, [("link", "</a>")])
        call.head(200, end=True)

    w = weir(h2_upstream(handler), group=H2)
    assert w.get().status == status
    if status == 502:
        w.wait_for_reason("upstream_protocol")


@pytest.mark.parametrize("kind, payload", [(DATA, b"more"), (HEADERS, b"\x88")], ids=["data", "head"])
def test_an_upstream_that_sends_after_the_end_gets_no_more_requests(weir, h2_upstream, kind, payload):
    """RFC 9113 section 5.1: nothing may come on a closed stream."""
    def handler(call):
        call.head(200)
        call.data(b"hello")
        call.session._data_to_send += frame(kind, END_HEADERS | END_STREAM if kind == HEADERS else 0, call.stream_id, payload)

    up = h2_upstream(handler)
    w = weir(up, group=H2, top={"workers": 1})
    for _ in range(3):
        assert w.get().body == b"hello"
    assert len({id(call.session) for call in up.calls}) == 3


@pytest.mark.parametrize("heard", [False, True], ids=["silence", "others are answered"])
def test_a_silent_h2_connection_gets_no_more_requests(weir, h2_upstream, heard):
    """A dead connection would otherwise accept one request after the other."""
    up = h2_upstream(lambda call: call.values(":path") == ["/never"] or respond()(call))
    w = weir(up, group={**H2, "timeouts": {"response": "500ms"}}, top={"workers": 1})
    assert w.get().status == 200
    slow = w.connect()
    slow.send(request_bytes("/never"))
    up.wait_for(lambda u: len(u.calls) == 2, 5, "the request that is never answered")
    if heard:
        time.sleep(0.01)  # weir compares milliseconds
        assert w.get().status == 200
    assert slow.read().status == 504
    assert w.get().status == 200
    assert len({id(call.session) for call in up.calls}) == (1 if heard else 2)
