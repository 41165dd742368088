"""Overload: first keep-alive ends, then requests are refused. The admin port always answers."""

import time

from harness import MIB


def overloaded(w, level):
    w.wait_for_metric(lambda m: m.sum("weir_overload_level") == level, what="overload level %d" % level)


def test_short_of_memory_requests_are_refused(weir, upstream):
    up = upstream()
    w = weir(up, top={"overload": {"memory": "1MiB"}})
    overloaded(w, 3)
    client = w.connect()
    response = client.request()
    assert response.status == 503 and int(response.header("retry-after")) > 0
    assert response.closes and client.is_closed()
    assert w.connect_h2().request().status == 503
    w.wait_for_reason("overload", 2)
    assert not up.requests
    assert w.admin("/ready")[0] == 200
    w.wait_for_log("overload level=refuse")


def test_short_of_memory_tls_is_not_begun(weir, upstream):
    w = weir(upstream(), tls=True, top={"overload": {"memory": "1MiB"}})
    overloaded(w, 3)
    try:
        w.get()
        assert False, "it was served"
    except (AssertionError, OSError):
        pass
    w.wait_for_reason("overload")


def test_before_that_keep_alive_ends(weir, upstream):
    limits = {"memory": 10000 * MIB, "keepalive_at": "0.01%", "refuse_at": "100%"}
    w = weir(upstream(), top={"overload": limits})
    overloaded(w, 1)
    client = w.connect()
    response = client.request()
    assert response.status == 200 and response.closes and client.is_closed()
    h2 = w.connect_h2()
    assert h2.request().status == 200
    h2.wait(lambda: h2.goaway is not None, 3, "GOAWAY")


def test_many_connections_end_keep_alive_and_calm_brings_it_back(weir, upstream):
    w = weir(upstream(), top={"max_connections": 20, "overload": {"keepalive_at": "50%", "refuse_at": "80%"}})
    idle = [w.connect() for _ in range(12)]
    overloaded(w, 1)
    assert idle[0].request().status == 200 and idle[0].is_closed()
    idle += [w.connect() for _ in range(6)]
    overloaded(w, 2)
    newcomer = w.connect()
    assert newcomer.request().status == 503
    assert idle[1].request().status == 200  # those who are here are served
    for client in idle:
        client.close()
    overloaded(w, 0)
    client = w.connect()
    assert client.request().status == 200 and client.request().status == 200


def test_unhurried_nothing_is_overloaded(weir, upstream):
    w = weir(upstream())
    time.sleep(0.6)
    metrics = w.metrics()
    assert metrics.sum("weir_overload_level") == 0
    assert metrics.sum("weir_descriptors_limit") > 0
