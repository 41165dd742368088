"""The access log has one valid JSON line for each exchange, for any input of clients."""

import datetime
import json
import os
import signal
import subprocess
import time

import pytest

from harness import origin as o
from harness.client import request_bytes
from harness.weir import binary

KEYS = {
    "time", "client", "method", "host", "path", "status", "bytes", "service", "side", "group", "endpoint",
    "reason", "duration_ms", "upstream_ms", "retries", "request_id", "tls", "protocol",
}


@pytest.mark.tsan
def test_an_entry_says_everything(weir, upstream):
    up = upstream(o.respond(b"x" * 1234, delay=0.1))
    w = weir(up)
    w.get("/a?b=c", fields=[("User-Agent", "me")])
    (entry,) = w.access_log(1)
    assert KEYS <= set(entry)
    assert entry["client"] == "127.0.0.1"
    assert (entry["method"], entry["host"], entry["path"]) == ("GET", "wiki.example", "/a?b=c")
    assert (entry["status"], entry["bytes"], entry["reason"]) == (200, 1234, "-")
    assert (entry["group"], entry["endpoint"]) == ("backend", up.address)
    assert entry["retries"] == 0 and entry["protocol"] == "HTTP/1.1" and entry["tls"] == "-"
    assert entry["request_id"] == up.last.header("x-request-id")
    assert 100 <= entry["duration_ms"] < 5000 and 100 <= entry["upstream_ms"] <= entry["duration_ms"]
    when = datetime.datetime.strptime(entry["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert abs((datetime.datetime.utcnow() - when).total_seconds()) < 30


def test_tls_and_protocol_are_logged(weir, upstream):
    w = weir(upstream(), tls=True)
    w.get()
    with w.connect_h2() as client:
        client.request()
    h1, h2 = sorted(w.access_log(2), key=lambda e: e["protocol"])
    assert (h1["tls"], h1["protocol"]) == ("TLSv1.3", "HTTP/1.1")
    assert (h2["tls"], h2["protocol"]) == ("TLSv1.3", "HTTP/2")


def test_the_client_is_the_one_that_trusted_proxies_tell_of(weir, upstream):
    w = weir(upstream(), trusted=True)
    w.get(fields=[("X-Forwarded-For", "203.0.113.9")])
    assert w.access_log(1)[0]["client"] == "203.0.113.9"


def test_a_refused_request_is_logged_with_its_reason(weir, upstream):
    w = weir(upstream())
    w.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    (entry,) = w.access_log(1)
    assert (entry["status"], entry["reason"], entry["group"]) == (400, "bad_host", "-")


@pytest.mark.parametrize(
    "path", ['/"quote"', "/back\\slash", "/%0d%0aSet-Cookie:x", "/\xff\xfe", "/\xc3\xa4", "/<script>", "/{}[]|^`"]
)
def test_what_clients_send_cannot_break_a_line(weir, upstream, path):
    w = weir(upstream())
    client = w.connect()
    client.send(("GET %s HTTP/1.1\r\nHost: wiki.example\r\nUser-Agent: \"\\\xff\x85 \r\n\r\n" % path).encode("latin-1"))
    client.read()
    text = ""
    deadline = time.monotonic() + 5
    while not text.endswith("\n") and time.monotonic() < deadline:
        text = w.access_file.read_bytes().decode("utf-8") if w.access_file.exists() else ""
        time.sleep(0.02)
    assert text.count("\n") == 1
    entry = json.loads(text)
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for v in entry.values() if isinstance(v, str) for c in v)
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for c in text[:-1])


def test_a_long_path_is_cut_not_dropped(weir, upstream):
    w = weir(upstream())
    w.get("/" + "a" * 7000)
    assert w.access_log(1)[0]["path"].startswith("/aaaa")


@pytest.mark.tsan
def test_no_entry_is_lost_in_ordinary_traffic(weir, upstream):
    w = weir(upstream())
    clients = [w.connect() for _ in range(4)]
    for n in range(100):
        for number, client in enumerate(clients):
            client.request("/%d/%d" % (number, n))
    entries = w.access_log(400)
    assert len(entries) == 400
    assert {e["path"] for e in entries} == {"/%d/%d" % (c, n) for c in range(4) for n in range(100)}


def test_entries_are_written_before_the_end(weir, upstream):
    w = weir(upstream())
    for n in range(50):
        w.get("/%d" % n)
    w.stop()
    assert len(w.access_log()) == 50


def test_min_status_leaves_out_what_went_well(weir, upstream):
    up = upstream(o.by_path({"/bad": o.respond(status=500)}))
    w = weir(up, top={"access_log": {"min_status": 500}})
    w.get("/good")
    w.get("/bad")
    assert [e["path"] for e in w.access_log(1)] == ["/bad"]


def test_the_log_can_be_switched_off(weir, upstream):
    w = weir(upstream(), top={"access_log": {"enabled": False}})
    w.get()
    w.stop()
    assert not w.access_log()


def test_the_log_goes_to_standard_output_by_default(weir, upstream):
    w = weir(upstream(), top={"access_log": {"path": "-"}})
    w.get("/out")
    deadline = time.monotonic() + 5
    while '"path":"/out"' not in w.stdout_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sighup_reopens_the_file(weir, upstream):
    w = weir(upstream())
    w.get("/one")
    w.access_log(1)
    rotated = w.access_file.with_suffix(".1")
    os.rename(w.access_file, rotated)
    w.reload()
    w.get("/two")
    assert [e["path"] for e in w.access_log(1)] == ["/two"]
    assert '"/one"' in rotated.read_text()


def test_a_full_disk_is_survived_and_counted(weir, upstream):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    w = weir(upstream(), top={"access_log": {"path": "/dev/full"}})
    client = w.connect()
    for _ in range(1000):
        assert client.request(fields=[("User-Agent", "x" * 1000)]).status == 200
    w.wait_for_metric(lambda m: m.sum("weir_access_log_lost_total") > 0, what="failed log lines")


def test_a_stalled_log_reader_blocks_no_request(weir, upstream, tmp_path):
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        w = weir(upstream(), top={"access_log": {"path": str(fifo), "ring_bytes": "64KiB"}})
        client = w.connect(timeout=5)
        for n in range(3000):
            assert client.request("/%d" % n, fields=[("User-Agent", "x" * 500)]).status == 200
        metrics = w.metrics()
        lost = metrics.sum("weir_access_log_dropped_total") + metrics.sum("weir_access_log_lost_total")
        assert lost > 0
    finally:
        os.close(reader)


def test_an_unread_process_log_blocks_no_request(weir, upstream):
    w = weir(upstream())
    w.stop()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    command = [binary(), "run", "-c", str(w.config_file)]
    w.process, w.exit_code = subprocess.Popen(command, stderr=writer, cwd=str(w.directory)), None
    os.close(writer)
    try:
        w.wait_until_ready()
        w.reload()
        assert w.get().status == 200
        assert w.metrics().sum("weir_access_log_lost_total") > 0
        w.terminate()
        assert w.wait() == 0
    finally:
        os.close(reader)


def test_the_reason_of_a_client_that_left_is_logged(weir, upstream):
    up = upstream(o.silence)
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    client.reset()
    entry = w.access_log(1)[0]
    assert entry["status"] == 499 and entry["reason"] in ("client_reset", "client_closed")


def test_the_process_log_is_one_event_per_line(weir, upstream):
    w = weir(upstream())
    w.signal(signal.SIGHUP)
    w.get()
    w.stop()
    for line in w.log.splitlines():
        assert line.strip() and "\x1b" not in line
