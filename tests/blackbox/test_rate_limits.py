"""Token buckets: by client, header or cookie; on a listener and on a rule; over all workers."""

import time

import pytest

from harness import origin as o
from harness import ports


def limit(**values):
    return {"rate_limit": {"rate": "10/s", "burst": 5, **values}}


def statuses(w, count, **request):
    return [w.get(**request).status for _ in range(count)]


def test_a_client_gets_its_burst_over_all_workers_and_then_429(weir, upstream):
    up = upstream()
    w = weir(up, listener=limit(rate="1/s"), top={"workers": 2})
    got = statuses(w, 12)
    assert got[:5] == [200] * 5
    assert 5 <= got.count(200) <= 7 and got[-1] == 429
    response = w.get()
    assert response.status == 429 and 1 <= int(response.header("retry-after")) <= 2
    w.wait_for_reason("rate_limited", 5)
    time.sleep(1.1)
    assert w.get().status == 200
    assert len(up.requests) < 10


def test_a_connection_is_usable_after_429(weir, upstream):
    w = weir(upstream(), listener=limit(rate="1/s", burst=1))
    client = w.connect()
    assert client.request().status == 200
    assert client.request().status == 429
    time.sleep(1.1)
    assert client.request().status == 200


def test_h2_streams_count_one_by_one(weir, upstream):
    w = weir(upstream(), listener=limit(rate="1/m", burst=3))
    client = w.connect_h2()
    assert [client.request().status for _ in range(5)] == [200] * 3 + [429] * 2


@pytest.mark.parametrize("key, one, other", [
    ("header:X-Token", [("X-Token", "a")], [("x-token", "b")]),
    ("cookie:session", [("Cookie", "x=1; session=a")], [("Cookie", "session=b; x=1")]),
])
def test_values_have_buckets_of_their_own(weir, upstream, key, one, other):
    w = weir(upstream(), listener=limit(rate="1/m", burst=2, key=key))
    assert statuses(w, 3, fields=one) == [200, 200, 429]
    assert statuses(w, 3, fields=other) == [200, 200, 429]
    assert statuses(w, 3) == [200, 200, 429]  # without it: by address


def test_clients_behind_a_trusted_proxy_are_told_apart_by_prefix(weir, upstream):
    w = weir(upstream(), trusted=True, listener=limit(rate="1/m", burst=2, ipv4_prefix=24))

    def come_from(ip):
        return statuses(w, 1, fields=[("X-Forwarded-For", ip)])[0]

    assert [come_from("192.0.2.%d" % n) for n in range(4)] == [200, 200, 429, 429]
    assert [come_from("198.51.100.%d" % n) for n in range(3)] == [200, 200, 429]
    assert [come_from("2001:db8::%d" % n) for n in range(3)] == [200, 200, 429]
    assert come_from("2001:db8:0:1::1") == 200


def test_rules_have_limits_of_their_own(weir, upstream):
    up = upstream(o.echo())
    w = weir(config={
        "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
        "groups": {"g": {"endpoints": [up.address]}},
        "routers": {"r": {"services": {"s": "g"}, "rules": [
            {"path": "/api/*", "service": "s", "rate_limit": {"rate": "2/m", "burst": 2}},
            {"path": "/login", "service": "s", "rate_limit": [{"rate": "1/m"}, {"rate": "100/s"}]},
            {"service": "s"}]}},
    })
    assert statuses(w, 3, target="/api/x") == [200, 200, 429]
    assert statuses(w, 2, target="/login") == [200, 429]
    assert statuses(w, 20, target="/") == [200] * 20


@pytest.mark.parametrize("bad", [{"rate": "fast"}, {"rate": "0/s"}, {"rate": "5/d"}, {"burst": 3},
                                 {"rate": "1/s", "key": "host"}, {"rate": "1/s", "ipv4_prefix": 33}])
def test_nonsense_is_refused(tmp_path, bad):
    import yaml
    from harness.weir import run

    conf = {"listeners": [{"name": "a", "bind": ["127.0.0.1:0"], "group": "g", "rate_limit": bad}],
            "groups": {"g": {"endpoints": ["127.0.0.1:1"]}}}
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(conf))
    assert run("check", "-c", tmp_path / "w.yaml").returncode == 1
