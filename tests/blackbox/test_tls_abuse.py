"""Attacks on a TLS listener: renegotiation, floods of key updates, and delaying other clients with
expensive handshakes."""

import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

V12 = ssl.TLSVersion.TLSv1_2


class Interactive:
    """openssl s_client at its prompt, where each letter is a command."""

    def __init__(self, w, ca, *arguments):
        argv = ["openssl", "s_client", "-connect", "%s:%d" % w.address(), "-servername", "wiki.example", "-CAfile",
                ca.file, *arguments]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.out = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait_for(b"Verify return code: 0")

    def _read(self):
        for chunk in iter(lambda: self.popen.stdout.read1(65536), b""):
            self.out += chunk

    def wait_for(self, words, seconds=10):
        end = time.monotonic() + seconds
        while words not in self.out:
            assert time.monotonic() < end and self.popen.poll() is None, self.out.decode(errors="replace")
            time.sleep(0.01)

    def type(self, line):
        try:
            self.popen.stdin.write(line + b"\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass

    def stop(self):
        self.popen.kill()
        self.popen.wait()
        self.reader.join()


@pytest.fixture
def prompt(ca):
    started = []

    def start(w, *arguments):
        started.append(Interactive(w, ca, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_renegotiation_is_refused(weir, upstream, prompt):
    w = weir(upstream(), tls=True)
    client = prompt(w, "-tls1_2")
    client.type(b"R")
    client.wait_for(b"no renegotiation")
    assert w.get().status == 200


def test_a_few_key_updates_are_a_clients_right(weir, upstream, prompt):
    w = weir(upstream(), tls=True)
    client = prompt(w, "-tls1_3")
    for _ in range(10):
        client.type(b"K")
        time.sleep(0.01)
    for line in (b"GET / HTTP/1.1", b"Host: wiki.example", b""):
        client.type(line + b"\r")
    client.wait_for(b"hello")


def test_a_flood_of_key_updates_is_cut_off(weir, upstream, prompt):
    w = weir(upstream(), tls=True)
    client = prompt(w, "-tls1_3")
    for _ in range(400):
        if client.popen.poll() is not None:
            break
        client.type(b"K")
        time.sleep(0.005)
    w.wait_for_reason("tls_flood")
    assert w.get().status == 200


# --- handshakes that cost ----------------------------------------------------------------------------


def rsa(ca):
    return {"tls": {"certificates": [ca.leaf("wiki.example", kind="rsa").conf()]}}


@pytest.mark.tsan
@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("version", [None, V12], ids=["tls1.3", "tls1.2"])
def test_rsa_handshakes_are_served_by_any_number_of_threads(weir, upstream, ca, threads, version):
    # One worker leaves a core to the helpers where there are two; else it may sign itself.
    w = weir(upstream(), listener=rsa(ca), top={"handshake_threads": threads, "workers": 1})
    context = ca.client_context(maximum=version)

    def visit():
        for _ in range(5):
            with w.connect(tls=context) as client:
                assert client.request().status == 200
            served.append(1)

    served = []
    visitors = [threading.Thread(target=visit) for _ in range(6)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join()
    assert len(served) == 30
    if threads > 0 and len(os.sched_getaffinity(0)) > 1:
        w.wait_for_metric(lambda m: m.sum("weir_handshakes_offloaded_total") == 30)
    elif threads == 0:
        assert w.metrics().sum("weir_handshakes_offloaded_total") == 0


def test_resumed_and_ecdsa_handshakes_stay_on_the_worker(weir, upstream, ca):
    both = {"tls": {"certificates": [ca.leaf("wiki.example", kind=k).conf() for k in ("rsa", "ecdsa")]}}
    w = weir(upstream(), listener=both)
    context = ca.client_context()
    with w.connect(tls=context) as client:  # this client likes ECDSA
        client.request()
        session = client.sock.session
    with w.connect(tls=context, session=session) as client:
        assert client.request().status == 200 and client.sock.session_reused
    assert w.metrics().sum("weir_handshakes_offloaded_total") == 0


def hellos(ca, count):
    """ClientHellos as bytes."""
    context = ca.client_context(maximum=V12)
    for _ in range(count):
        out = ssl.MemoryBIO()
        tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="wiki.example")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        yield out.read()


@pytest.mark.tsan
@pytest.mark.parametrize("kind, threads", [("rsa", 1), ("rsa", 0), ("ecdsa", 1)])
def test_more_handshakes_than_may_wait_are_refused_and_counted(weir, upstream, ca, kind, threads):
    listener = {"tls": {"certificates": [ca.leaf("wiki.example", kind=kind).conf()]}}
    top = {"handshake_threads": threads, "handshake_queue": 2, "workers": 1}
    w = weir(upstream(), listener=listener, top=top)
    steady = w.connect()
    socks = [socket.create_connection(w.address()) for _ in range(200)]
    for sock, hello in zip(socks, list(hellos(ca, 200))):
        sock.sendall(hello)
    w.wait_for_reason("handshake_overflow")
    assert steady.request().status == 200
    for sock in socks:
        sock.close()
    deadline = time.monotonic() + 10
    while w.metrics().sum("weir_downstream_connections") > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert w.get().status == 200


def test_a_storm_of_handshakes_harms_no_neighbour(weir, upstream, ca):
    """Far more full handshakes than weir can sign: connected clients, and clients that come back with
    a ticket, are served as before."""
    w = weir(upstream(), listener=rsa(ca), top={"handshake_queue": 32})
    context = ca.client_context()
    steady = [w.connect(), w.connect_h2(), w.connect()]
    with w.connect(tls=context) as client:
        client.request()
        session = client.sock.session
    waiting, storm_is_over = list(hellos(ca, 50)), threading.Event()

    def storm():
        for n in range(3000):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            try:
                sock.connect(w.address())
                sock.sendall(waiting[n % len(waiting)])
            except OSError:
                pass
            stormers.append(sock)
            if len(stormers) > 500:
                stormers.pop(0).close()
        storm_is_over.set()

    stormers = []
    thread = threading.Thread(target=storm)
    thread.start()
    served = 0
    while not storm_is_over.is_set():
        assert all(client.request().status == 200 for client in steady)
        with w.connect(tls=context, session=session) as client:
            assert client.request().status == 200 and client.sock.session_reused
            session = client.sock.session
        served += 1
    thread.join()
    assert served > 0
    w.wait_for_reason("handshake_overflow")
    for sock in stormers:
        sock.close()


@pytest.mark.tsan
def test_clients_that_leave_while_a_helper_works_do_no_harm(weir, upstream, ca):
    w = weir(upstream(), listener=rsa(ca))
    for hello in hellos(ca, 150):
        sock = socket.create_connection(w.address())
        sock.sendall(hello)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.close()
    assert w.get().status == 200


@pytest.mark.tsan
def test_stopping_in_a_storm_is_clean(weir, upstream, ca):
    w = weir(upstream(), listener=rsa(ca))
    socks = [socket.create_connection(w.address()) for _ in range(100)]
    for sock, hello in zip(socks, list(hellos(ca, 100))):
        sock.sendall(hello)
    w.stop()
    for sock in socks:
        sock.close()


def test_reloads_in_a_storm_are_clean(weir, upstream, ca):
    w = weir(upstream(), listener=rsa(ca))
    for _ in range(3):
        socks = [socket.create_connection(w.address()) for _ in range(50)]
        for sock, hello in zip(socks, list(hellos(ca, 50))):
            sock.sendall(hello)
        w.reload()
        for sock in socks:
            sock.close()
    assert w.get().status == 200
