"""Scripted HTTP/2 upstreams with prior knowledge, on python-h2, a thread per connection.

A handler gets the origin's H2Call as soon as the request's head is there and answers with its methods; it
runs on the connection's thread and must not wait.
"""

import threading

import h2.config
import h2.connection
import h2.events

from . import wire
from .origin import Origin


class H2Call:
    """A request as the upstream sees it: `fields` are the (name, value) pairs, pseudo-headers included."""

    def __init__(self, session, stream_id, fields):
        self.session, self.stream_id, self.fields = session, stream_id, fields
        self.ended = threading.Event()
        self.reset = None  # error code
        self.trailers = []
        self.body = b""

    def values(self, name):
        return [v for n, v in self.fields if n == name]

    def head(self, status=200, fields=(), end=False):
        self.session.send_headers(self.stream_id, [(":status", str(status))] + list(fields), end_stream=end)

    def end_with(self, trailers):
        self.session.send_headers(self.stream_id, trailers, end_stream=True)

    def data(self, body=b"", end=True):
        self.session.send_data(self.stream_id, body, end_stream=end)


def respond(body=b"hello", fields=()):
    def handler(call):
        call.head(200, fields)
        call.data(body)

    return handler


class H2Origin(Origin):
    """`calls` is what came, in order. `validate` lets python-h2 refuse what it takes for malformed, here and there."""

    def __init__(self, handler=None, validate=True, **options):
        self.calls = []
        self.config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_inbound_headers=validate,
            validate_outbound_headers=validate, normalize_outbound_headers=validate)
        super().__init__(handler or respond(), **options)

    def _serve(self, sock):
        session = h2.connection.H2Connection(self.config)
        session.initiate_connection()
        calls = {}
        sock.settimeout(60)
        try:
            sock.sendall(session.data_to_send())
            while data := sock.recv(65536):
                for event in session.receive_data(data):
                    self._on_event(session, calls, event)
                sock.sendall(session.data_to_send())
        except OSError:
            pass
        except Exception as error:  # python-h2 has many names for "not HTTP/2"
            self.broken.append(repr(error))
        finally:
            wire.shut(sock)

    def _on_event(self, session, calls, event):
        call = calls.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            call = calls[event.stream_id] = H2Call(session, event.stream_id, event.headers)
            if event.stream_ended:
                call.ended.set()
            with self._changed:
                self.calls.append(call)
                self._changed.notify_all()
            self.handler(call)
        elif isinstance(event, h2.events.DataReceived):
            call.body += event.data
            session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            call.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            call.ended.set()
        elif isinstance(event, h2.events.StreamReset):
            call.reset = event.error_code
