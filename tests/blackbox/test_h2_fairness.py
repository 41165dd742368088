"""A client cannot harm the requests of other clients on a shared HTTP/2 connection to an upstream."""

import socket
import struct
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from harness import KIB, MIB
from harness.origin import Origin
from harness import wire

H2 = {"protocol": "h2"}


class WindowedOrigin(Origin):
    """An HTTP/2 upstream that sends its responses as fast as the windows allow. /N answers with N bytes; /wait
    never answers. `settings` go out `settings_after` seconds after the connection was accepted; after
    `most_resets` RST_STREAM frames the connection ends."""

    def __init__(self, settings=None, settings_after=0, settings_then=None, most_resets=None, **options):
        self.config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.settings, self.settings_after, self.most_resets = settings, settings_after, most_resets
        self.settings_then = settings_then  # 300 ms later
        self.accepted, self.resets, self.requests, self.most_open = 0, [], [], 0
        super().__init__(lambda call: None, **options)

    def _serve(self, sock):
        self.accepted += 1
        number = self.accepted - 1
        self.resets.append(0)
        session = h2.connection.H2Connection(self.config)
        if self.settings:
            session.local_settings = h2.settings.Settings(client=False, initial_values=self.settings)
        session.initiate_connection()
        first = session.data_to_send()
        left, open_now = {}, set()
        sock.settimeout(60)
        try:
            if self.settings_after:
                time.sleep(self.settings_after)
            sock.sendall(first)
            if self.settings_then:
                time.sleep(0.3)
                session.update_settings(self.settings_then)
                sock.sendall(session.data_to_send())
            while data := sock.recv(65536):
                for event in session.receive_data(data):
                    self._on(session, number, left, open_now, event)
                self._send(session, left, open_now)
                sock.sendall(session.data_to_send())
                if self.most_resets is not None and self.resets[number] > self.most_resets:
                    return
        except OSError:
            pass
        except Exception as error:  # python-h2 has many names for "not HTTP/2"
            self.broken.append(repr(error))
        finally:
            wire.shut(sock)

    def _on(self, session, number, left, open_now, event):
        if isinstance(event, h2.events.RequestReceived):
            path = dict(event.headers)[":path"]
            self.requests.append((number, path))
            open_now.add(event.stream_id)
            self.most_open = max(self.most_open, len(open_now))
            if path != "/wait":
                session.send_headers(event.stream_id, [(":status", "200")])
                left[event.stream_id] = int(path[1:] or 5)
        elif isinstance(event, h2.events.DataReceived):
            session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[number] += 1
            left.pop(event.stream_id, None)
            open_now.discard(event.stream_id)

    def _send(self, session, left, open_now):
        for stream in list(left):
            while left[stream]:
                room = min(session.local_flow_control_window(stream), session.max_outbound_frame_size, left[stream])
                if room <= 0:
                    break
                session.send_data(stream, bytes(room))
                left[stream] -= room
            if left[stream] == 0:
                session.end_stream(stream)
                del left[stream]
                open_now.discard(stream)


@pytest.fixture
def origin():
    started = []

    def start(**options):
        started.append(WindowedOrigin(**options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
        assert not one.broken, one.broken


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_slow_readers_stop_no_other_response_of_the_same_upstream_connection(weir, origin, protocol):
    up = origin()
    w = weir(up, group=H2, top={"workers": 1})
    readers = []
    for _ in range(12):
        if protocol == "h1":
            reader = w.connect(receive_buffer=4096)
            reader.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % (8 * MIB))
        else:
            reader = w.connect_h2(auto_ack=False)
            reader.begin("/%d" % (8 * MIB))
        readers.append(reader)
    deadline = time.monotonic() + 5
    while len(up.requests) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(3):
        assert len(w.get("/%d" % (2 * MIB)).body) == 2 * MIB
    assert time.monotonic() - began < 5
    connections = [number for number, _ in up.requests]
    assert connections[-1] in connections[:12]


def ask_all(w, count, path="/", method="GET"):
    """So many requests at once, each on a connection of its own: their statuses."""
    statuses, threads = [None] * count, []

    def ask(n):
        statuses[n] = w.get(path, method=method, body=b"x" if method == "POST" else None).status

    for n in range(count):
        threads.append(threading.Thread(target=ask, args=(n,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return statuses


LIMIT = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("limit, connections", [(1, 6), (2, 6), (100, 1)])
def test_a_new_connection_carries_one_request_until_its_settings_are_known(weir, origin, method, limit, connections):
    up = origin(settings={LIMIT: limit}, settings_after=0.05)
    w = weir(up, group=H2, top={"workers": 1})
    assert ask_all(w, 6, method=method) == [200] * 6
    assert up.most_open <= limit
    assert up.accepted <= connections
    assert ask_all(w, 6, method=method) == [200] * 6


def test_what_the_limit_of_streams_keeps_back_waits(weir, origin):
    up = origin(settings={LIMIT: 1}, settings_after=0.02)
    w = weir(up, group={"protocol": "h2", "max_connections": 1}, top={"workers": 1})
    assert ask_all(w, 8, method="POST") == [200] * 8
    assert up.accepted == 1


def test_requests_wait_for_a_limit_that_rises(weir, origin):
    up = origin(settings={LIMIT: 1}, settings_then={LIMIT: 10})
    w = weir(up, group={"protocol": "h2", "max_connections": 2}, top={"workers": 1})
    assert ask_all(w, 8, method="POST") == [200] * 8
    assert up.accepted <= 2


def cancel_h1(w, count):
    for _ in range(count):
        with w.connect() as client:
            client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.002)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset


def cancel_h2(w, count):
    """A few on each connection, so that no limit of the client's side comes first."""
    while count > 0:
        client = w.connect_h2()
        streams = [client.begin("/wait") for _ in range(25)]
        time.sleep(0.02)
        for stream in streams:
            client.reset(stream)
        client.client.sock.close()
        count -= 25


@pytest.mark.parametrize("cancel", [cancel_h1, cancel_h2])
def test_cancelled_requests_cost_no_other_request(weir, origin, cancel):
    """The upstream ends a connection with more than 100 RST_STREAMs."""
    up = origin(most_resets=100)
    w = weir(up, group=H2, top={"workers": 1})
    long_one = w.connect(receive_buffer=4096)
    long_one.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % (4 * MIB))
    up_first = time.monotonic() + 5
    while not up.requests and time.monotonic() < up_first:
        time.sleep(0.01)

    statuses, stopping = [], threading.Event()

    def neighbour(method):
        while not stopping.is_set():
            statuses.append(w.get("/5", method=method, body=b"x" if method == "POST" else None).status)

    threads = [threading.Thread(target=neighbour, args=(method,)) for method in ("GET", "POST")]
    for thread in threads:
        thread.start()
    cancel(w, 500)
    stopping.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 50 and set(statuses) == {200}
    assert len(long_one.read().body) == 4 * MIB
    assert max(up.resets) <= 32
    w.wait_for_metric(lambda m: m.sum("weir_upstream_cancels_spent_total") >= 5)


def test_the_limit_of_cancels_can_be_set(weir, origin):
    up = origin()
    w = weir(up, group={"protocol": "h2", "max_cancels": 5}, top={"workers": 1})
    cancel_h1(w, 20)
    assert w.get().status == 200
    assert max(up.resets) <= 5
    w = weir(up, group={"protocol": "h2", "max_cancels": 0}, top={"workers": 1})
    accepted = up.accepted
    cancel_h1(w, 60)
    assert w.get().status == 200
    assert up.accepted == accepted + 1
