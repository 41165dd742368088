"""Reloads while requests are in flight: what a snapshot holds is freed by whichever thread is last."""

import copy
import pathlib
import signal
import threading
import time

import pytest

from harness import origin as o
from harness import weir as h

PATTERNS = {
    "rules": [
        {"path": "~/w/(a|b)+", "service": "s"},
        {"path": "~/x/[0-9]{1,4}/.*", "service": "s"},
        {"path": "/", "service": "s"},
    ],
    "services": {"s": "backend"},
}


def routed(up):
    return dict(
        target=up,
        tls=True,
        listener={"group": None, "router": "r"},
        top={"routers": {"r": PATTERNS}},
    )


@pytest.mark.tsan
def test_a_request_in_flight_outlives_a_reload_of_patterns(weir, upstream):
    up = upstream(o.respond(delay=0.4))
    w = weir(**routed(up))
    for round in range(3):
        client = w.connect()
        client.send("GET /w/ab HTTP/1.1\r\nHost: wiki.example\r\n\r\n")
        up.wait_for_requests(round + 1)
        w.reload()
        assert client.read().status == 200  # its worker drops the last reference to the old snapshot
        client.close()
    assert w.is_running()


@pytest.mark.tsan
def test_reloads_of_patterns_under_load_lose_no_request(weir, upstream):
    up = upstream(o.respond(delay=0.005))
    w = weir(**routed(up))
    until = time.monotonic() + 2.5
    failures, counts = [], []

    def ask(path):
        count = 0
        while time.monotonic() < until:
            with w.connect() as client:
                for _ in range(5):
                    if client.request(path).status != 200:
                        failures.append(path)
                    count += 1
        counts.append(count)

    threads = [threading.Thread(target=ask, args=(p,)) for p in ("/w/abab", "/x/12/z", "/other", "/w/b")]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        w.reload()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(counts) == len(threads) and min(counts) > 0
    assert w.is_running()


# --- many certificates -------------------------------------------------------------------------------

MANY = 120  # the time of a load is mostly theirs


@pytest.fixture(scope="module")
def many(ca):
    return [ca.leaf("n%d.example" % i, "*.n%d.example" % i) for i in range(MANY)]


def serving_many(weir, upstream, leaf, many, **extra):
    tls = {"certificates": [one.conf() for one in [leaf] + many]}
    return weir(upstream(), listener={"tls": tls}, **extra)


def worker_cpu_seconds(w):
    total = 0
    for task in pathlib.Path("/proc/%d/task" % w.pid).iterdir():
        if (task / "comm").read_text().startswith("worker-"):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@pytest.mark.skipif(h.is_sanitized(), reason="measures time")
def test_certificates_cost_a_worker_nothing_at_a_reload(weir, upstream, leaf, many):
    w = serving_many(weir, upstream, leaf, many)
    assert w.get().status == 200
    before = worker_cpu_seconds(w)
    for _ in range(3):
        w.reload()
    assert (worker_cpu_seconds(w) - before) / 3 < 0.02
    assert w.get().status == 200


@pytest.mark.tsan
def test_every_name_is_served_by_its_certificate_during_reloads(weir, upstream, ca, leaf, many):
    w = serving_many(weir, upstream, leaf, many)
    context = ca.client_context()
    for round in range(2):
        w.signal(signal.SIGHUP)
        for one in many[round::7]:
            name = one.certificate.subject.rfc4514_string()[3:]
            with w.connect(tls=context, sni="deep." + name) as client:
                assert client.sock.getpeercert(binary_form=True) == one.der
                assert client.request().status == 200
    w.wait_for_metric(lambda m: m.sum("weir_reloads_total") >= 1)


def test_a_start_with_many_certificates_is_no_overload(weir, upstream, leaf, many):
    w = serving_many(weir, upstream, leaf, many)
    time.sleep(1)
    assert " overload " not in w.log


@pytest.mark.tsan
def test_requests_for_a_reload_during_one_become_one(weir, upstream, leaf, many):
    w = serving_many(weir, upstream, leaf, many)
    for _ in range(20):
        w.signal(signal.SIGHUP)
        time.sleep(0.002)
    deadline = time.monotonic() + 20
    while not 1 <= w.log.count("reload_done") == w.log.count("reload_begin"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert w.metrics().sum("weir_reloads_total") < 20
    assert w.get().status == 200


def test_the_last_of_several_configurations_is_in_force(weir, upstream, leaf, many):
    w = serving_many(weir, upstream, leaf, many)
    config = copy.deepcopy(w.config)
    for number in range(5):
        config["listeners"][0]["server_name"] = "number-%d" % number
        w.write(config)
        w.signal(signal.SIGHUP)
        time.sleep(0.02)
    deadline = time.monotonic() + 10
    while w.get().fields.get("Server") != "number-4":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.tsan
def test_a_load_that_fails_leaves_everything_as_it_was(weir, upstream, leaf, many, ca):
    w = serving_many(weir, upstream, leaf, many)
    client = w.connect()
    assert client.request().status == 200
    config = copy.deepcopy(w.config)
    config["listeners"][0]["tls"]["certificates"][-1]["key"] = ca.leaf("other.example").key
    w.reload(config, good=False)
    assert "does not belong to the certificate" in w.log
    assert client.request().status == 200 and w.get().status == 200


@pytest.mark.tsan
@pytest.mark.parametrize("signals", [1, 2])
def test_sigterm_during_a_load_ends_in_order(weir, upstream, leaf, many, signals):
    w = serving_many(weir, upstream, leaf, many)
    w.signal(signal.SIGHUP)
    time.sleep(0.01)
    for _ in range(signals):
        w.terminate()
        time.sleep(0.005)
    assert w.wait() == 0
