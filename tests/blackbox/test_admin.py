"""The admin port: valid metrics, and correct health and readiness."""

import copy
import json
import shutil
import socket
import subprocess

import pytest

from harness import origin as o
from harness import weir as h
from harness.client import request_bytes


@pytest.mark.tsan
def test_the_metrics_page_is_prometheus_text(weir, upstream):
    w = weir(upstream())
    for _ in range(3):
        w.get()
    status, text, headers = w.admin("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    metrics = w.metrics()  # parses strictly
    for name, _, value in metrics.samples:
        family = name
        for suffix in ("_bucket", "_sum", "_count"):
            if name.endswith(suffix) and metrics.types.get(name[: -len(suffix)]) == "histogram":
                family = name[: -len(suffix)]
        assert family in metrics.types and family in metrics.help, "%s without TYPE and HELP" % name
        assert name.startswith(("weir_", "process_"))
        if metrics.types[family] == "counter":
            assert value >= 0 and name.endswith("_total")


def test_histograms_are_cumulative_and_agree_with_their_count(weir, upstream):
    w = weir(upstream())
    for _ in range(5):
        w.get()
    metrics = w.wait_for_metric(lambda m: m.sum("weir_request_duration_seconds_count") >= 5)
    buckets = [v for _, v in metrics.family("weir_request_duration_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == metrics.sum("weir_request_duration_seconds_count") == 5
    assert metrics.family("weir_request_duration_seconds_bucket")[-1][0]["le"] == "+Inf"


def test_requests_and_responses_are_counted(weir, upstream):
    up = upstream(o.by_path({"/gone": o.respond(status=410)}))
    w = weir(up)
    client = w.connect()
    for _ in range(4):
        client.request()
    client.request("/gone")
    with w.connect_h2() as h2:
        h2.request()
    metrics = w.wait_for_metric(lambda m: m.sum("weir_responses_total") >= 6)
    assert metrics.sum("weir_responses_total", status="200") == 5
    assert metrics.sum("weir_responses_total", status="410") == 1
    assert metrics.sum("weir_downstream_requests_h1_total") == 5
    assert metrics.sum("weir_downstream_requests_h2_total") == 1
    assert metrics.sum("weir_group_requests_total", group="backend") == 6
    assert metrics.sum("weir_group_responses_total", group="backend", **{"class": "4xx"}) == 1
    assert metrics.sum("weir_upstream_connects_total") >= 1


@pytest.mark.tsan
def test_what_is_open_now_goes_up_and_down_again(weir, upstream):
    w = weir(upstream(o.respond(delay=0.5)))
    clients = [w.connect() for _ in range(5)]
    for client in clients:
        client.send(request_bytes())
    w.wait_for_metric(lambda m: m.sum("weir_downstream_connections") == 5 and m.sum("weir_downstream_streams") == 5)
    for client in clients:
        client.read()
    w.wait_for_metric(lambda m: m.sum("weir_downstream_streams") == 0)
    for client in clients:
        client.close()
    w.wait_for_metric(lambda m: m.sum("weir_downstream_connections") == 0)


def test_buffers_are_given_back(weir, upstream):
    w = weir(upstream(o.respond(b"x" * 300000)))
    clients = [w.connect() for _ in range(20)]
    for client in clients:
        client.request()
    w.wait_for_metric(lambda m: m.sum("weir_buffer_bytes") == 0, what="idle connections to own no buffer")


def test_bytes_are_counted(weir, upstream):
    w = weir(upstream(o.respond(b"x" * 10000)))
    w.get(method="POST", body=b"y" * 5000)
    w.wait_for_metric(
        lambda m: 5000 < m.sum("weir_downstream_bytes_in_total") < 6000
        and 10000 < m.sum("weir_downstream_bytes_out_total") < 11000
    )


@pytest.mark.parametrize("path", ["/healthz", "/ready"])
def test_healthz_and_ready_are_200_while_weir_serves(weir, upstream, path):
    assert weir(upstream()).admin(path)[0] == 200


def test_other_paths_are_404_and_other_methods_405(weir, upstream):
    w = weir(upstream())
    assert w.admin("/nowhere")[0] == 404
    assert w.admin("/metrics", "POST")[0] == 405
    assert w.admin("/metrics", "DELETE")[0] == 405


def test_the_query_does_not_matter(weir, upstream):
    assert weir(upstream()).admin("/metrics?name=x")[0] == 200


def test_head_is_answered_without_a_body(weir, upstream):
    status, text, _ = weir(upstream()).admin("/healthz", "HEAD")
    assert status == 200 and text == ""


def test_rubbish_on_the_admin_port_does_no_harm(weir, upstream):
    w = weir(upstream())
    for data in (b"\0" * 1000, b"GET\r\n\r\n", b"GET /" + b"a" * 100000, b""):
        with socket.create_connection(("127.0.0.1", w.admin_port), timeout=5) as sock:
            try:
                sock.sendall(data)
            except ConnectionError:
                pass
    assert w.admin("/healthz")[0] == 200


def test_a_silent_admin_client_does_not_block_the_others(weir, upstream):
    w = weir(upstream())
    silent = [socket.create_connection(("127.0.0.1", w.admin_port), timeout=5) for _ in range(20)]
    assert w.admin("/healthz")[0] == 200
    assert w.metrics()
    for sock in silent:
        sock.close()


def test_the_admin_pages_are_not_on_the_listeners(weir, upstream):
    up = upstream(o.echo())
    assert '"target": "/metrics"' in weir(up).get("/metrics").text


STRANGERS = ["evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", "0x7f000001", "2130706433", "user@127.0.0.1", "wiki.example", ""]


@pytest.mark.parametrize("host", STRANGERS)
def test_an_unknown_host_is_refused(weir, upstream, host):
    """DNS rebinding: a page of evil.example, whose name now resolves to 127.0.0.1."""
    w = weir(upstream())
    for path in ("/", "/metrics", "/config/status", "/nowhere"):
        status, text = ask_as(w, host, path)
        assert status in (400, 403) and "weir_" not in text and "version" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:%d", "localhost", "LOCALHOST:%d", "[::1]:%d", "10.64.0.12"])
def test_addresses_and_localhost_are_served(weir, upstream, host):
    w = weir(upstream())
    assert ask_as(w, host.replace("%d", str(w.admin_port)), "/metrics")[0] == 200


def test_the_status_says_which_workers_do_not_answer(weir, upstream):
    w = weir(upstream(), top={"workers": 2})
    assert json.loads(w.admin("/config/status")[1])["stuck_workers"] == []
    _, page, _ = w.admin("/metrics")
    for worker in range(2):
        assert f'weir_worker_stuck{{worker="{worker}"}} 0\n' in page


def test_our_own_names_come_from_the_configuration(weir, upstream):
    w = weir(upstream(), top={"admin": {"hosts": ["mw1.example"]}})
    assert ask_as(w, "MW1.example:9901", "/metrics")[0] == 200
    assert ask_as(w, "mw2.example", "/metrics")[0] == 403
    config = copy.deepcopy(w.config)
    config["admin"]["hosts"] = "mw2.example"
    w.reload(config)
    assert ask_as(w, "mw1.example", "/metrics")[0] == 403
    assert ask_as(w, "mw2.example", "/metrics")[0] == 200


def ask_as(w, host, path):
    """(status, text) of a page, asked for under that name."""
    with socket.create_connection(("127.0.0.1", w.admin_port), timeout=10) as sock:
        sock.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host)).encode())
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def test_no_page_is_for_scripts_of_other_sites(weir, upstream):
    w = weir(upstream())
    for path in ("/", "/metrics", "/config/status", "/healthz", "/ready"):
        for method in ("GET", "OPTIONS"):
            _, _, headers = w.admin(path, method)
            assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_no_page_and_no_log_shows_a_key(weir, upstream, leaf, tmp_path):
    ticket_key = tmp_path / "ticket.key"
    secret = b"0123456789abcdefSECRETticketKEYmaterial01234567x"
    ticket_key.write_bytes(secret)
    w = weir(upstream(o.echo()), tls=True, top={"ticket_keys": [str(ticket_key)]})
    assert w.get().status == 200
    w.reload()
    said = "".join(w.admin(path)[1] for path in ("/", "/metrics", "/stats/prometheus", "/config/status", "/healthz", "/ready"))
    done = h.run("check", "-c", w.config_file)
    assert done.returncode == 0
    said += done.stdout + done.stderr + w.log + "".join(map(str, w.access_log(1)))
    lines = [line for line in open(leaf.key).read().splitlines() if "PRIVATE KEY" not in line]
    assert lines and secret[:32].decode() not in said
    for line in lines:
        assert line[:16] not in said, "a piece of the private key"


def test_series_of_removed_groups_expire(weir, upstream):
    up = upstream()
    w = weir(up, top={"admin": {"keep_series": "1s"}})
    config = copy.deepcopy(w.config)
    size = len(w.metrics().text)
    for i in range(20):
        name = "renamed-%d" % i
        config["groups"] = {name: {"endpoints": [up.address]}}
        config["listeners"][0]["group"] = name
        w.reload(config)
        assert w.get().status == 200
    before = w.metrics()
    assert before.sum("weir_group_requests_total", group="renamed-18") == 1  # its last value
    w.wait_for_metric(lambda m: not m.sum("weir_group_requests_total", group="renamed-18"), timeout=10)
    after = w.metrics()
    assert after.sum("weir_group_requests_total", group="renamed-19") == 1
    assert "renamed-18" not in after.text
    assert len(after.text) < size * 1.5


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_no_complaint(weir, upstream):
    w = weir(upstream())
    w.get()
    done = subprocess.run(["promtool", "check", "metrics"], input=w.admin("/metrics")[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
