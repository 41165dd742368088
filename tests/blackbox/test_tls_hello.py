"""The server name counts in every ClientHello of a handshake."""

import pytest

from harness.hello import ILLEGAL_PARAMETER, X25519, RawClient, client_hello


@pytest.fixture
def guarded(weir, upstream, ca, leaf):
    """Client certificates are required, but for one open name."""
    tls = {
        "certificates": [leaf.conf()],
        "client_certificate": {"ca": ca.file},
        "hosts": [
            {"name": "open.wiki.example", "client_certificate": {"mode": "none"}},
            {"name": "modern.wiki.example", "min_version": "1.3"},
        ],
    }
    return weir(upstream(), listener={"tls": tls})


def two_hellos(w, first, second):
    client = RawClient(w.address())
    try:
        client.send(client_hello(first))
        assert client.answer() == "retry"
        client.send(client_hello(second, share=X25519))
        return client.answer()
    finally:
        client.close()


NAMES = ["open.wiki.example", "wiki.example", "modern.wiki.example", "unknown.example", None]


@pytest.mark.parametrize("second", NAMES)
@pytest.mark.parametrize("first", NAMES)
def test_a_second_hello_must_ask_for_the_same_name(guarded, first, second):
    """RFC 8446 section 4.1.2: the name must not change after a HelloRetryRequest."""
    expected = "hello" if first == second else ILLEGAL_PARAMETER
    assert two_hellos(guarded, first, second) == expected


def test_a_changed_name_is_counted_as_a_failed_handshake(guarded):
    two_hellos(guarded, "open.wiki.example", "wiki.example")
    guarded.wait_for_reason("handshake_failed")
