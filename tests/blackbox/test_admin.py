"""The admin port: metrics that parse, health that tells the truth."""

import pytest

from harness import origin as o
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
def test_a_healthy_weir_says_so(weir, upstream, path):
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
    import socket

    w = weir(upstream())
    for data in (b"\0" * 1000, b"GET\r\n\r\n", b"GET /" + b"a" * 100000, b""):
        with socket.create_connection(("127.0.0.1", w.admin_port), timeout=5) as sock:
            try:
                sock.sendall(data)
            except ConnectionError:
                pass
    assert w.admin("/healthz")[0] == 200


def test_a_silent_admin_client_does_not_block_the_others(weir, upstream):
    import socket

    w = weir(upstream())
    silent = [socket.create_connection(("127.0.0.1", w.admin_port), timeout=5) for _ in range(20)]
    assert w.admin("/healthz")[0] == 200
    assert w.metrics()
    for sock in silent:
        sock.close()


def test_the_admin_pages_are_not_on_the_listeners(weir, upstream):
    up = upstream(o.echo())
    assert '"target": "/metrics"' in weir(up).get("/metrics").text
