"""Reloads while requests are in flight: what a snapshot holds is freed by whichever thread is last."""

import threading
import time

import pytest

from harness import origin as o

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
