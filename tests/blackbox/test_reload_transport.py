"""A reload that changes the requirements of a listener: an open connection keeps the properties that it was
accepted with for its current requests, and closes."""

import copy

import pytest

from harness import origin as o


def changed(w, **listener):
    config = copy.deepcopy(w.config)
    for key, value in listener.items():
        if value is None:
            config["listeners"][0].pop(key, None)
        else:
            config["listeners"][0][key] = value
    return config


def tls_conf(leaf, **extra):
    return dict(certificates=[leaf.conf()], **extra)


def assert_ends(client):
    """At most one more request is answered."""
    try:
        response = client.request()
        assert response.fields.get("Connection") == "close"
    except AssertionError as error:
        assert "closed" in str(error)
    except (ConnectionError, BrokenPipeError):
        pass
    assert client.is_closed(3)


def test_a_plain_connection_ends_when_the_listener_becomes_tls(weir, upstream, ca, leaf):
    up = upstream()
    w = weir(up)
    idle, fresh = w.connect(), w.connect()
    assert idle.request().status == 200
    w.reload(changed(w, tls=tls_conf(leaf, client_certificate={"ca": ca.file})))
    for client in (idle, fresh):
        assert_ends(client)
    assert all(r.fields.get("X-Forwarded-Proto") == "http" for r in up.requests)


def test_a_request_in_flight_is_answered_and_the_connection_ends(weir, upstream, ca, leaf):
    up = upstream(o.respond(delay=0.5))
    w = weir(up)
    client = w.connect()
    client.send("GET / HTTP/1.1\r\nHost: wiki.example\r\n\r\n")
    up.wait_for_requests(1)
    w.reload(changed(w, tls=tls_conf(leaf)))
    assert client.read().status == 200
    assert_ends(client)


def test_a_tls_connection_ends_when_client_certificates_are_required(weir, upstream, ca, leaf):
    w = weir(upstream(), tls=True)
    client = w.connect()
    assert client.request().status == 200
    w.reload(changed(w, tls=tls_conf(leaf, client_certificate={"ca": ca.file})))
    assert_ends(client)


def test_an_h2_connection_ends_when_client_certificates_are_required(weir, upstream, ca, leaf):
    w = weir(upstream(), tls=True)
    client = w.connect_h2()
    assert client.request().status == 200
    w.reload(changed(w, tls=tls_conf(leaf, client_certificate={"ca": ca.file})))
    assert client.is_closed(5)


def test_a_tls_connection_ends_when_the_listener_becomes_plain(weir, upstream):
    w = weir(upstream(), tls=True)
    client = w.connect()
    assert client.request().status == 200
    w.reload(changed(w, tls=None))
    assert_ends(client)


@pytest.mark.parametrize("before", [True, False], ids=["off", "on"])
def test_a_connection_ends_when_the_proxy_protocol_changes(weir, upstream, before):
    conf = {"proxy_protocol": {"from": ["127.0.0.0/8"]}}
    w = weir(upstream(), listener=conf if before else None)
    client = w.connect()
    if before:
        client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
    assert client.request().status == 200
    w.reload(changed(w, proxy_protocol=None if before else conf["proxy_protocol"]))
    assert_ends(client)


def test_a_connection_stays_when_nothing_of_the_transport_changes(weir, upstream, ca, leaf):
    w = weir(upstream(), tls=True)
    client, h2 = w.connect(), w.connect_h2()
    assert client.request().status == 200 and h2.request().status == 200
    for extra in ({"via": "other"}, {"tls": tls_conf(ca.leaf("wiki.example", kind="rsa"))}):
        w.reload(changed(w, **extra))
        assert client.request().status == 200 and h2.request().status == 200


def test_trust_follows_the_configuration_with_the_next_request(weir, upstream):
    up = upstream()
    w = weir(up, trusted=True)
    client = w.connect()
    fields = [("X-Forwarded-For", "192.0.2.9")]
    client.request(fields=fields)
    assert up.requests[-1].fields.get("X-Client-IP") == "192.0.2.9"
    w.reload(changed(w, trusted_proxies=None))
    assert client.request(fields=fields).status == 200
    assert up.requests[-1].fields.get("X-Client-IP") == "127.0.0.1"
