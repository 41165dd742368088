"""Client certificates: which clients are asked, which are accepted, what the application gets, and that neither a ticket
nor another name on the same connection bypasses the check."""

import hashlib
import ssl
import time

import pytest

from harness import origin as o
from harness.tools import s_client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
REFUSED = (ssl.SSLError, ConnectionError, EOFError, AssertionError)
URI = "spiffe://cluster.example/ns/mw/sa/web"


def asking(ca, leaf, mode="required", **extra):
    return {"tls": {"certificates": [leaf.conf()], "client_certificate": {"mode": mode, "ca": ca.file, **extra}}}


def is_served(w, context, sni="wiki.example", host="wiki.example", session=None):
    """TLS 1.3 clients learn that they are refused only when they read."""
    try:
        with w.connect(tls=context, sni=sni, session=session) as client:
            return client.request(host=host).status == 200
    except REFUSED:
        return False


def fields_seen(up):
    request = up.requests[-1]
    return {n.lower(): v for n, v in request.fields if n.lower().startswith("x-client-cert")}


@pytest.fixture(scope="session")
def shown(ca):
    return ca.leaf("mw.example", URI, "192.0.2.7", client=True)


@VERSIONS
def test_a_required_certificate_is_required(weir, upstream, ca, leaf, shown, version):
    w = weir(upstream(), listener=asking(ca, leaf))
    limits = {"minimum": version, "maximum": version}
    assert is_served(w, ca.client_context(shows=shown, **limits))
    assert not is_served(w, ca.client_context(**limits))
    w.wait_for_reason("handshake_failed")


def test_a_certificate_of_another_authority_or_past_its_time_is_refused(weir, upstream, ca, other_ca, leaf):
    for mode in ("required", "optional"):
        w = weir(upstream(), listener=asking(ca, leaf, mode))
        assert not is_served(w, ca.client_context(shows=other_ca.leaf("mw.example", client=True)))
        assert not is_served(w, ca.client_context(shows=ca.leaf("mw.example", client=True, days=-1)))
        assert not is_served(w, ca.client_context(shows=ca.leaf("mw.example"))), "a server's, not a client's"


def test_an_optional_certificate_is_optional(weir, upstream, ca, leaf, shown):
    up = upstream()
    w = weir(up, listener=asking(ca, leaf, "optional"))
    assert is_served(w, ca.client_context())
    assert fields_seen(up) == {"x-client-cert-verified": "false"}
    assert is_served(w, ca.client_context(shows=shown))
    assert fields_seen(up)["x-client-cert-verified"] == "true"


def test_the_application_gets_the_client_certificate(weir, upstream, ca, leaf, shown):
    up = upstream()
    w = weir(up, listener=asking(ca, leaf))
    context = ca.client_context(shows=shown)
    forged = [("X-Client-Cert-Subject", "CN=root"), ("x-client-cert-SAN", "DNS:root")]
    with w.connect(tls=context) as client:
        assert client.request(fields=forged).status == 200
        session = client.sock.session
    told = {
        "x-client-cert-verified": "true",
        "x-client-cert-subject": "CN=mw.example",
        "x-client-cert-san": "DNS:mw.example,URI:%s,IP:192.0.2.7" % URI,
        "x-client-cert-fingerprint": hashlib.sha256(shown.der).hexdigest(),
    }
    assert fields_seen(up) == told
    with w.connect(tls=context, session=session) as client:  # and again with the certificate of the ticket
        assert client.request(fields=forged).status == 200 and client.sock.session_reused
    assert fields_seen(up) == told


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_client_certificate_fields_of_clients_are_removed(weir, upstream, tls):
    up = upstream()
    w = weir(up, tls=tls, trusted=True)
    forged = [("X-Client-Cert-%s" % name, "forged") for name in ("Verified", "Subject", "San", "Fingerprint")]
    assert w.connect().request(fields=forged).status == 200
    assert fields_seen(up) == {}


def test_a_separator_inside_a_name_separates_nothing(weir, upstream, ca, leaf):
    up = upstream()
    w = weir(up, listener=asking(ca, leaf))
    assert is_served(w, ca.client_context(shows=ca.leaf("x://a,DNS:root", client=True)))
    assert fields_seen(up)["x-client-cert-san"] == "URI:x://a%2CDNS:root"


@pytest.mark.parametrize(
    "allowed, served",
    [(["mw.example"], True), (["MW.example"], True), (["*.example"], True), ([URI], True),
     (["other.example"], False), (["*.mw.example"], False), (["spiffe://*"], False)],
)
def test_only_listed_names_get_in(weir, upstream, ca, leaf, shown, allowed, served):
    w = weir(upstream(), listener=asking(ca, leaf, names=allowed))
    assert is_served(w, ca.client_context(shows=shown)) == served


# --- more for some names -----------------------------------------------------------------------------


def by_name(ca, leaf):
    return {
        "tls": {
            "certificates": [leaf.conf()],
            "hosts": [
                {"name": "secret.wiki.example", "client_certificate": {"ca": ca.file}},
                {"name": "modern.wiki.example", "min_version": "1.3"},
                {"name": "same.wiki.example"},
            ],
        }
    }


@VERSIONS
def test_one_name_may_ask_for_more_than_the_others(weir, upstream, ca, leaf, shown, version):
    w = weir(upstream(), listener=by_name(ca, leaf))
    limits = {"minimum": version, "maximum": version}
    bare, with_one = ca.client_context(**limits), ca.client_context(shows=shown, **limits)
    secret = {"sni": "secret.wiki.example", "host": "secret.wiki.example"}
    modern = {"sni": "modern.wiki.example", "host": "modern.wiki.example"}
    assert is_served(w, bare)
    assert not is_served(w, bare, **secret)
    assert not is_served(w, bare, sni="Secret.Wiki.Example", host="secret.wiki.example")
    assert is_served(w, with_one, **secret)
    assert is_served(w, bare, **modern) == (version == V13)


@VERSIONS
def test_a_ticket_of_one_name_does_not_open_another(weir, upstream, ca, leaf, shown, version):
    w = weir(upstream(), listener=by_name(ca, leaf))
    context = ca.client_context(minimum=version, maximum=version)
    with w.connect(tls=context) as client:
        client.request()
        session = client.sock.session
    assert is_served(w, context, session=session)
    assert not is_served(w, context, sni="secret.wiki.example", host="secret.wiki.example", session=session)
    # With a certificate the handshake is a full one, and the certificate is looked at.
    both = ca.client_context(minimum=version, maximum=version, shows=shown)
    with w.connect(tls=both) as client:
        client.request()
        session = client.sock.session
    with w.connect(tls=both, sni="secret.wiki.example", session=session) as client:
        assert client.request(host="secret.wiki.example").status == 200
        assert not client.sock.session_reused


def test_a_changed_authority_voids_old_tickets(weir, upstream, ca, other_ca, leaf, shown):
    up = upstream()
    w = weir(up, listener=asking(ca, leaf))
    context = ca.client_context(shows=shown)
    with w.connect(tls=context) as client:
        client.request()
        session = client.sock.session
    config = dict(w.config)
    config["listeners"][0]["tls"]["client_certificate"]["ca"] = other_ca.file
    w.reload(config)
    assert not is_served(w, context, session=session)
    assert is_served(w, ca.client_context(shows=other_ca.leaf("mw.example", client=True)))


def test_another_name_on_the_same_connection_is_misdirected(weir, upstream, ca, leaf, shown):
    w = weir(upstream(), listener=by_name(ca, leaf))
    for host in ("secret.wiki.example", "SECRET.wiki.example:443", "secret.wiki.example.", "modern.wiki.example"):
        with w.connect(tls=ca.client_context()) as client:
            assert client.request(host=host).status == 421
            assert client.request().status == 200, "and the connection goes on"
    with w.connect(tls=ca.client_context()) as client:
        assert client.request(host="same.wiki.example").status == 200
    with w.connect(tls=ca.client_context(shows=shown), sni="secret.wiki.example") as client:
        assert client.request(host="wiki.example").status == 421
    w.wait_for_reason("misdirected", 5)


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_an_absolute_target_cannot_hide_a_guarded_name_behind_host(weir, upstream, ca, leaf, scheme):
    """The target's authority counts (RFC 9112 section 3.2.2), so its TLS policy does, too."""
    up = upstream()
    w = weir(up, listener=by_name(ca, leaf))
    for name in ("secret.wiki.example", "SECRET.wiki.example.:443", "secret.wiki.example:"):
        with w.connect(tls=ca.client_context()) as client:
            client.send(b"GET %s://%s/ HTTP/1.1\r\nHost: wiki.example\r\n\r\n" % (scheme.encode(), name.encode()))
            assert client.read().status == 421
    assert not up.requests


def test_h2_coalesces_only_what_may_be(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=by_name(ca, leaf))
    with w.connect_h2(tls=ca.client_context(alpn=["h2"])) as client:
        assert client.request(authority="same.wiki.example").status == 200
        assert client.request(authority="secret.wiki.example").status == 421
        assert client.request().status == 200


@pytest.mark.parametrize("host", ["%73ecret.wiki.example", "secret%2Ewiki.example", "%53ECRET.wiki.example:443"])
def test_no_spelling_of_a_guarded_name_reaches_the_upstream(weir, upstream, ca, leaf, host):
    up = upstream()
    w = weir(up, listener=by_name(ca, leaf))
    with w.connect(tls=ca.client_context()) as client:
        assert client.request(host=host).status == 400
    with w.connect(tls=ca.client_context()) as client:
        assert client.request("https://%s/" % host).status == 400
    with w.connect_h2(tls=ca.client_context(alpn=["h2"])) as client:
        answer = client.request(authority=host)
        assert answer.status == 400 or answer.reset
    assert not up.requests


def test_without_sni_a_guarded_name_stays_closed(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=by_name(ca, leaf))
    context = ca.client_context()
    context.check_hostname = False
    with w.connect(tls=context, sni=None) as client:
        assert client.request(host="secret.wiki.example").status == 421


def test_the_certificate_request_names_the_authorities(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=asking(ca, leaf, "optional"))
    out = s_client(w.address(), "-servername", "wiki.example", "-CAfile", ca.file).stdout
    names = out[out.index("Acceptable client certificate CA names") :]
    assert "CN=weir test CA" in names.replace(" = ", "=")  # OpenSSL 3.0 writes spaces, 3.5 none


# --- intermediates and revocation --------------------------------------------------------------------


@VERSIONS
def test_an_intermediate_can_be_the_anchor(weir, upstream, ca, leaf, tmp_path, version):
    middle = ca.intermediate(tmp_path, "middle")
    conf = {"tls": {"certificates": [leaf.conf()], "client_certificate": {"ca": middle.file}}}
    w = weir(upstream(), listener=conf)
    limits = {"minimum": version, "maximum": version}
    assert is_served(w, ca.client_context(shows=middle.leaf("mw.example", client=True), **limits))
    assert not is_served(w, ca.client_context(shows=ca.leaf("mw.example", client=True), **limits))


def revoking(ca, leaf, tmp_path, *pems, in_bundle, mode="required"):
    crl = tmp_path / "list.pem"
    crl.write_bytes(b"".join(pems))
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(ca.pem + (crl.read_bytes() if in_bundle else b""))
    client = {"ca": str(bundle), "mode": mode}
    if not in_bundle:
        client["crl"] = str(crl)
    return {"tls": {"certificates": [leaf.conf()], "client_certificate": client}}


@VERSIONS
@pytest.mark.parametrize("in_bundle", [True, False], ids=["in ca", "crl"])
def test_a_revoked_certificate_is_refused(weir, upstream, ca, leaf, shown, tmp_path, in_bundle, version):
    bad = ca.leaf("revoked.example", client=True)
    w = weir(upstream(), listener=revoking(ca, leaf, tmp_path, ca.crl(bad.certificate), in_bundle=in_bundle))
    limits = {"minimum": version, "maximum": version}
    assert is_served(w, ca.client_context(shows=shown, **limits))
    assert not is_served(w, ca.client_context(shows=bad, **limits))


def test_a_revoked_intermediate_is_refused(weir, upstream, ca, leaf, tmp_path):
    good, bad = ca.intermediate(tmp_path, "good middle"), ca.intermediate(tmp_path, "bad middle")
    crls = (ca.crl(bad.certificate), good.crl(), bad.crl())
    w = weir(upstream(), listener=revoking(ca, leaf, tmp_path, *crls, in_bundle=False))
    assert is_served(w, ca.client_context(shows=good.leaf("mw.example", client=True)))
    assert not is_served(w, ca.client_context(shows=bad.leaf("mw.example", client=True)))


def test_an_intermediate_needs_no_list_of_its_own(weir, upstream, ca, leaf, tmp_path):
    middle = ca.intermediate(tmp_path, "middle")
    bad = middle.leaf("revoked.example", client=True)
    w = weir(upstream(), listener=revoking(ca, leaf, tmp_path, middle.crl(bad.certificate), in_bundle=False))
    assert is_served(w, ca.client_context(shows=middle.leaf("mw.example", client=True)))
    assert not is_served(w, ca.client_context(shows=bad))
    assert not is_served(w, ca.client_context(shows=ca.leaf("mw.example", client=True))), "no list of its issuer"


def test_a_list_that_is_out_of_date_is_a_warning_and_refuses(weir, upstream, ca, leaf, shown, tmp_path):
    w = weir(upstream(), listener=revoking(ca, leaf, tmp_path, ca.crl(hours=-1), in_bundle=False))
    assert "due to be replaced" in w.log
    assert not is_served(w, ca.client_context(shows=shown))


def test_a_file_without_a_list_is_an_error(weir, upstream, ca, leaf, shown, tmp_path):
    w = weir(upstream(), listener=asking(ca, leaf))
    config = dict(w.config)
    config["listeners"][0]["tls"]["client_certificate"]["crl"] = ca.file
    w.reload(config, good=False)
    assert is_served(w, ca.client_context(shows=shown))


def test_a_new_list_voids_old_tickets(weir, upstream, ca, leaf, tmp_path):
    bad = ca.leaf("revoked.example", client=True)
    w = weir(upstream(), listener=revoking(ca, leaf, tmp_path, ca.crl(), in_bundle=False))
    context = ca.client_context(shows=bad)
    with w.connect(tls=context) as client:
        client.request()
        session = client.sock.session
    (tmp_path / "list.pem").write_bytes(ca.crl(bad.certificate))
    w.reload()
    assert not is_served(w, context, session=session)


@pytest.mark.parametrize("in_bundle", [True, False], ids=["in ca", "crl"])
def test_a_revoked_upstream_is_refused(weir, upstream, ca, tmp_path, in_bundle):
    bad = ca.leaf("wiki.example", "revoked.wiki.example")
    up = upstream(tls=ca.server_context(bad))
    crl, bundle = tmp_path / "crl.pem", tmp_path / "bundle.pem"
    crl.write_bytes(ca.crl())
    bundle.write_bytes(ca.pem + (crl.read_bytes() if in_bundle else b""))
    tls = {"ca": str(bundle), "server_name": "wiki.example"}
    if not in_bundle:
        tls["crl"] = str(crl)
    w = weir(up, group={"tls": tls})
    assert w.get().status == 200
    revoked = ca.crl(bad.certificate)
    crl.write_bytes(revoked)
    if in_bundle:
        bundle.write_bytes(ca.pem + revoked)
    w.reload()
    assert w.get().status == 502
    w.wait_for_reason("upstream_tls_verify")


# --- the time of a proof -----------------------------------------------------------------------------


@VERSIONS
def test_a_certificate_that_has_expired_is_not_resumed(weir, upstream, ca, leaf, version):
    w = weir(upstream(), listener=asking(ca, leaf))
    short = ca.leaf("short.example", client=True, seconds=3)
    context = ca.client_context(minimum=version, maximum=version, shows=short)
    began, session = time.monotonic(), None
    resumed = 0
    while time.monotonic() - began < 1.5:
        with w.connect(tls=context, session=session) as client:
            assert client.request().status == 200
            resumed += client.sock.session_reused
            session = client.sock.session
        time.sleep(0.2)
    assert resumed > 2, "until then it is"
    time.sleep(3.2 - (time.monotonic() - began))
    assert not is_served(w, context, session=session)


@VERSIONS
def test_an_escaped_host_is_no_way_around_its_policy(weir, upstream, ca, leaf, version):
    w = weir(upstream(), listener=by_name(ca, leaf))
    for host in ("%73ecret.wiki.example", "secre%74.WIKI.example:443", "secret%2ewiki.example"):
        with w.connect(tls=ca.client_context(minimum=version, maximum=version)) as client:
            assert client.request(host=host).status in (400, 421)
