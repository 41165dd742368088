"""Start, reload, drain."""

import copy
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
import yaml

from harness import origin as o
from harness import ports
from harness.client import request_bytes
from harness.weir import binary

# --- the end -----------------------------------------------------------------------------------------


@pytest.mark.tsan
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_weir_ends_at_once(weir, upstream, number):
    w = weir(upstream())
    client = w.connect()
    client.request()
    began = time.monotonic()
    w.signal(number)
    assert w.wait() == 0
    assert time.monotonic() - began < 2
    assert client.is_closed()


@pytest.mark.tsan
def test_a_request_in_flight_is_finished(weir, upstream):
    up = upstream(o.respond(b"done", delay=0.7))
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.terminate()
    response = client.read()
    assert response.body == b"done" and response.closes
    assert client.is_closed()
    assert w.wait() == 0


def test_no_new_connections_after_sigterm(weir, upstream):
    up = upstream(o.respond(delay=1))
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.terminate()
    deadline = time.monotonic() + 2
    while True:
        try:
            socket.create_connection(w.address(), timeout=1).close()
        except OSError:
            break
        assert time.monotonic() < deadline, "still accepting"
        time.sleep(0.02)
    assert client.read().status == 200


@pytest.mark.tsan
def test_h2_gets_a_goaway_and_finishes_its_streams(weir, upstream):
    up = upstream(o.respond(b"done", delay=0.7))
    w = weir(up)
    client = w.connect_h2()
    ids = [client.begin() for _ in range(3)]
    up.wait_for_requests(3)
    w.terminate()
    for stream_id in ids:
        assert client.finish(stream_id).body == b"done"
    assert client.goaway is not None and client.goaway.error_code == 0
    assert client.is_closed()
    assert w.wait() == 0


def test_a_client_between_two_requests_may_ask_once_more(weir, upstream):
    # Its request may have been on its way when SIGTERM arrived: without a response it would be lost.
    w = weir(upstream())
    client = w.connect()
    client.request()
    w.terminate()
    w.wait_for_metric(lambda m: m.sum("weir_ready") == 0)
    time.sleep(0.1)
    response = client.request(method="POST", body=b"x")
    assert response.status == 200 and response.closes
    assert client.is_closed()
    assert w.wait() == 0


def test_the_drain_is_bounded(weir, upstream):
    up = upstream(o.silence)
    w = weir(up, top={"drain_timeout": "500ms"})
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    began = time.monotonic()
    w.terminate()
    assert w.wait() == 0
    assert 0.3 < time.monotonic() - began < 3


def test_what_the_drain_cuts_does_not_look_whole(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(200, [("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\n")
        conn.wait_for_end(20)

    w = weir(upstream(handler), top={"drain_timeout": "500ms"})
    client = w.connect()
    client.send(request_bytes(version="1.0"))
    client.read_head()
    w.terminate()
    with pytest.raises(ConnectionResetError):
        client.reader.to_end()
    assert w.wait() == 0


def test_ready_is_503_during_the_drain_and_healthz_200(weir, upstream):
    up = upstream(o.respond(delay=1.5))
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.terminate()
    time.sleep(0.3)
    assert w.admin("/ready")[0] == 503
    assert w.admin("/healthz")[0] == 200
    assert client.read().status == 200


def test_during_the_grace_period_clients_are_still_accepted(weir, upstream):
    w = weir(upstream(), top={"drain_grace": "1s"})
    w.terminate()
    time.sleep(0.2)
    assert w.admin("/ready")[0] == 503
    assert w.get().status == 200
    assert w.wait() == 0


def test_a_second_sigterm_ends_it_now(weir, upstream):
    up = upstream(o.silence)
    w = weir(up, top={"drain_timeout": "20s"})
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.terminate()
    time.sleep(0.3)
    assert w.is_running()
    w.terminate()
    assert w.wait(5) == 0


def test_a_slow_download_is_finished_during_the_drain(weir, upstream):
    def handler(conn, request):
        conn.send(o.head(200, [("Content-Length", "10")]))
        for _ in range(10):
            conn.send(b"x")
            time.sleep(0.1)

    up = upstream(handler)
    w = weir(up)
    client = w.connect()
    client.send(request_bytes())
    client.read_head()
    w.terminate()
    assert client.reader.exactly(10) == b"x" * 10
    assert w.wait() == 0


# --- the start ---------------------------------------------------------------------------------------


def start_badly(tmp_path, config):
    path = tmp_path / "bad.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    done = subprocess.run(
        [binary(), "run", "-c", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20
    )
    return done.returncode, done.stderr.decode()


def test_a_bad_configuration_starts_nothing(weir, tmp_path):
    code, errors = start_badly(tmp_path, "listeners: [{name: a, bind: rubbish, group: nowhere}]\ngroups: {}\n")
    assert code == 1
    assert "bad.yaml:1:" in errors


def test_a_missing_file_is_reported(tmp_path):
    done = subprocess.run([binary(), "run", "-c", str(tmp_path / "none.yaml")], stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 1 and b"none.yaml" in done.stderr


def test_an_address_in_use_is_reported(weir, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, errors = start_badly(
            tmp_path,
            {
                "listeners": [{"name": "a", "bind": ["127.0.0.1:%d" % port], "group": "g"}],
                "groups": {"g": {"endpoints": ["127.0.0.1:1"]}},
                "admin": {"bind": "127.0.0.1:%d" % ports.free_port()},
            },
        )
    assert code == 1
    assert re.search(r"bad\.yaml:\d+:\d+: cannot bind to 127\.0\.0\.1:%d: " % port, errors)


def test_no_line_editor_is_loaded_into_a_proxy(weir, upstream):
    w = weir(upstream())
    with open("/proc/%d/maps" % w.pid) as maps:
        assert "libedit" not in maps.read()


# --- reload ------------------------------------------------------------------------------------------


def pointed_at(w, origin):
    config = copy.deepcopy(w.config)
    config["groups"]["backend"]["endpoints"] = [origin.address]
    return config


@pytest.mark.tsan
def test_a_good_configuration_takes_over_and_the_connection_stays(weir, upstream):
    old, new = upstream(o.respond(b"old")), upstream(o.respond(b"new"))
    w = weir(old)
    client = w.connect()
    assert client.request().body == b"old"
    w.reload(pointed_at(w, new))
    assert client.request().body == b"new"
    assert w.get().body == b"new"


@pytest.mark.tsan
def test_a_connection_that_stays_gets_its_answers_whole(weir, upstream):
    w = weir(upstream(o.respond(chunked=[b"first ", b"second"])))
    client, client_h2 = w.connect(timeout=5), w.connect_h2(timeout=5)
    for _ in range(3):
        assert client.request().body == b"first second"
        assert client_h2.request().body == b"first second"
        w.reload()
    assert w.metrics().sum("weir_downstream_connections_total") == 2


@pytest.mark.tsan
def test_a_bad_configuration_leaves_the_old_one_serving(weir, upstream):
    w = weir(upstream())
    client = w.connect()
    client.request()
    w.reload("listeners: [{name: main, bund: x}]\n", good=False)
    w.wait_for_log(r"weir\.yaml:1:")
    assert client.request().body == b"hello"
    assert w.get().body == b"hello"


def held_back(go_on, body):
    """An upstream that answers once go_on is set."""

    def handler(conn, request):
        go_on.wait(10)
        o.respond(body)(conn, request)

    return handler


def test_a_request_in_flight_finishes_on_the_configuration_it_began_with(weir, upstream):
    go_on = threading.Event()
    old, new = upstream(held_back(go_on, b"old")), upstream(o.respond(b"new"))
    w = weir(old)
    client = w.connect()
    client.send(request_bytes())
    old.wait_for_requests(1)
    w.reload(pointed_at(w, new))
    assert w.get().body == b"new"
    go_on.set()
    assert client.read().body == b"old"
    assert client.request().body == b"new"


def test_a_request_in_flight_outlives_two_configurations(weir, upstream):
    # The second configuration, which nothing else uses, still has its group. The third has not.
    up = upstream(o.respond(b"done", delay=1))
    w = weir(up, top={"workers": 1})
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    config = copy.deepcopy(w.config)
    w.reload({**config, "drain_timeout": "4s"})
    config["groups"]["other"] = config["groups"].pop("backend")
    config["listeners"][0]["group"] = "other"
    w.reload(config)
    assert client.read().body == b"done"
    assert client.request().body == b"done"


def test_a_busy_h2_connection_follows_the_configuration(weir, upstream):
    go_on = threading.Event()
    old, new = upstream(held_back(go_on, b"old")), upstream(o.respond(b"new"))
    w = weir(old)
    client = w.connect_h2()
    stream = client.begin()
    old.wait_for_requests(1)
    config = copy.deepcopy(w.config)
    config["groups"] = {"other": {"endpoints": [new.address]}}
    config["listeners"][0]["group"] = "other"
    w.reload(config)
    assert client.request().body == b"new"
    go_on.set()
    assert client.finish(stream).body == b"old"
    assert client.request().body == b"new"


def test_warm_connections_survive_a_reload_that_does_not_concern_them(weir, upstream):
    up = upstream()
    w = weir(up, top={"workers": 1})
    client = w.connect()
    client.request()
    config = copy.deepcopy(w.config)
    config["drain_timeout"] = "4s"
    w.reload(config)
    client.request()
    assert len(up.connections) == 1


def test_what_only_a_restart_changes_is_told(weir, upstream):
    w = weir(upstream())
    config = copy.deepcopy(w.config)
    config.update(handshake_queue=7, core_dumps=True, seccomp=True, user="nobody")
    w.reload(config)
    for key in ("handshake_queue", "core_dumps", "seccomp", "user,group"):
        w.wait_for_log(r"reload_needs_restart key=" + key)


def test_a_listener_may_come_and_go(weir, upstream):
    w = weir(upstream())
    config = copy.deepcopy(w.config)
    extra = dict(config["listeners"][0], name="extra", bind=["127.0.0.1:%d" % ports.free_port()])
    config["listeners"].append(extra)
    before = copy.deepcopy(w.config)
    w.reload(config)
    w.listeners["extra"] = extra
    assert w.get(listener="extra").body == b"hello"
    client = w.connect("extra")
    assert client.request().status == 200
    w.reload(before)
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(w.address("extra"), timeout=1).close()
        except OSError:
            break
        assert time.monotonic() < deadline, "the old listener still accepts"
        time.sleep(0.05)
    assert w.get().body == b"hello"


@pytest.mark.tsan
def test_not_one_request_fails_while_reloads_rain_down(weir, upstream):
    ups = [upstream(o.respond(b"a")), upstream(o.respond(b"b"))]
    w = weir(ups[0])
    stop, failures, count = threading.Event(), [], [0] * 8

    def run(number):
        try:
            client = w.connect() if number % 2 else w.connect_h2()
            while not stop.is_set():
                response = client.request()
                assert response.status == 200 and response.text in "ab"
                count[number] += 1
        except Exception as error:  # noqa: B902 - reported below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for n in range(10):
        w.reload(pointed_at(w, ups[(n + 1) % 2]))
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(15)
    assert not failures and min(count) > 0


def test_a_new_certificate_is_served_after_a_reload(weir, upstream, ca):
    first, second = ca.leaf("wiki.example", "a.example"), ca.leaf("wiki.example", "b.example")
    w = weir(upstream(), listener={"tls": {"certificates": [first.conf()]}})
    old = w.connect()
    assert old.sock.getpeercert(binary_form=True) == first.der
    config = json.loads(json.dumps(w.config))
    config["listeners"][0]["tls"]["certificates"] = [second.conf()]
    w.reload(config)
    assert w.connect().sock.getpeercert(binary_form=True) == second.der
    assert old.request().status == 200


def test_a_broken_certificate_does_not_replace_a_good_one(weir, upstream, ca, leaf, tmp_path):
    w = weir(upstream(), tls=True)
    config = json.loads(json.dumps(w.config))
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    config["listeners"][0]["tls"]["certificates"] = [{"chain": str(bad), "key": leaf.key}]
    w.reload(config, good=False)
    assert w.get().status == 200
