"""The privileges that the process keeps after it has opened its sockets."""

import os
import pathlib
import re
import resource
import signal

import pytest

from harness.weir import is_sanitized

IS_SANITIZED = is_sanitized()

# A leak is looked for as a debugger would: that takes what is given up here.
unsanitized = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers need what is given up")


def status(w, thread=None):
    path = "/proc/%d/status" % w.pid if thread is None else "/proc/%d/task/%d/status" % (w.pid, thread)
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", open(path).read(), re.M))


def threads(w):
    return [int(t) for t in os.listdir("/proc/%d/task" % w.pid)]


def test_nothing_new_and_no_core(weir, upstream):
    w = weir(upstream())
    assert all(status(w, t)["NoNewPrivs"] == "1" for t in threads(w))
    limits = open("/proc/%d/limits" % w.pid).read()
    if not IS_SANITIZED:
        assert re.search(r"Max core file size\s+0\s+0", limits)
    assert w.get().status == 200


@unsanitized
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to stop being it")
def test_root_is_dropped_after_bind(weir, upstream):
    w = weir(upstream(), top={"user": "nobody", "seccomp": True})
    for thread in threads(w):
        facts = status(w, thread)
        assert set(facts["Uid"].split()) == {"65534"} and set(facts["Gid"].split()) == {"65534"}
        assert facts["Groups"].strip() == ""
        for name in ("CapEff", "CapPrm", "CapBnd"):
            assert int(facts[name], 16) in (0, 1 << 10), name  # CAP_NET_BIND_SERVICE
        assert int(facts["CapInh"], 16) == int(facts["CapAmb"], 16) == 0
        assert facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2"
    if not IS_SANITIZED:  # not dumpable: its memory is root's to look into, and not that user's
        assert os.stat("/proc/%d/environ" % w.pid).st_uid == 0
    assert w.get().status == 200
    assert w.admin("/ready")[0] == 200


def aborted(w):
    """Aborts weir as an assertion would, with any limit that it has set: did the kernel write a dump?"""
    try:
        resource.prlimit(w.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except PermissionError:
        pass  # only root can change a process that is not dumpable
    w.signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, w.pid, os.WEXITED | os.WNOWAIT)
    w.wait()
    w.exit_code = 0  # as was asked for
    assert ended.si_status == signal.SIGABRT
    return ended.si_code == os.CLD_DUMPED


@unsanitized
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to raise a limit")
def test_no_dump_is_written_by_default(weir, upstream):
    w = weir(upstream(), tls=True)
    assert w.get().status == 200
    assert not aborted(w)
    assert not list(w.directory.glob("core*"))


@unsanitized
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to raise a limit")
def test_ticket_keys_are_not_in_the_dump_that_was_asked_for(weir, upstream, tmp_path):
    key = os.urandom(80)
    (tmp_path / "tickets").write_bytes(key)
    w = weir(upstream(), tls=True, top={"core_dumps": True, "ticket_keys": [str(tmp_path / "tickets")]})
    for _ in range(3):
        assert w.get().status == 200  # sealed some
    if not aborted(w):
        pytest.skip("the kernel writes no dumps here")
    dumps = list(w.directory.glob("core*"))
    if not dumps:
        pytest.skip("dumps are not written to the working directory here")
    data = dumps[0].read_bytes()
    dumps[0].unlink()
    assert key[16:48] not in data and key[48:80] not in data
    assert b"wiki.example" in data  # it is a dump of this process, and the rest is there


@pytest.fixture
def log_directory(tmp_path):
    """A directory of root that everybody can read, as /var/log."""
    for directory in [tmp_path, *tmp_path.parents][:4]:
        directory.chmod(0o755)
    directory = tmp_path / "log"
    directory.mkdir(mode=0o755)
    return directory


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="must be root to stop being it")


@as_root
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_the_log_is_opened_again_by_the_user(weir, upstream, log_directory, number):
    log = log_directory / "access.log"
    w = weir(upstream(), top={"user": "nobody", "access_log": {"path": str(log)}})
    assert log.stat().st_uid == 65534
    # As logrotate does with "create 0640 nobody".
    log.rename(log_directory / "access.log.1")
    log.touch(mode=0o640)
    os.chown(log, 65534, -1)
    w.signal(number)
    w.wait_for_metric(lambda m: w.get("/after").status == 200 and log.stat().st_size > 0)
    assert w.metrics().sum("weir_access_log_reopen_failures_total") == 0


@as_root
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_log_that_cannot_be_opened_again_is_an_error(weir, upstream, log_directory, number):
    log = log_directory / "access.log"
    w = weir(upstream(), top={"user": "nobody", "access_log": {"path": str(log)}})
    log.rename(log_directory / "access.log.1")
    w.signal(number)
    w.wait_for_log(r'error log_reopen_failed path="%s" error="Permission denied" errno=13' % log)
    metrics = w.metrics()
    assert metrics.sum("weir_access_log_reopen_failures_total") == 1
    assert metrics.sum("weir_access_log_lost_total") == 0
    assert w.get("/after").status == 200
    w.wait_for_metric(lambda m: "/after" in (log_directory / "access.log.1").read_text())


@as_root
def test_a_log_that_is_a_link_is_not_given_away(weir, upstream, log_directory):
    other = log_directory / "other"
    other.write_text("")
    (log_directory / "access.log").symlink_to(other)
    w = weir(upstream(), top={"user": "nobody", "access_log": {"path": str(log_directory / "access.log")}})
    assert other.stat().st_uid == 0
    w.wait_for_log("log_file_owner")


def test_a_user_that_is_not_there_is_an_error(weir, upstream):
    w = weir(upstream(), top={"user": "nobody-of-that-name"}, ready=False)
    assert w.wait() == 1
    assert "nobody-of-that-name" in w.log
    w.exit_code = 0


@unsanitized
def test_the_filter_is_on_when_asked_for(weir, upstream):
    w = weir(upstream(), tls=True, top={"seccomp": True})
    assert all(status(w, t)["Seccomp"] == "2" for t in threads(w))
    assert w.get().status == 200
    w.reload()
    assert w.get().status == 200
