"""An HTTP/2 client on python-h2, with one loop that a test drives by waiting for things."""

import socket
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from . import wire
from .client import Client


GOAWAY = 7  # frame type, RFC 9113 section 6.8


class Stream:
    def __init__(self):
        self.status = None
        self.fields = wire.Fields()
        self.trailers = wire.Fields()
        self.interim = []
        self.body = b""
        self.unacknowledged = 0
        self.ended = False
        self.reset = None  # error code

    def header(self, name, default=None):
        return self.fields.get(name, default)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def done(self):
        return self.ended or self.reset is not None


class H2Client:
    """`validate` lets python-h2 refuse to send what it takes for malformed."""

    def __init__(self, address, tls=None, sni=None, timeout=10, settings=None, auto_ack=True, authority="wiki.example",
                 validate=True):
        self.client = Client(address, tls=tls, sni=sni, timeout=timeout)
        self.sock = self.client.sock
        if tls:
            assert self.sock.selected_alpn_protocol() == "h2"
        self.scheme = "https" if tls else "http"
        self.authority = authority
        self.auto_ack = auto_ack
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=validate)
        self.conn = h2.connection.H2Connection(config)
        self.streams = {}
        self.goaway = None  # the event
        self.closed = False
        self.pings = 0
        self.settings_seen = {}
        self._input = b""
        if settings:
            self.conn.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.conn.initiate_connection()
        self.flush()

    # sending

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def fields_for(self, path, method, fields=(), authority=None):
        pseudo = [
            (":method", method),
            (":scheme", self.scheme),
            (":authority", authority or self.authority),
            (":path", path),
        ]
        return pseudo + [(name.lower(), value) for name, value in fields]

    def begin(self, path="/", method="GET", fields=(), end=True, authority=None):
        """Sends a head; answers the stream's id."""
        stream_id = self.conn.get_next_available_stream_id()
        self.streams[stream_id] = Stream()
        self.conn.send_headers(stream_id, self.fields_for(path, method, fields, authority), end_stream=end)
        self.flush()
        return stream_id

    def send_body(self, stream_id, body, end=True, trailers=None, timeout=20):
        """Sends a body as fast as the windows allow."""
        deadline = time.monotonic() + timeout
        view = memoryview(body)
        while view:
            room = min(self.conn.local_flow_control_window(stream_id), self.conn.max_outbound_frame_size)
            if room <= 0:
                assert time.monotonic() < deadline, "no window for %d bytes" % len(view)
                self.pump(0.2)
                assert not self.streams[stream_id].reset, "reset while sending"
                continue
            self.conn.send_data(stream_id, bytes(view[:room]))
            view = view[room:]
            self.flush()
        if trailers:
            self.conn.send_headers(stream_id, trailers, end_stream=True)
        elif end:
            self.conn.end_stream(stream_id)
        self.flush()

    def reset(self, stream_id, code=h2.errors.ErrorCodes.CANCEL):
        self.conn.reset_stream(stream_id, code)
        self.flush()

    # receiving

    def pump(self, timeout):
        """Reads once, at most that long; answers whether anything came."""
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, TimeoutError):
            return False
        except ConnectionError:
            data = b""
        finally:
            self.sock.settimeout(10)
        if not data:
            self.closed = True
            return False
        self._input += data
        while len(self._input) >= 9:
            size = 9 + int.from_bytes(self._input[:3], "big")
            if len(self._input) < size:
                break
            frame, self._input = self._input[:size], self._input[size:]
            self._on_frame(frame)
            try:
                self.flush()  # at once: python-h2 throws away what waits when a GOAWAY comes
            except OSError:
                self.closed = True
        return True

    def _on_frame(self, frame):
        """python-h2 ends all streams after a GOAWAY; here the open streams continue."""
        for event in self.conn.receive_data(frame):
            self._on_event(event)
        if frame[3] == GOAWAY and self.goaway.error_code == 0:
            self.conn.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def _on_event(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            stream.fields = wire.Fields((n, v) for n, v in event.headers if not n.startswith(":"))
            stream.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            stream.unacknowledged += event.flow_controlled_length
            if self.auto_ack:
                self.acknowledge(event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = wire.Fields(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            if stream:
                stream.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings_seen.update({k: v.new_value for k, v in event.changed_settings.items()})

    def acknowledge(self, stream_id):
        stream = self.streams[stream_id]
        count, stream.unacknowledged = stream.unacknowledged, 0
        if count:
            try:
                self.conn.acknowledge_received_data(count, stream_id)
            except h2.exceptions.ProtocolError:
                pass
            self.flush()

    def wait(self, condition, timeout=10, what="an event"):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, "waited %g s for %s" % (timeout, what)
            assert not self.closed, "weir closed the connection while we waited for %s" % what
            self.pump(min(left, 0.2))

    def finish(self, stream_id, timeout=10):
        """Waits until the stream has ended or was reset."""
        stream = self.streams[stream_id]
        self.wait(lambda: stream.done, timeout, "the end of stream %d" % stream_id)
        return stream

    def request(self, path="/", method="GET", fields=(), body=None, authority=None, timeout=10):
        stream_id = self.begin(path, method, fields, end=body is None, authority=authority)
        if body is not None:
            self.send_body(stream_id, body)
        return self.finish(stream_id, timeout)

    def drain_events(self, quiet=0.3):
        """Reads until nothing came for that long."""
        while not self.closed and self.pump(quiet):
            pass

    def is_closed(self, timeout=5):
        deadline = time.monotonic() + timeout
        while not self.closed and time.monotonic() < deadline:
            self.pump(0.1)
        return self.closed

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
