"""An outage must not double its own load: retries are a share of the requests."""

import threading

import pytest

from harness import origin as o
from harness.h2origin import H2Origin
from harness.h2origin import respond as h2_respond

REQUESTS, CLIENTS, BATCH = 1000, 4, 50
SHARE, FLOOR, WORKERS = 0.2, 10, 2  # the defaults; the harness runs two workers
REFUSED_STREAM = 7

# --- upstreams that are down -------------------------------------------------------------------------


class Outage:
    """An upstream that is down; `tries` counts weir's attempts, `recover` brings it back."""

    group = {}

    def __init__(self, ca, leaf):
        self.ca, self.leaf = ca, leaf
        self.count = 0

    def is_bad_luck(self):
        """One in ten, after some requests that pay for the retries of the floor."""
        self.count += 1
        return self.count > 60 and self.count % 10 == 0


class RefusesConnections(Outage):
    def __init__(self, *args):
        super().__init__(*args)
        self.target = o.Origin(self.answer, listening=False)

    def tries(self, metrics):
        return metrics.sum("weir_group_connect_failures_total", group="backend")

    def recover(self):
        self.target.listen()

    def answer(self, conn, request):
        if conn.request_count > 1 and self.is_bad_luck():
            conn.close()
        else:
            o.respond()(conn, request)


class EndsHandshakes(RefusesConnections):
    """Accepts the connection, and never completes the handshake."""

    end = staticmethod(o.Connection.close)

    def __init__(self, ca, leaf):
        super().__init__(ca, leaf)
        self.group = {"tls": {"ca": ca.file, "server_name": "wiki.example"}}
        self.target.handler = self
        self.target.listen()

    def on_connection(self, conn):
        self.end(conn)

    def tries(self, metrics):
        return len(self.target.connections)

    def recover(self):
        self.target.tls = self.ca.server_context(self.leaf)
        self.target.handler = self.answer


class ResetsHandshakes(EndsHandshakes):
    end = staticmethod(o.Connection.reset)


class RefusesStreams(Outage):
    """Speaks HTTP/2, and every stream is refused before it was processed."""

    group = {"protocol": "h2"}

    def __init__(self, *args):
        super().__init__(*args)
        self.target = H2Origin(self.refuse)

    @staticmethod
    def refuse(call):
        call.session.reset_stream(call.stream_id, REFUSED_STREAM)

    def tries(self, metrics):
        return len(self.target.calls)

    def recover(self):
        self.target.handler = lambda call: (self.refuse if self.is_bad_luck() else h2_respond())(call)


@pytest.fixture(params=[RefusesConnections, EndsHandshakes, ResetsHandshakes, RefusesStreams])
def outage(request, ca, leaf):
    one = request.param(ca, leaf)
    yield one
    one.target.stop()
    assert not one.target.broken


# --- many clients ------------------------------------------------------------------------------------


def ask_h1(w, count):
    with w.connect() as client:
        return [client.request("/%d" % n).status for n in range(count)]


def ask_h2(w, count, batch_size=BATCH):
    statuses = []
    with w.connect_h2() as client:
        while len(statuses) < count:
            batch = [client.begin() for _ in range(min(batch_size, count - len(statuses)))]
            statuses += [client.finish(stream).status for stream in batch]
    return statuses


def ask_one_by_one(w, protocol, count):
    return ask_h1(w, count) if protocol == "h1" else ask_h2(w, count, batch_size=1)


def ask_at_once(w, protocol):
    """The statuses of REQUESTS, from several clients."""
    statuses, ask = [], {"h1": ask_h1, "h2": ask_h2}[protocol]

    def run():
        statuses.extend(ask(w, REQUESTS // CLIENTS))

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "somebody still waits for an answer"
    assert len(statuses) == REQUESTS
    return statuses


# --- the promise -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_in_an_outage_tries_are_at_most_a_fifth_more_than_requests(weir, outage, protocol):
    w = weir(outage.target, group=outage.group)
    assert set(ask_at_once(w, protocol)) == {502}
    metrics = w.wait_for_metric(lambda m: m.sum("weir_group_requests_total") == REQUESTS)
    tries = outage.tries(metrics)
    assert (1 + SHARE) * REQUESTS * 0.98 <= tries <= (1 + SHARE) * REQUESTS + WORKERS * FLOOR
    retries, denied = (metrics.sum("weir_group_retries%s_total" % s, group="backend") for s in ("", "_denied"))
    assert (tries, retries + denied) == (REQUESTS + retries, REQUESTS)
    assert metrics.sum("weir_upstream_retries_denied_total") == denied
    w.wait_for_log(" upstream_retries_denied group=backend ")

    outage.recover()
    assert set(ask_one_by_one(w, protocol, 200)) == {200}  # though one in ten fails at first
    after = w.wait_for_metric(lambda m: m.sum("weir_group_requests_total") == REQUESTS + 200)
    assert after.sum("weir_group_retries_total") >= retries + 10
    assert after.sum("weir_group_retries_denied_total") == denied


def test_requests_that_went_well_pay_for_later_retries(weir, upstream):
    def handler(conn, request):
        if conn.request_count > 1 and request.target == "/unlucky":
            conn.close()
        else:
            o.respond()(conn, request)

    up = upstream(handler)
    w = weir(up, group={"retry_floor": 0}, top={"workers": 1})
    client = w.connect()

    def unlucky():
        return [client.request(target).status for target in ("/unlucky", "/")][0]

    assert [client.request().status, unlucky()] == [200, 502]
    for _ in range(4):
        client.request()
    assert [unlucky(), unlucky(), unlucky()] == [200, 200, 502]
    assert w.metrics().sum("weir_group_retries_denied_total", group="backend") == 2
    assert [entry["retries"] for entry in w.access_log(13) if entry["path"] == "/unlucky"] == [0, 1, 1, 0]


def test_a_reload_changes_the_budget(weir, upstream):
    w = weir(upstream(listening=False), group={"retry_budget": "0%", "retry_floor": 0}, top={"workers": 1})

    def retries(count):
        before = w.metrics().sum("weir_upstream_retries_total")
        assert ask_h1(w, count) == [502] * count
        return w.metrics().sum("weir_upstream_retries_total") - before

    assert retries(10) == 0
    for share, wanted in [("100%", 10), ("50%", 5), ("0%", 0)]:
        w.config["groups"]["backend"]["retry_budget"] = share
        w.reload(w.config)
        assert retries(10) == wanted
