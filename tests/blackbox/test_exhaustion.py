"""Exhaustion of descriptors, and expensive patterns and hash collisions. Costs are compared with those of
harmless input of the same size, never with a clock."""

import itertools
import os
import pathlib
import resource
import socket
import subprocess
import time

import pytest

from harness import crowd, ports
from harness import origin as o
from harness.client import request_bytes
from harness.weir import Weir, binary


def cpu_seconds(w):
    """Processor time of all threads so far."""
    tasks = pathlib.Path("/proc/%d/task" % w.pid).iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


# --- descriptors -------------------------------------------------------------------------------------

OURS = 64  # what weir keeps for itself


def limit_descriptors(w, count):
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (count, count))
    time.sleep(0.5)  # weir looks five times a second


def crowd_of(w, count):
    """Opens `count` connections and ignores failures."""
    socks = []
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(w.address())
        socks.append(sock)
    return socks


def descriptors_of(w):
    return len(os.listdir("/proc/%d/fd" % w.pid))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_without_descriptors_established_clients_are_served(weir, upstream, tls):
    # No help from the overload manager: this is what stands behind it.
    w = weir(upstream(), tls=tls, top={"overload": {"keepalive_at": "100%", "refuse_at": "100%"}})
    steady = [w.connect() for _ in range(3)]
    assert all(client.request().status == 200 for client in steady)
    limit_descriptors(w, 256)
    socks = crowd_of(w, 600)
    w.wait_for_metric(lambda m: m.sum("weir_accept_paused_total") >= 1, what="a pause")
    w.wait_for_reason("descriptors")

    before, began = cpu_seconds(w), time.monotonic()
    for _ in range(10):
        assert all(client.request().status == 200 for client in steady)
        assert w.admin("/ready")[0] == 200
        time.sleep(0.1)
    assert descriptors_of(w) <= 256 - OURS + 8  # theirs, and a few of the admin port's and to the upstream
    took = time.monotonic() - began
    assert cpu_seconds(w) - before < took / 2  # it pauses; it does not ask for ever
    refused = w.metrics().reason("descriptors")
    assert 1 <= refused <= 2 * 12 * (took + 2)  # one for each pause of 100 ms of each worker; the others wait
    assert w.metrics().sum("weir_connections_refused_total") >= refused

    for sock in socks:
        sock.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert w.get().status == 200
            break
        except (AssertionError, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert all(client.request().status == 200 for client in steady)


def test_clients_that_wait_for_a_paused_listener_are_served_later(weir, upstream):
    w = weir(upstream(), top={"workers": 1, "overload": {"keepalive_at": "100%", "refuse_at": "100%"}})
    limit_descriptors(w, 256)
    socks = crowd_of(w, 256)
    w.wait_for_metric(lambda m: m.sum("weir_accept_paused_total") >= 1, what="a pause")
    late = w.connect()  # a client that gets no descriptor now
    late.send(request_bytes())
    for sock in socks:
        sock.close()
    assert late.read().status == 200


def test_the_overload_manager_sees_them_coming(weir, upstream):
    w = weir(upstream())
    limit_descriptors(w, 512)
    socks = crowd_of(w, 412)
    w.wait_for_metric(lambda m: m.sum("weir_overload_level") == 3, what="overload")
    assert w.get().status == 503
    for sock in socks:
        sock.close()
    w.wait_for_metric(lambda m: m.sum("weir_overload_level") == 0, what="calm")
    assert w.get().status == 200


# --- hash tables -------------------------------------------------------------------------------------


def colliding(first, second, count):
    """Texts of one length and one value under a hash h = h * m + c for which the two pairs are the same."""
    words = itertools.product((first, second), repeat=11)
    return ["".join(word) for word in itertools.islice(words, count)]


JAVA = colliding("Aa", "BB", 1536)  # m = 31
DJB2 = colliding("Ez", "FY", 1536)  # m = 33
# SipHash-1-3 with a zero key is Python's own hash with PYTHONHASHSEED=0; the same low bits.
SIP_SCRIPT = """
import itertools
found = (n for n in itertools.count() if hash(b"%022d" % n) & 0x3ff == 0)
print(*("%022d" % n for n in itertools.islice(found, 1536)))
"""


def siphash_of_nothing():
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(["/usr/bin/python3", "-c", SIP_SCRIPT], env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()


def send_all(w, field, values):
    """A request for each value, pipelined; the statuses."""
    client, statuses = w.connect(), []
    for at in range(0, len(values), 32):
        part = values[at : at + 32]
        client.send(b"".join(request_bytes(fields=[(field[0], field[1] % value)]) for value in part))
        statuses += [client.read().status for _ in part]
    client.close()
    return statuses


def costs_of(w, attack, calm, rounds=4):
    """Processor time of both, taken in turns; the least of each."""
    least = [1e9, 1e9]
    for _ in range(rounds):
        for which, run in enumerate((attack, calm)):
            before = cpu_seconds(w)
            run()
            least[which] = min(least[which], cpu_seconds(w) - before)
    return least


@pytest.fixture
def fast():
    origin = crowd.FastOrigin()
    yield origin
    origin.stop()


@pytest.mark.parametrize("field, key", [(("X-Token", "%s"), "header:X-Token"), (("Cookie", "id=%s"), "cookie:id")],
                         ids=["header", "cookie"])
def test_chosen_keys_of_rate_limits_meet_in_no_slot(weir, fast, field, key):
    """A client that can put all keys into one slot of the table slows it down, or evicts other keys: a
    client that has used its burst would get a new one."""
    w = weir(fast, listener={"rate_limit": {"rate": "1/h", "burst": 1, "key": key}}, top={"workers": 1})
    for values in (JAVA, DJB2, siphash_of_nothing()):
        victims, crowd_ = values[:16], values[16:]
        assert send_all(w, field, victims) == [200] * 16
        assert send_all(w, field, crowd_) == [200] * len(crowd_)
        assert send_all(w, field, victims) == [429] * 16  # still known, and each for itself
    calm = ["%022d" % (n * 7919) for n in range(len(JAVA))]
    send_all(w, field, calm)
    attacked, unharmed = costs_of(w, lambda: send_all(w, field, JAVA), lambda: send_all(w, field, calm))
    assert attacked < 2 * unharmed


def test_chosen_names_and_cookies_cost_no_more_than_others(weir, fast):
    """Names that look like a well-known one where weir's table of names looks (length, a few letters),
    names that collide in the usual hashes, and many cookies of one hash."""
    w = weir(fast, top={"workers": 1})
    likes = ["accept%sencoding" % c for c in "abcdefghijklmnopqrstuvwxyz"]
    suffering = [
        [(name, "x") for name in likes for _ in range(4)],
        [(name, "x") for name in JAVA[:100]],
        [(name, "x") for name in DJB2[:100]],
        [("Cookie", "; ".join("%s=1" % name for name in JAVA[:400]))],
    ]
    harmless = [
        [("n%014d" % n, "x") for n in range(104)],
        [("n%021d" % n, "x") for n in range(100)],
        [("n%021d" % n, "x") for n in range(100)],
        [("Cookie", "; ".join("n%021d=1" % n for n in range(400)))],
    ]

    def run(fields):
        client = w.connect()
        data = request_bytes(fields=fields)
        for _ in range(20):
            client.send(data * 10)
            assert all(client.read().status == 200 for _ in range(10))
        client.close()

    for bad, good in zip(suffering, harmless):
        attacked, unharmed = costs_of(w, lambda: run(bad), lambda: run(good), rounds=3)
        assert attacked < 2 * unharmed, bad[0]


# --- patterns ----------------------------------------------------------------------------------------

EVIL = "~/x(/(a+)+)+$"  # exponential in the number of a's
EVIL_PATH = "/x/" + "a" * 2000 + "!"  # if only something else follows


@pytest.fixture
def patterned(weir, fast):
    return weir(config={
        "listeners": [{"name": "main", "bind": ["127.0.0.1:%d" % ports.free_port()], "router": "r"}],
        "groups": {"g": {"endpoints": [fast.address]}},
        "routers": {"r": {"services": {"s": "g"}, "rules": [
            {"host": "deny.example", "path": EVIL, "answer": 403},
            {"host": "serve.example", "path": EVIL, "answer": 200},
            {"service": "s"}]}},
    })


def limits_hit(w):
    return w.metrics().sum("weir_pattern_limits_total")


def test_a_pattern_that_takes_too_long_denies_and_is_counted(patterned):
    w = patterned
    assert w.get("/x/aaaa", host="deny.example").status == 403
    assert w.get("/y", host="deny.example").status == 200
    assert limits_hit(w) == 0
    assert w.get(EVIL_PATH, host="deny.example").status == 403
    w.wait_for_metric(lambda m: m.sum("weir_pattern_limits_total") == 1)


def test_a_pattern_that_takes_too_long_grants_nothing(patterned):
    """Any other rule does not hold then, and the next one is tried."""
    w = patterned
    for path in ("/x/aaaa", "/x/" + "a" * 100, EVIL_PATH):
        assert w.get(path, host="serve.example").status == 200
    w.wait_for_metric(lambda m: m.sum("weir_pattern_limits_total") == 1)
    assert sorted(entry["group"] for entry in w.access_log(3)) == ["-", "-", "g"]


def test_evil_paths_cost_what_the_limits_allow(patterned):
    """Without limits one of these would not end; with them it costs as much as a few requests."""
    w = patterned
    count = 50

    def run(path):
        client = w.connect()
        for _ in range(count):
            assert client.request(path, host="deny.example").status == 403
        client.close()

    attacked, _ = costs_of(w, lambda: run(EVIL_PATH), lambda: run("/x/" + "a" * 2001), rounds=2)
    assert attacked / count < 0.02  # seconds of the processor; a hundred times what it takes
