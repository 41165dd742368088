"""What each signal does to a running weir."""

import signal
import time

import pytest

from harness import origin as o
from harness.client import request_bytes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_ending_signals_drain(weir, upstream, number):
    up = upstream(o.respond(b"done", delay=0.7))
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.signal(number)
    assert client.read().body == b"done"
    assert w.wait() == 0


IGNORED = [
    signal.SIGALRM,
    signal.SIGIO,
    signal.SIGPIPE,
    signal.SIGPROF,
    signal.SIGPWR,
    signal.SIGSTKFLT,
    signal.SIGUSR2,
    signal.SIGVTALRM,
    signal.SIGXFSZ,
    signal.SIGRTMIN,
    signal.SIGRTMAX,
]


@pytest.mark.parametrize("number", IGNORED)
def test_signals_without_a_meaning_do_not_end_the_process(weir, upstream, number):
    w = weir(upstream())
    w.signal(number)
    time.sleep(0.2)
    assert w.is_running()
    assert w.get().status == 200


def test_sigusr2_is_logged_and_has_no_effect(weir, upstream):
    w = weir(upstream())
    w.signal(signal.SIGUSR2)
    w.wait_for_log("signal_ignored.*SIGUSR2")


def test_sigusr1_reopens_the_access_log_without_a_reload(weir, upstream):
    w = weir(upstream())
    w.get("/before")
    w.access_log(1)
    w.access_file.rename(w.directory / "access.log.1")
    w.signal(signal.SIGUSR1)
    deadline = time.monotonic() + 5
    while not w.access_file.exists():
        assert time.monotonic() < deadline, "the log was not opened again"
        time.sleep(0.02)
    w.get("/after")
    assert [entry["path"] for entry in w.access_log(1)] == ["/after"]
    assert w.metrics().sum("weir_reloads_total") == 0
    assert "reload" not in w.log


def test_sigusr1_reopens_the_access_log_during_the_drain(weir, upstream):
    up = upstream(o.respond(b"done", delay=1))
    w = weir(up)
    client = w.connect()
    client.send(request_bytes("/slow"))
    up.wait_for_requests(1)
    w.terminate()
    w.wait_for_log("drain_begin")
    w.access_file.rename(w.directory / "access.log.1")
    w.signal(signal.SIGUSR1)
    assert client.read().body == b"done"
    assert w.wait() == 0
    assert [entry["path"] for entry in w.access_log(1)] == ["/slow"]
