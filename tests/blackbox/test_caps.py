"""Limits on connections: of the process, a listener and a client, and on unfinished handshakes."""

import socket
import time

import pytest

ONE = {"exempt": [], "new_per_second": 0}  # loopback counts, too


def is_served(w):
    """Opens a connection and asks on it; the connection, or None when it was refused."""
    client = w.connect()
    try:
        return client if client.request().status == 200 else None
    except (AssertionError, ConnectionError):
        return None


def test_a_client_gets_so_many_connections(weir, upstream):
    w = weir(upstream(), listener={"per_client": {"max_connections": 3, **ONE}})
    first = [is_served(w) for _ in range(3)]
    assert all(first)
    assert is_served(w) is None
    w.wait_for_reason("client_connections")
    first[0].close()  # room again, whichever worker has it
    deadline = time.monotonic() + 5
    while is_served(w) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_loopback_is_exempt_unless_said_otherwise(weir, upstream):
    w = weir(upstream(), listener={"per_client": {"max_connections": 1, "new_per_second": 1}})
    assert all([is_served(w) for _ in range(5)])


def test_trusted_proxies_are_exempt(weir, upstream):
    w = weir(upstream(), trusted=True, listener={"per_client": {"max_connections": 1, **ONE}})
    assert all([is_served(w) for _ in range(5)])


def test_new_connections_of_a_client_have_a_rate(weir, upstream):
    w = weir(upstream(), listener={"per_client": {"max_connections": 0, "exempt": [], "new_per_second": 5}})
    served = sum(is_served(w) is not None for _ in range(20))
    assert 5 <= served <= 8  # the burst, and what a slow machine takes its time for
    w.wait_for_reason("client_arrivals", 20 - served)
    time.sleep(0.5)
    assert is_served(w)


def test_ipv6_clients_are_networks(weir, upstream):
    """Loopback has only ::1. A prefix of one bit makes it the same client as all other addresses."""
    from harness import ports

    w = weir(upstream(), listener={
        "bind": ["[::1]:%d" % ports.free_port()], "per_client": {"max_connections": 2, "ipv6_prefix": 1, **ONE}})
    kept = [is_served(w) for _ in range(3)]
    assert [k is not None for k in kept] == [True, True, False]


def test_a_listener_has_a_cap_over_all_workers(weir, upstream):
    w = weir(upstream(), listener={"limits": {"max_connections": 6}}, top={"workers": 2})
    kept = [is_served(w) for _ in range(6)]
    assert all(kept)
    assert not any([is_served(w) for _ in range(4)])
    w.wait_for_reason("connection_cap", 4)
    for client in kept:
        client.close()
    deadline = time.monotonic() + 5
    while is_served(w) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_process_has_a_cap_and_the_admin_answers(weir, upstream):
    w = weir(upstream(), top={"max_connections": 8})
    kept = [is_served(w) for _ in range(8)]
    assert all(kept)
    assert is_served(w) is None
    w.wait_for_reason("connection_cap")
    assert w.admin("/ready")[0] == 200
    assert kept[0].request().status == 200


def test_unfinished_handshakes_are_capped_and_the_oldest_is_closed(weir, upstream):
    w = weir(upstream(), tls=True, top={"workers": 1, "max_handshakes": 4})
    silent = [socket.create_connection(w.address(), timeout=5) for _ in range(4)]
    time.sleep(0.2)
    good = w.connect()  # pushes the oldest out
    assert good.request().status == 200
    w.wait_for_reason("handshake_cap")
    assert silent[0].recv(1) == b""
    silent[3].settimeout(0.2)
    with pytest.raises(socket.timeout):
        silent[3].recv(1)
    for _ in range(10):  # those who finish do not count any more
        assert w.get().status == 200
    assert w.metrics().reason("handshake_cap") == 1
