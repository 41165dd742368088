"""Listening addresses: which ones can be used together, and what a reload can change."""

import copy
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest
import yaml

from harness import origin as o
from harness import ports
from harness.client import Client, request_bytes
from harness.weir import binary

needs_ipv6 = pytest.mark.skipif(not ports.has_ipv6(), reason="a machine without IPv6")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def status(address, target="/"):
    with Client(address) as client:
        return client.request(target).status


def check(w, config):
    """The result of `weir check` for a configuration: (exit status, text)."""
    file = w.directory / "check.yaml"
    file.write_text(yaml.safe_dump(config))
    done = subprocess.run([binary(), "check", "-c", str(file)], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


def with_binds(w, *binds):
    config = copy.deepcopy(w.config)
    config["listeners"][0]["bind"] = list(binds)
    return config


def reload_without_admin(w, config):
    """The admin port closes its connections when it moves: the log shows when the reload is done."""
    w.write(config)
    w.signal(signal.SIGHUP)
    w.wait_for_log("reload_done|reload_failed")
    assert "reload_failed" not in w.log


CHANGES = [
    ("0.0.0.0:{p}", "127.0.0.1:{p}"),
    ("127.0.0.1:{p}", "0.0.0.0:{p}"),
    ("127.0.0.1:{p}", "127.0.0.1:{p} 0.0.0.0:{p}"),
    ("0.0.0.0:{p} 127.0.0.1:{p}", "0.0.0.0:{p}"),
    ("127.0.0.1:{p}", "*:{p}"),
    ("*:{p}", "127.0.0.1:{p}"),
    ("127.0.0.1:{p}", ":{p}"),
    ("0.0.0.0:{p}", "{p}"),
    ("[::ffff:127.0.0.1]:{p}", "0.0.0.0:{p}"),
]
CHANGES_IPV6 = [
    ("[::]:{p}", "[::1]:{p}"),
    ("[::1]:{p}", "[::]:{p}"),
    ("0.0.0.0:{p}", "[::]:{p}"),
    ("[::]:{p}", "0.0.0.0:{p} [::]:{p}"),
    ("[::1]:{p} [::]:{p} 0.0.0.0:{p} 127.0.0.1:{p}", "[::]:{p} 0.0.0.0:{p}"),
]


def target_of(binds, port):
    return ("::1" if binds.startswith("[::]") or binds.startswith("[::1]") else "127.0.0.1", port)


@pytest.mark.parametrize("before,after", CHANGES + [pytest.param(*c, marks=needs_ipv6) for c in CHANGES_IPV6])
def test_addresses_of_one_port_follow_each_other(weir, upstream, before, after):
    port = ports.free_port()
    before, after = before.format(p=port), after.format(p=port)
    w = weir(upstream(), listener={"bind": before.split()})
    assert status(target_of(before, port)) == 200
    for binds in (after, before):
        config = with_binds(w, *binds.split())
        assert check(w, config)[0] == 0
        w.reload(config)
        assert status(target_of(binds, port)) == 200


@pytest.mark.parametrize("binds", [b for c in CHANGES + CHANGES_IPV6 for b in c])
def test_what_check_accepts_starts(weir, upstream, binds):
    if "[" in binds and not ports.has_ipv6():
        pytest.skip("a machine without IPv6")
    port = ports.free_port()
    w = weir(upstream(), listener={"bind": binds.format(p=port).split()})
    assert check(w, w.config)[0] == 0
    assert status(target_of(binds, port)) == 200


@pytest.mark.parametrize("before,after", [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "*")])
def test_the_admin_port_changes_its_address(weir, upstream, before, after):
    port = ports.free_port()
    w = weir(upstream(), top={"admin": {"bind": "%s:%d" % (before, port)}})
    config = copy.deepcopy(w.config)
    config["admin"]["bind"] = "%s:%d" % (after, port)
    reload_without_admin(w, config)
    assert w.admin("/healthz")[0] == 200


def test_admin_and_listener_swap_their_ports(weir, upstream):
    w = weir(upstream())
    main, admin = w.port(), w.admin_port
    config = with_binds(w, "127.0.0.1:%d" % admin)
    config["admin"]["bind"] = "127.0.0.1:%d" % main
    reload_without_admin(w, config)
    w.admin_port = main
    assert w.admin("/healthz")[0] == 200
    assert status(("127.0.0.1", admin)) == 200


def test_two_listeners_swap_their_ports(weir, upstream):
    a, b = upstream(o.respond(b"a")), upstream(o.respond(b"b"))
    one, two = ports.free_port(), ports.free_port()

    def config(first, second):
        return {
            "listeners": [
                {"name": "main", "bind": ["127.0.0.1:%d" % first], "group": "a"},
                {"name": "other", "bind": ["127.0.0.1:%d" % second], "group": "b"},
            ],
            "groups": {"a": {"endpoints": [a.address]}, "b": {"endpoints": [b.address]}},
        }

    w = weir(config=config(one, two))
    whole = copy.deepcopy(w.config)
    whole["listeners"] = config(two, one)["listeners"]
    w.reload(whole)
    with Client(("127.0.0.1", one)) as client:
        assert client.request().body == b"b"
    with Client(("127.0.0.1", two)) as client:
        assert client.request().body == b"a"


def test_no_request_is_lost_while_the_address_changes(weir, upstream):
    port = ports.free_port()
    w = weir(upstream(), listener={"bind": ["0.0.0.0:%d" % port]})
    failures, done = [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                if status(("127.0.0.1", port)) != 200:
                    failures.append("status")
            except OSError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(6):
        w.reload(with_binds(w, "%s:%d" % ("127.0.0.1" if i % 2 == 0 else "0.0.0.0", port)))
    done.set()
    for thread in threads:
        thread.join()
    # A handshake that the kernel finishes between the last accept and the close is reset: at most one or two.
    assert len(failures) <= 2, failures


def test_a_failed_reload_leaves_the_address_as_it_was(weir, upstream):
    port = ports.free_port()
    w = weir(upstream(), listener={"bind": ["0.0.0.0:%d" % port]})
    w.reload(with_binds(w, "127.0.0.1:%d" % port, "192.0.2.1:1"), good=False)
    assert status(("127.0.0.1", port)) == 200


@pytest.mark.parametrize("theirs,ours", [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")])
def test_an_address_of_another_process_is_not_taken(weir, upstream, theirs, ours):
    w = weir(upstream())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((theirs, 0))
        other.listen()
        port = other.getsockname()[1]
        w.reload(with_binds(w, "127.0.0.1:%d" % w.port(), "%s:%d" % (ours, port)), good=False)
        assert "Address already in use" in w.log
        assert "weir.yaml:" in w.log


def test_check_names_the_place_of_an_address_that_is_bound_twice(weir, upstream):
    w = weir(upstream())
    code, text = check(w, with_binds(w, "127.0.0.1:81", "127.0.0.1:81"))
    assert code == 1
    assert "check.yaml:" in text and 'address bound twice: "127.0.0.1:81"' in text


@needs_root
def test_the_address_changes_after_root_was_given_up(weir, upstream, tmp_path):
    port = ports.free_port()
    for directory in [tmp_path, *tmp_path.parents][:4]:
        directory.chmod(0o755)  # the configuration is read as this user
    w = weir(upstream(), listener={"bind": ["0.0.0.0:%d" % port]}, top={"user": "nobody", "access_log": "off"})
    w.reload(with_binds(w, "127.0.0.1:%d" % port))
    assert status(("127.0.0.1", port)) == 200


def test_check_warns_of_what_this_machine_lacks(weir, upstream, tmp_path):
    w = weir(upstream())
    missing = "unix:%s" % (tmp_path / "nowhere" / "w.sock")
    config = with_binds(w, missing, {"address": "unix:%s" % (tmp_path / "x.sock"), "owner": "nosuchuser"})
    code, text = check(w, config)
    assert code == 0
    assert "No such file or directory" in text and 'there is no user "nosuchuser"' in text


# --- both families ------------------------------------------------------------------------------------


@needs_ipv6
@pytest.mark.parametrize("form", [":%d", "*:%d", "%d"])
def test_a_port_alone_serves_both_families(weir, upstream, form):
    port = ports.free_port()
    w = weir(upstream(), listener={"bind": form % port})
    assert status(("127.0.0.1", port)) == 200
    assert status(("::1", port)) == 200
    assert sorted(entry["client"] for entry in w.access_log(2)) == ["127.0.0.1", "::1"]


@needs_ipv6
def test_the_admin_port_serves_both_families(weir, upstream):
    port = ports.free_port()
    w = weir(upstream(), top={"admin": {"bind": "*:%d" % port}})
    assert w.admin("/healthz")[0] == 200
    assert status(("::1", port), "/healthz") == 403  # the Host of the test's client
    with Client(("::1", port)) as client:
        assert client.request("/healthz", host="[::1]:%d" % port).status == 200


# --- unix sockets -------------------------------------------------------------------------------------


def unix_weir(weir, upstream, tmp_path, handler=None, **options):
    path = str(tmp_path / "w.sock")
    w = weir(upstream(handler), listener={"bind": ["unix:" + path]}, **options)
    return w, path


def test_a_draining_weir_leaves_its_unix_socket_to_a_new_one(weir, upstream, tmp_path):
    up = upstream(o.respond(b"old", delay=1.5))
    path = str(tmp_path / "w.sock")
    w = weir(up, listener={"bind": ["unix:" + path]})
    client = w.connect()
    client.send(request_bytes())
    up.wait_for_requests(1)
    w.terminate()
    deadline = time.monotonic() + 1
    while os.path.exists(path):
        assert time.monotonic() < deadline, "the socket's file is still there"
        time.sleep(0.01)
    new = weir(upstream(o.respond(b"new")), listener={"bind": ["unix:" + path]})
    assert new.get().body == b"new"
    assert client.read().body == b"old"
    assert w.wait() == 0
    assert os.path.exists(path), "the old instance removed the new one's socket"
    assert new.get().body == b"new"


def test_during_the_grace_period_a_unix_socket_is_served(weir, upstream, tmp_path):
    w, path = unix_weir(weir, upstream, tmp_path, top={"drain_grace": "1s"})
    w.terminate()
    w.wait_for_log("drain_begin")
    assert w.get().status == 200
    assert w.wait() == 0
    assert not os.path.exists(path)


def test_the_file_of_another_process_is_not_removed(weir, upstream, tmp_path):
    w, path = unix_weir(weir, upstream, tmp_path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        w.terminate()
        assert w.wait() == 0
        assert os.path.exists(path)


def test_a_reload_makes_a_removed_socket_file_again(weir, upstream, tmp_path):
    w, path = unix_weir(weir, upstream, tmp_path)
    kept = w.connect()
    assert kept.request().status == 200
    os.unlink(path)
    w.reload()
    assert w.get().status == 200
    assert kept.request().status == 200


def test_a_socket_file_that_cannot_be_made_again_does_not_block_a_reload(weir, upstream, tmp_path):
    w, path = unix_weir(weir, upstream, tmp_path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        w.reload()
        assert "unix_socket_lost" in w.log and path in w.log
    assert os.path.exists(path)
    w.reload()  # the other process has ended and left its file
    assert w.get().status == 200


def test_unix_sockets_move_between_listeners_and_the_admin_port(weir, upstream, tmp_path):
    one, two = str(tmp_path / "1.sock"), str(tmp_path / "2.sock")
    a, b = upstream(o.respond(b"a")), upstream(o.respond(b"b"))
    w = weir(
        config={
            "listeners": [
                {"name": "main", "bind": ["unix:" + one], "group": "a"},
                {"name": "other", "bind": ["unix:" + two], "group": "b"},
            ],
            "groups": {"a": {"endpoints": [a.address]}, "b": {"endpoints": [b.address]}},
        }
    )
    config = copy.deepcopy(w.config)
    config["listeners"][0]["bind"], config["listeners"][1]["bind"] = ["unix:" + two], ["unix:" + one]
    w.reload(config)
    with Client(one) as client:
        assert client.request().body == b"b"
    with Client(two) as client:
        assert client.request().body == b"a"
    del config["listeners"][1]
    config["admin"]["bind"] = ["unix:" + one, config["admin"]["bind"]]
    w.reload(config)
    with Client(one) as client:
        assert client.request("/healthz").status == 200
    w.terminate()
    assert w.wait() == 0
    assert not os.path.exists(one) and not os.path.exists(two)


def test_mode_owner_and_group_of_a_unix_socket(weir, upstream, tmp_path):
    path, admin = str(tmp_path / "w.sock"), str(tmp_path / "admin.sock")
    rights = {"mode": "0660"}
    if os.geteuid() == 0:
        rights.update(owner="nobody", group=os.stat("/dev/tty").st_gid)
    port = ports.free_port()
    w = weir(
        upstream(),
        listener={"bind": [{"address": "unix:" + path, **rights}, "127.0.0.1:%d" % port]},
        top={"admin": {"bind": [{"address": "unix:" + admin, **rights}, "127.0.0.1:%d" % ports.free_port()]}},
    )
    for file in (path, admin):
        found = os.stat(file)
        assert stat.S_IMODE(found.st_mode) == 0o660
        if os.geteuid() == 0:
            assert found.st_uid == 65534 and found.st_gid == os.stat("/dev/tty").st_gid
    config = copy.deepcopy(w.config)
    config["listeners"][0]["bind"][0]["mode"] = "0600"
    w.reload(config)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert status(path) == 200


def test_an_owner_that_does_not_exist_is_named_with_its_place(weir, upstream, tmp_path):
    w = weir(upstream())
    bind = {"address": "unix:%s" % (tmp_path / "x.sock"), "owner": "nosuchuser"}
    w.reload(with_binds(w, "127.0.0.1:%d" % w.port(), bind), good=False)
    assert 'there is no user "nosuchuser"' in w.log
    assert not os.path.exists(str(tmp_path / "x.sock"))
