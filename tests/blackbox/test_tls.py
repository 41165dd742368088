"""TLS towards clients: which certificate, which version, which protocol, resumption."""

import socket
import ssl
import time

import pytest

from harness import origin as o
from harness.tools import curl, s_client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def conf(*leaves, **extra):
    return {"tls": dict(certificates=[leaf.conf() for leaf in leaves], **extra)}


def certificate(w, context, sni):
    return w.connect(tls=context, sni=sni).sock.getpeercert(binary_form=True)


# --- certificates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_the_certificate_is_chosen_by_sni(weir, upstream, ca, version):
    first = ca.leaf("one.example")
    second = ca.leaf("two.example", "*.two.example")
    w = weir(upstream(), listener=conf(first, second))
    context = ca.client_context(minimum=version, maximum=version)
    assert certificate(w, context, "one.example") == first.der
    assert certificate(w, context, "two.example") == second.der
    assert certificate(w, context, "deep.two.example") == second.der


def test_without_sni_or_with_an_unknown_name_the_first_certificate_answers(weir, upstream, ca):
    first, second = ca.leaf("one.example"), ca.leaf("two.example")
    w = weir(upstream(), listener=conf(first, second))
    context = ca.client_context()
    context.check_hostname = False
    assert certificate(w, context, None) == first.der
    assert certificate(w, context, "nobody.example") == first.der


def test_sni_is_compared_without_regard_to_case(weir, upstream, ca):
    first, second = ca.leaf("one.example"), ca.leaf("two.example")
    w = weir(upstream(), listener=conf(first, second))
    assert certificate(w, ca.client_context(), "TWO.Example") == second.der


def test_rsa_and_ecdsa_stand_side_by_side_in_tls_1_2(weir, upstream, ca):
    rsa, ecdsa = ca.leaf("one.example", kind="rsa"), ca.leaf("one.example", kind="ecdsa")
    w = weir(upstream(), listener=conf(ecdsa, rsa))
    only_rsa = ca.client_context(maximum=V12, ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    only_ecdsa = ca.client_context(maximum=V12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    assert certificate(w, only_rsa, "one.example") == rsa.der
    assert certificate(w, only_ecdsa, "one.example") == ecdsa.der


@pytest.mark.parametrize(
    "algorithm, kind", [("rsa_pss_rsae_sha256", "rsa"), ("ecdsa_secp256r1_sha256", "ecdsa")]
)
def test_rsa_and_ecdsa_stand_side_by_side_in_tls_1_3(weir, upstream, ca, algorithm, kind):
    leaves = {k: ca.leaf("one.example", kind=k) for k in ("rsa", "ecdsa")}
    w = weir(upstream(), listener=conf(leaves["ecdsa"], leaves["rsa"]))
    out = s_client(
        w.address(), "-servername", "one.example", "-tls1_3", "-sigalgs", algorithm, "-CAfile", ca.file
    ).stdout
    pem = out[out.index("-----BEGIN") : out.index("-----END CERTIFICATE-----") + 25]
    assert ssl.PEM_cert_to_DER_cert(pem) == leaves[kind].der


def test_the_whole_chain_is_sent(weir, upstream, ca, leaf):
    w = weir(upstream(), tls=True)
    out = s_client(w.address(), "-servername", "wiki.example", "-showcerts", "-CAfile", ca.file).stdout
    assert out.count("-----BEGIN CERTIFICATE-----") == 2
    assert "Verify return code: 0 (ok)" in out


# --- versions and protocols --------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_serves(weir, upstream, ca, version):
    client = weir(upstream(), tls=True).connect(tls=ca.client_context(minimum=version, maximum=version))
    assert client.sock.version() == {V12: "TLSv1.2", V13: "TLSv1.3"}[version]
    assert client.request().body == b"hello"


def test_tls_1_1_is_refused(weir, upstream, ca):
    w = weir(upstream(), tls=True)
    context = ca.client_context(ciphers="ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.connect(tls=context)


def test_min_version_1_3_refuses_1_2(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=conf(leaf, min_version="1.3"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.connect(tls=ca.client_context(maximum=V12))
    assert w.connect(tls=ca.client_context()).request().status == 200


def test_ciphers_without_forward_secrecy_are_refused(weir, upstream, ca):
    w = weir(upstream(), listener=conf(ca.leaf("wiki.example", kind="rsa")))
    for cipher in ("AES128-GCM-SHA256", "AES128-SHA", "ECDHE-RSA-AES128-SHA"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            w.connect(tls=ca.client_context(maximum=V12, ciphers=cipher + ":@SECLEVEL=0"))


@pytest.mark.parametrize(
    "offered, chosen",
    [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)],
)
def test_alpn_prefers_h2_and_does_without(weir, upstream, ca, offered, chosen):
    client = weir(upstream(), tls=True).connect(tls=ca.client_context(alpn=offered))
    assert client.sock.selected_alpn_protocol() == chosen
    if chosen != "h2":
        assert client.request().status == 200


def test_a_listener_may_offer_http_1_1_only(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=conf(leaf, alpn=["http/1.1"]))
    client = w.connect(tls=ca.client_context(alpn=["h2", "http/1.1"]))
    assert client.sock.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version, curl_version", [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_verifies_and_loads(weir, upstream, ca, version, curl_version):
    w = weir(upstream(), tls=True)
    resolve = "wiki.example:%d:127.0.0.1" % w.port()
    url = "https://wiki.example:%d/" % w.port()
    out = curl(version, "--cacert", ca.file, "--resolve", resolve, "-w", " %{http_version}", url).stdout
    assert out == "hello " + curl_version


# --- resumption --------------------------------------------------------------------------------------


@pytest.mark.tsan
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_session_is_resumed_on_any_worker(weir, upstream, ca, version):
    w = weir(upstream(), tls=True)
    context = ca.client_context(minimum=version, maximum=version)
    first = w.connect(tls=context)
    first.request()
    session = first.sock.session
    resumed = 0
    for _ in range(8):
        client = w.connect(tls=context, session=session)
        assert client.request().status == 200
        resumed += client.sock.session_reused
    assert resumed == 8
    w.wait_for_metric(
        lambda m: m.sum("weir_downstream_tls_resumed_total") >= 8
        and m.sum("weir_downstream_tls_full_total") == 1
    )


def test_sessions_survive_a_reload(weir, upstream, ca):
    w = weir(upstream(), tls=True)
    context = ca.client_context()
    first = w.connect(tls=context)
    first.request()
    w.reload()
    client = w.connect(tls=context, session=first.sock.session)
    assert client.request().status == 200 and client.sock.session_reused


def test_tickets_can_be_switched_off(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=conf(leaf, tickets=False))
    context = ca.client_context()
    first = w.connect(tls=context)
    first.request()
    if first.sock.session is not None and first.sock.session.has_ticket:
        client = w.connect(tls=context, session=first.sock.session)
        assert not client.sock.session_reused


# --- rubbish -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\x16\x03\x01\xff\xff" + b"A" * 100, b"\0" * 500])
def test_what_is_no_handshake_ends_the_connection_and_is_counted(weir, upstream, data):
    up = upstream()
    w = weir(up, tls=True)
    with socket.create_connection(w.address(), timeout=10) as sock:
        sock.sendall(data)
        began = time.monotonic()
        try:
            while sock.recv(4096):  # an alert may come first
                pass
        except ConnectionError:
            pass
        assert time.monotonic() - began < 5
    w.wait_for_reason("handshake_failed")
    assert w.get().status == 200


def test_a_client_that_leaves_in_the_handshake_does_no_harm(weir, upstream):
    w = weir(upstream(), tls=True)
    for _ in range(20):
        sock = socket.create_connection(w.address(), timeout=10)
        sock.sendall(b"\x16\x03\x01")
        sock.close()
    assert w.get().status == 200


def test_an_orderly_close_sends_close_notify(weir, upstream, ca):
    client = weir(upstream(), tls=True).connect(tls=ca.client_context())
    client.sock.suppress_ragged_eofs = False
    assert client.request(fields=[("Connection", "close")]).status == 200
    assert client.sock.recv(1) == b""  # raises SSLEOFError without close_notify


def test_large_bodies_cross_tls_unchanged_in_both_directions(weir, upstream):
    body = o.Firehose.piece(0, 5 << 20)
    response = weir(upstream(o.echo()), tls=True).get("/", method="PUT", body=body)
    assert o.Firehose.sha256(5 << 20) in response.text


def test_upstreams_behind_tls_are_verified_and_served(weir, upstream):
    up = upstream(tls=True)
    w = weir(up)
    client = w.connect()
    for _ in range(5):
        assert client.request().body == b"hello"
    assert len(up.connections) == 1
