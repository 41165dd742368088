"""Ticket keys from files, stapled OCSP responses, early data."""

import os
import pathlib
import ssl

import pytest
from cryptography.x509 import ocsp

from harness.tools import s_client
from harness.weir import run

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def key_file(directory, name, size=80):
    path = pathlib.Path(directory) / name
    path.write_bytes(os.urandom(size))
    return str(path)


def session_of(w, context):
    with w.connect(tls=context) as client:
        client.request()
        return client.sock.session


def is_resumed(w, context, session):
    with w.connect(tls=context, session=session) as client:
        assert client.request().status == 200
        return client.sock.session_reused


@pytest.mark.parametrize("size", [48, 80])
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_instances_with_the_same_keys_resume_each_others_sessions(weir, upstream, ca, tmp_path, version, size):
    keys = [key_file(tmp_path, "first", size)]
    up, context = upstream(), ca.client_context(minimum=version, maximum=version)
    one = weir(up, tls=True, top={"ticket_keys": keys})
    two = weir(up, tls=True, top={"ticket_keys": keys})
    stranger = weir(up, tls=True)
    session = session_of(one, context)
    assert is_resumed(two, context, session)
    assert not is_resumed(stranger, context, session)


def test_a_ticket_is_sealed_with_the_key_in_the_file(weir, upstream, ca, tmp_path):
    keys = [key_file(tmp_path, "first"), key_file(tmp_path, "second")]
    w = weir(upstream(), tls=True, top={"ticket_keys": keys})
    context = ca.client_context(maximum=V12)
    with w.connect(tls=context) as client:
        client.request()
    out = s_client(w.address(), "-tls1_2", "-servername", "wiki.example", "-CAfile", ca.file).stdout
    at = out.index("TLS session ticket:")
    name = bytes.fromhex(out[at:].splitlines()[1].split(" - ")[1][:47].replace("-", " "))
    assert name == pathlib.Path(keys[0]).read_bytes()[:16]


def test_rotation_by_reload_keeps_old_sessions_for_one_period(weir, upstream, ca, tmp_path):
    first, second, third = (key_file(tmp_path, name) for name in ("first", "second", "third"))
    w = weir(upstream(), tls=True, top={"ticket_keys": [first]})
    context = ca.client_context()
    session = session_of(w, context)
    config = dict(w.config)
    w.reload({**config, "ticket_keys": [second, first]})
    assert is_resumed(w, context, session)
    w.reload({**config, "ticket_keys": [third, second]})
    assert not is_resumed(w, context, session)
    assert is_resumed(w, context, session_of(w, context))


def test_a_key_file_replaced_in_place_is_read_again(weir, upstream, ca, tmp_path):
    first = key_file(tmp_path, "first")
    w = weir(upstream(), tls=True, top={"ticket_keys": [first]})
    context = ca.client_context()
    session = session_of(w, context)
    key_file(tmp_path, "first")
    w.reload()
    assert not is_resumed(w, context, session)


@pytest.mark.parametrize("size", [0, 47, 64, 81])
def test_a_key_of_the_wrong_size_is_explained(weir, upstream, tmp_path, size):
    bad = key_file(tmp_path, "bad", size)
    w = weir(upstream(), tls=True)
    done = run("check", "-c", str(w.config_file))
    assert done.returncode == 0
    w.reload({**w.config, "ticket_keys": [bad]}, good=False)
    assert "must have 48 or 80 bytes" in w.log
    assert w.get().status == 200


def test_ticket_keys_are_kept_out_of_dumps(weir, upstream):
    w = weir(upstream(), tls=True)
    smaps = pathlib.Path("/proc/%d/smaps" % w.pid).read_text()
    assert any("dd" in line.split() for line in smaps.splitlines() if line.startswith("VmFlags"))


# --- early data --------------------------------------------------------------------------------------


def test_early_data_is_refused_and_the_handshake_completes(weir, upstream, ca, tmp_path):
    up = upstream()
    w = weir(up, tls=True)
    arguments = ("-servername", "wiki.example", "-CAfile", ca.file, "-tls1_3", "-ign_eof")
    request = "GET /%s HTTP/1.1\r\nHost: wiki.example\r\nConnection: close\r\n\r\n"
    saved, early = tmp_path / "session", tmp_path / "early"
    early.write_text(request % "early")
    out = s_client(w.address(), *arguments, "-sess_out", saved, stdin=request % "first").stdout
    assert "Max Early Data: 0" in out
    out = s_client(w.address(), *arguments, "-sess_in", saved, "-early_data", early, stdin=request % "late").stdout
    assert "Reused, TLSv1.3" in out and "Early data was accepted" not in out
    assert "/early" not in [request.target for request in up.requests]
    assert "/late" in [request.target for request in up.requests]


# --- OCSP --------------------------------------------------------------------------------------------


def stapled(leaf, path):
    return {"tls": {"certificates": [{**leaf.conf(), "ocsp": path}]}}


def status_of(w, ca, *arguments):
    return s_client(w.address(), "-servername", "wiki.example", "-CAfile", ca.file, "-status", *arguments).stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_ocsp_response_is_stapled(weir, upstream, ca, leaf, version):
    out = status_of(weir(upstream(), listener=stapled(leaf, ca.staple(leaf))), ca, version)
    assert "OCSP Response Status: successful" in out and "Cert Status: good" in out


def test_an_old_response_is_not_sent(weir, upstream, ca, leaf):
    w = weir(upstream(), listener=stapled(leaf, ca.staple(leaf, hours=-1)))
    assert "out of date" in w.log
    assert "OCSP response: no response sent" in status_of(w, ca)


def test_a_response_that_does_not_fit_is_a_warning_and_not_sent(weir, upstream, ca, leaf, tmp_path):
    """An OCSP response is renewed separately from the certificate, so it must not block a reload."""
    other = ca.leaf("other.example")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish")
    w = weir(upstream(), listener=stapled(leaf, ca.staple(leaf)))
    for path, words in (
        (ca.staple(other, hours=25), "is not about this certificate"),
        (ca.staple(leaf, ocsp.OCSPCertStatus.REVOKED), 'says "revoked"'),
        (str(rubbish), "not an OCSP response in DER form"),
    ):
        config = dict(w.config)
        config["listeners"][0]["tls"]["certificates"][0]["ocsp"] = path
        w.reload(config)
        assert words in w.log
        assert "OCSP response: no response sent" in status_of(w, ca)


def test_a_response_file_that_cannot_be_read_is_an_error(weir, upstream, ca, leaf, tmp_path):
    w = weir(upstream(), listener=stapled(leaf, ca.staple(leaf)))
    config = dict(w.config)
    config["listeners"][0]["tls"]["certificates"][0]["ocsp"] = str(tmp_path / "none")
    w.reload(config, good=False)
    assert "cannot read" in w.log
