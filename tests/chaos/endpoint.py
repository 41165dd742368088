"""An HTTP/1.1 endpoint that is a process of its own, so that a test can kill it, freeze it and start it again.

    python3 endpoint.py PORT NAME

It answers each request with JSON that names the endpoint and says what arrived, /bytes/N with N bytes, and a
WebSocket upgrade with an echo of all that comes."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from harness import origin, ports  # noqa: E402


# --- the process -------------------------------------------------------------------------------------


def echo_bytes(conn, request):
    conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while data := conn.reader.buffer or conn.sock.recv(65536):
        conn.reader.buffer = b""
        conn.sock.sendall(data)
    conn.close()


def handler_of(name):
    echo = origin.echo(name)

    def handler(conn, request):
        if request.header("upgrade"):
            echo_bytes(conn, request)
        elif request.target.startswith("/bytes/"):
            size = int(request.target.rsplit("/", 1)[1])
            origin.respond(origin.Firehose.piece(0, size))(conn, request)
        else:
            echo(conn, request)

    return handler


def main():
    server = origin.Origin(handler_of(sys.argv[2]), port=int(sys.argv[1]))
    print("listening", flush=True)
    sys.stdin.read()  # ends with the test that started it
    server.stop()


# --- the test's side ---------------------------------------------------------------------------------


class Endpoint:
    def __init__(self, name):
        self.name, self.port = name, ports.free_port()
        self.process = None
        self.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.port), self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"listening\n"

    def kill(self):
        """The process is killed, as by the kernel's OOM killer: its sockets close, and requests in flight are lost."""
        self.process.kill()
        self._reap()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self._reap()

    def _reap(self):
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process = None


if __name__ == "__main__":
    main()
