"""PROXY headers to upstreams: their content, that they come first, and that a connection serves one client only."""

import contextlib
import socket
import threading
import time

import pytest

from harness import origin as o
from harness import ports, wire
from harness import weir as h

VERSIONS = {"v1": 1, "v2": 2}
LONG_REST = {"pool_idle": "60s"}  # what closes sooner closes for another reason


def group(word="v1", **more):
    return {"proxy_protocol": word, "timeouts": LONG_REST, **more}


def ends_of(client):
    """Both ends of a client's connection, as the client sees them."""
    return client.sock.getsockname()[:2], client.sock.getpeername()[:2]


def told(conn):
    return conn.proxy.client, conn.proxy.server


@pytest.mark.parametrize("word", VERSIONS)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_header_names_both_ends_of_the_clients_connection(weir, upstream, word, host):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, listener={"bind": ["%s:%d" % (host, ports.free_port())]}, group=group(word))
    client = w.connect()
    assert client.request("/a").status == 200
    assert up.last.conn.proxy.version == VERSIONS[word]
    assert told(up.last.conn) == ends_of(client)


@pytest.mark.parametrize("word", VERSIONS)
def test_the_proxy_header_comes_before_tls(weir, upstream, word):
    up = upstream(o.echo(), tls=True, proxy=True)
    w = weir(up, tls=True, group=group(word))
    client = w.connect()
    assert client.request("/a").status == 200
    assert up.last.conn.proxy.version == VERSIONS[word]
    assert told(up.last.conn) == ends_of(client)


@pytest.mark.parametrize("word", VERSIONS)
def test_a_client_that_has_no_address_is_unknown(weir, upstream, word, tmp_path):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, listener={"bind": ["unix:%s" % (tmp_path / "in.sock")]}, group=group(word))
    assert w.get().status == 200
    assert up.last.conn.proxy.version == VERSIONS[word]
    assert told(up.last.conn) == (None, None)


@pytest.mark.parametrize("unix", [False, True])
def test_what_a_proxy_in_front_has_said_is_passed_on(weir, upstream, unix):
    up = upstream(o.echo(), proxy=True, unix=unix)
    w = weir(up, listener={"proxy_protocol": {"from": ["127.0.0.0/8"]}}, group=group("v2"))
    client = w.connect()
    client.send(b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n")
    assert client.request("/a").status == 200
    assert told(up.last.conn) == (("2001:db8::7", 5000), ("2001:db8::1", 443))
    local = w.connect()
    local.send(b"PROXY UNKNOWN\r\n")
    assert local.request("/b").status == 200
    assert told(up.last.conn) == ends_of(local)


def test_forwarding_fields_do_not_change_it(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, trusted=True, group=group())
    client = w.connect()
    assert client.request(fields=[("X-Forwarded-For", "203.0.113.9")]).status == 200
    assert up.last.header("x-client-ip") == "203.0.113.9"
    assert told(up.last.conn) == ends_of(client)


def test_one_client_uses_its_connection_again(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, group=group())
    client = w.connect()
    for i in range(5):
        assert client.request("/%d" % i).status == 200
        assert client.request("/%d" % i, method="POST", body=b"x").status == 200
    assert len(up.connections) == 1
    assert w.metrics().sum("weir_upstream_reused_total") == 9


@pytest.mark.parametrize("tls", [False, True])
def test_two_clients_never_share_a_connection(weir, upstream, tls):
    up = upstream(o.echo(), tls=tls, proxy=True)
    w = weir(up, group=group("v2"), top={"workers": 1})
    clients = [w.connect() for _ in range(4)]
    for turn in range(3):
        for client in clients:
            assert client.request().status == 200
            assert told(up.last.conn) == ends_of(client)
    assert len(up.connections) == len(clients)


def test_all_streams_of_an_h2_client_name_it(weir, upstream):
    up = upstream(o.respond(delay=0.1), proxy=True)
    w = weir(up, group=group(), top={"workers": 1})
    clients = [w.connect_h2() for _ in range(2)]
    for turn in range(2):
        streams = [(c, c.begin("/%d" % i)) for c in clients for i in range(6)]
        for client, stream in streams:
            assert client.finish(stream).status == 200
    for client in clients:
        mine = [c for c in up.connections if told(c) == ends_of(client)]
        assert 1 <= len(mine) <= 6, "the second turn needs no new ones"
        assert sum(c.request_count for c in mine) == 12
    assert sum(c.request_count for c in up.connections) == 24


def test_when_the_client_goes_its_connections_go(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, group=group())
    leaving, staying = w.connect(), w.connect()
    assert leaving.request("/leaving").status == 200
    assert staying.request("/staying").status == 200
    leaving.close()
    assert up.requests[0].conn.closed.wait(5)
    assert staying.request("/again").status == 200
    assert up.last.conn is up.requests[1].conn


def test_a_client_that_goes_in_the_middle_takes_its_connection_along(weir, upstream):
    up = upstream(o.respond(delay=30), proxy=True)
    w = weir(up, group=group())
    client = w.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    up.wait_for_requests(1)
    client.reset()
    assert up.last.conn.wait_for_end(5)
    w.wait_for_metric(lambda m: m.sum("weir_upstream_connections") == 0)


def test_a_connection_that_is_still_being_made_goes_with_its_client(weir):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        w = weir("127.0.0.1:%d" % silent.getsockname()[1], group=group(timeouts={"connect": "20s"}, tls={"verify": False}))
        client = w.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        made, _ = silent.accept()
        with contextlib.closing(made):
            made.settimeout(5)
            assert wire.ProxyHeader.read(made).client == client.sock.getsockname()
            client.reset()
            while made.recv(4096):
                pass


def test_a_stale_connection_is_replaced_by_one_that_says_the_same(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, group=group())
    client = w.connect()
    assert client.request("/a").status == 200
    up.close_connections()
    time.sleep(0.2)
    assert client.request("/b").status == 200
    assert len(up.connections) == 2
    assert told(up.connections[0]) == told(up.connections[1]) == ends_of(client)


def test_idle_connections_of_others_make_room_at_the_limit(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, group=group(max_connections=2), top={"workers": 1})
    clients = [w.connect() for _ in range(5)]
    for turn in range(3):
        for client in clients:
            assert client.request().status == 200
            assert told(up.last.conn) == ends_of(client)
    w.wait_for_metric(lambda m: m.sum("weir_upstream_connections") <= 2)  # one may be saying goodbye


def test_clients_wait_for_room_in_their_turn(weir, upstream):
    up = upstream(o.respond(delay=0.1), proxy=True)
    w = weir(up, group=group("v2", max_connections=2), top={"workers": 1})
    clients = [w.connect() for _ in range(10)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for client in clients:
        assert client.read().status == 200
    assert {told(c) for c in up.connections} == {ends_of(c) for c in clients}


def test_a_cancelled_request_in_the_queue_delays_no_other(weir, upstream):
    up = upstream(o.respond(delay=0.3), proxy=True)
    w = weir(up, group=group(max_connections=1), top={"workers": 1})
    clients = [w.connect() for _ in range(5)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    up.wait_for_requests(1)
    served = [c for c in clients if ends_of(c) == told(up.connections[0])]
    waiting = [c for c in clients if c not in served]
    for client in waiting[::2]:
        client.close()
    for client in served + waiting[1::2]:
        assert client.read().status == 200


def test_when_nobody_listens_everybody_is_told(weir):
    w = weir("127.0.0.1:%d" % ports.free_port(), group=group(), top={"workers": 1})
    clients = [w.connect() for _ in range(6)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for client in clients:
        assert client.read().status == 502
    w.wait_for_reason("upstream_connect", count=6)


def test_proxy_headers_to_each_of_two_endpoints_name_the_client(weir, upstream):
    ups = [upstream(o.echo(), proxy=True) for _ in range(2)]
    w = weir(ups, group=group(balance="round_robin"), top={"workers": 1})
    clients = [w.connect() for _ in range(3)]
    for turn in range(4):
        for client in clients:
            assert client.request().status == 200
    for up in ups:
        assert up.connections and {told(c) for c in up.connections} <= {ends_of(c) for c in clients}
        assert len(up.connections) == len({told(c) for c in up.connections})


def test_a_reload_that_changes_it_uses_no_old_connection(weir, upstream):
    up = upstream(o.echo(), proxy=True)
    w = weir(up, group=group("v1"))
    client = w.connect()
    assert client.request("/a").status == 200
    for word in ("v2", "v1"):
        config = dict(w.config)
        config["groups"] = {"backend": {**config["groups"]["backend"], "proxy_protocol": word}}
        w.reload(config)
        assert client.request("/b").status == 200
        assert up.last.conn.proxy.version == VERSIONS[word]
    assert len(up.connections) == 3


def test_many_clients_at_once_are_never_mixed_up(weir, upstream):
    def name_it(conn, request):
        conn.send(o.head(200, [("X-Who", "%s %d" % conn.proxy.client), ("Content-Length", "0")]))

    up = upstream(name_it, proxy=True)
    w = weir(up, group=group("v2", max_connections=8, max_idle=4), top={"workers": 1})
    wrong = []

    def client_does(count):
        for _ in range(count):
            with w.connect() as client:
                mine = "%s %d" % client.sock.getsockname()
                for _ in range(3):
                    answer = client.request()
                    if answer.status != 200 or answer.header("x-who") != mine:
                        wrong.append((answer.status, answer.header("x-who"), mine))

    threads = [threading.Thread(target=client_does, args=(8,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert len(up.requests) == 16 * 8 * 3




@pytest.mark.parametrize("protocol", ["h2", "auto"])
def test_it_needs_connections_that_carry_one_request_at_a_time(tmp_path, protocol):
    path = tmp_path / "edge.yaml"
    path.write_text(
        "listeners:\n"
        "  - { name: main, bind: ['127.0.0.1:0'], group: backend }\n"
        "groups:\n"
        "  backend:\n"
        "    endpoints: ['127.0.0.1:8081']\n"
        "    protocol: %s\n"
        "    proxy_protocol: v2\n" % protocol
    )
    done = h.run("check", "-c", path)
    assert done.returncode == 1
    assert "edge.yaml:6:15: " in done.stderr + done.stdout
    assert '"protocol" must be h1' in done.stderr + done.stdout


def test_an_unknown_version_is_explained(tmp_path):
    path = tmp_path / "edge.yaml"
    path.write_text(
        "listeners:\n"
        "  - { name: main, bind: ['127.0.0.1:0'], group: backend }\n"
        "groups:\n"
        "  backend: { endpoints: ['127.0.0.1:8081'], proxy_protocol: v3 }\n"
    )
    done = h.run("check", "-c", path)
    assert done.returncode == 1
    assert "edge.yaml:4:61: " in done.stderr + done.stdout
    for word in ("v3", "off", "v1", "v2"):
        assert word in done.stderr + done.stdout
