"""The rows of the table: the load on a subject, and the measured figure.

Every figure is a cost: less is better. `sample(subject, settings)` gives a dict; its `figure` is what the
table compares, the rest is told beside it."""

import contextlib
import dataclasses
import re
import shutil
import time

import loads
from bed import HERE, PROXY_CORE, Unavailable
from measure import Quiet, cpu_seconds, median, open_descriptors, resident_bytes

MIB = 1 << 20


@dataclasses.dataclass
class Settings:
    seconds: float = 2      # how long one sample of a request row takes, about
    rounds: int = 5
    quick: bool = False
    small: bool = False     # 1,000 idle connections instead of 10,000


@dataclasses.dataclass
class Target:
    """At most `factor` times the figure of `against`: a subject, "best" (the best peer), or "" for an
    absolute figure."""

    factor: float
    against: str = "best"
    subject: str = "weir"


class Row:
    subjects = ()           # names; empty: all that speak what `needs` says
    needs = frozenset()
    targets = ()
    quick = False           # is part of --quick
    stretch = 1.0           # how much longer than others a sample takes
    rounds_factor = 1.0     # expensive rows take fewer rounds
    quick_rounds_factor = 0.0  # with --quick, where it is another one
    start = "shared"        # "shared": all subjects run side by side; "fresh": one new process for each
                            # sample; "own": the row starts what it needs itself

    def __init__(self, name, title, unit, **options):
        self.name, self.title, self.unit = name, title, unit
        for key, value in options.items():
            if not hasattr(type(self), key):
                raise TypeError(key)
            setattr(self, key, value)

    choose = staticmethod(median)  # one figure of all rounds

    def takes(self, subject_class):
        if self.subjects:
            return subject_class.name in self.subjects
        return set(self.needs) <= subject_class.speaks

    def warm(self, subject, settings):
        pass

    def rounds(self, settings):
        factor = settings.quick and self.quick_rounds_factor or self.rounds_factor
        return max(1, round(settings.rounds * factor))

    def finish(self, samples):
        """A last look at all samples, by subject."""

    def sample(self, subject, settings):
        raise NotImplementedError


def cpu_of(subject, load):
    """Runs `load` and returns what it cost the subject."""
    with Quiet() as quiet:
        before = cpu_seconds(subject.pid)
        result = load()
        spent = cpu_seconds(subject.pid) - before
    # A load that watched the clock itself did so without the opening of connections.
    return {"cpu_seconds": spent, "counted": result["done"], **result, "per_second": result["done"] / result["seconds"], "steal": quiet.steal}


class Requests(Row):
    """CPU time for each request. `load(subject, seconds)` makes the requests."""

    load = None
    per_bytes = 0           # of one request: the figure is then CPU time for each MiB

    def warm(self, subject, settings):
        subject.pace = None
        seconds = (0.3 if settings.quick else 0.6) * self.stretch
        try:
            result = self.load(subject, seconds, settings)
        except loads.Failed:  # too short a time on a busy machine; or it does not work at all
            result = self.load(subject, seconds * 4, settings)
        subject.pace = result["done"] / result["seconds"]

    def sample(self, subject, settings):
        got = cpu_of(subject, lambda: self.load(subject, settings.seconds * self.stretch, settings))
        units = got["counted"] * self.per_bytes / MIB if self.per_bytes else got["counted"]
        return {**got, "figure": got["cpu_seconds"] / units * 1e6}


def by_wrk(path, tls, connections=64, body=0):
    def load(_row, subject, seconds, _settings):
        return loads.wrk(subject.tls if tls else subject.plain, path, tls=tls, seconds=seconds,
                         connections=connections, hosts=subject.hosts, body=body,
                         pid=subject.pid)
    return load


def by_h2load(path, connections=16, streams=16, body=0, first=2000):
    """h2load takes a number of requests, not a time: as many as the pace of the warm-up asks for."""
    def load(_row, subject, seconds, _settings):
        least = connections * streams
        count = max(least, int(subject.pace * seconds)) if subject.pace else max(least, first)
        body_file = None
        if body:
            body_file = subject.bed.dir / ("body-%d" % body)
            if not body_file.exists():
                body_file.write_bytes(b"x" * body)
        return loads.h2load(subject.tls, path, requests=count, connections=connections, streams=streams,
                            body_file=body_file)
    return load


class RequestsBy(Requests):
    by = None

    def load(self, subject, seconds, settings):
        return self.by(self, subject, seconds, settings)


class Handshakes(Row):
    """CPU time for each handshake, connection and all."""

    resume = False
    rsa = False

    def warm(self, subject, settings):
        loads.handshakes(subject.bed, self.port(subject), 50, self.resume, self.rsa)

    def sample(self, subject, settings):
        count = int(settings.seconds * (500 if self.rsa else 1500))
        got = cpu_of(subject, lambda: loads.handshakes(subject.bed, self.port(subject), count, self.resume,
                                                       self.rsa))
        return {**got, "figure": got["cpu_seconds"] / got["done"] * 1e6, "per_cpu_second": got["done"] / got["cpu_seconds"]}

    def port(self, subject):
        return subject.rsa if self.rsa else subject.tls


class Idle(Row):
    """Resident memory that each idle TLS connection adds. One request was made on each; a fresh process
    for every sample, since what a process once had it rarely gives back."""

    h2 = False
    start = "fresh"
    rounds_factor = 0.3

    def sample(self, subject, settings):
        count = 1000 if settings.small else 10000
        # A proxy sets aside two descriptors for a client; with few descriptors there are fewer clients.
        count = min(count, subject.bed.files // 2 - 400)
        silent = "requests" not in subject.speaks
        # What comes with the first connections (buffers, upstream connections, tables) is not theirs.
        with loads.Background(subject.bed, "hold", subject.tls, count=64, h2=self.h2, silent=silent) as few:
            few.line()
            before = resident_bytes(subject.pid)
            with loads.Background(subject.bed, "hold", subject.tls, count=count, h2=self.h2, silent=silent,
                                  concurrency=16) as many:
                many.line()
                time.sleep(0.5)  # for what is released a moment later
                after = resident_bytes(subject.pid)
                if open_descriptors(subject.pid) < count:
                    raise loads.Failed("it has closed connections that were to stay")
        return {"figure": (after - before) / count, "done": count}


class Latency(Row):
    """p99 at a fixed rate, beyond what the same requests take without a proxy. Of many short rounds the best
    one: tails on shared machines are the neighbours'."""

    rate = 2000
    rounds_factor = 3.0
    quick_rounds_factor = 0.5
    choose = min

    def finish(self, samples):
        bare = min((sample["p99"] for sample in samples.get("direct", []) if sample), default=0)
        for sample in filter(None, sum(samples.values(), [])):
            sample["figure"] = sample["p99"] - bare

    def sample(self, subject, settings):
        seconds = 1
        plain = subject.name == "direct"
        with Quiet() as quiet:
            before = cpu_seconds(subject.pid) if subject.pid else 0
            got = loads.rate(subject.bed, subject.plain if plain else subject.tls, plain=plain, rate=self.rate,
                             seconds=seconds)
            spent = cpu_seconds(subject.pid) - before if subject.pid else 0
        return {**got, "figure": got["p99"], "cpu_us": spent / got["done"] * 1e6, "steal": quiet.steal}


class Storm(Row):
    """What 200 full RSA handshakes a second do to the p99 of clients that are already there: the ratio to
    the same clients' p99 just before."""

    storm_rate = 200
    quick_rounds_factor = 0.5

    def sample(self, subject, settings):
        seconds = max(1, round(settings.seconds))
        steady = dict(plain=False, rate=1000, seconds=seconds, connections=32)
        with Quiet() as quiet:
            calm = loads.rate(subject.bed, subject.tls, **steady)
            with loads.Background(subject.bed, "handshakes", subject.rsa, rsa=True, rate=self.storm_rate,
                                  count=self.storm_rate * (seconds + 20), concurrency=64):
                stormy = loads.rate(subject.bed, subject.tls, **steady)
        return {"figure": stormy["p99"] / calm["p99"], "calm_p99": calm["p99"], "storm_p99": stormy["p99"],
                "calm_p50": calm["p50"], "storm_p50": stormy["p50"], "done": stormy["done"], "steal": quiet.steal}


class Pair(Row):
    """The same work on two configurations of a subject, one directly after the other: the ratio of CPU time
    for each request."""

    start = "own"
    low = {}
    high = {}

    def sample(self, subject, settings):
        make = type(subject)
        work = by_wrk("/small", tls=True)
        figures = {"low": [], "high": []}
        with contextlib.ExitStack() as stack:
            pair = {}
            for side, options in (("low", self.low), ("high", self.high)):
                pair[side] = make(subject.bed, **options).start()
                stack.callback(pair[side].stop)
                work(self, pair[side], 0.6, settings)
            # Two processes of one program differ by where memory happens to lie; several turns each.
            for side in ("low", "high", "high", "low"):
                got = cpu_of(pair[side], lambda: work(self, pair[side], settings.seconds / 2, settings))
                figures[side].append(got["cpu_seconds"] / got["counted"] * 1e6)
        low, high = median(figures["low"]), median(figures["high"])
        return {"figure": high / low, "low_us": low, "high_us": high, "done": got["done"]}


class AtRest(Row):
    """Resident memory of weir on one of the configurations in conf/, nothing asked of it yet."""

    subjects = ("weir",)
    start = "own"
    rounds_factor = 0.0
    conf = ""
    workers = 1

    def sample(self, subject, settings):
        conf = self.movable_copy(subject.bed)
        process = subject.bed.start([subject.bed.tools / "weir", "run", "-c", conf], {PROXY_CORE},
                                    "rest-" + self.conf, [])
        try:
            time.sleep(2)
            if process.popen.poll() is not None:
                raise Unavailable(process.last_words())
            return {"figure": resident_bytes(process.pid) / MIB, "done": 1}
        finally:
            subject.bed.stop(process)

    def movable_copy(self, bed):
        """conf/ with our certificates and with free ports in the place of 80, 443 and the like."""
        copy = bed.dir / "conf"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(HERE.parent / "conf", copy)
        for name, kind in (("unified-ecdsa", "ecdsa"), ("unified-rsa", "rsa"), ("internal", "ecdsa")):
            for suffix, ours in ((".pem", ".pem"), (".key", ".key")):
                shutil.copy(bed.dir / (kind + ours), copy / (name + suffix))
        shutil.copy(bed.dir / "ecdsa.pem", copy / "tls.crt")
        shutil.copy(bed.dir / "ecdsa.key", copy / "tls.key")
        path = copy / self.conf
        text = re.sub(r"\$\{WEIR_TLS_DIR:-[^}]*\}", str(copy), path.read_text())
        text = re.sub(r'bind: \[.*\]$', lambda _: 'bind: ["127.0.0.1:%d"]' % bed.port(), text, flags=re.M)
        text = re.sub(r'(admin: \{ bind: )"[^"]*"', lambda match: '%s"127.0.0.1:%d"' % (match[1], bed.port()), text)
        path.write_text("workers: %d\n%s" % (self.workers, text))
        return path


TLS, PLAIN, H2 = {"requests", "tls"}, {"requests", "plain"}, {"requests", "h2"}
BEST = (Target(0.80), Target(1.30, "relay"), Target(1.00, "relay", "weir-h2up"))

ROWS = [
    RequestsBy("h1-tls", "HTTP/1.1 over TLS, 1 KiB", "CPU µs/request", needs=TLS, quick=True,
               by=by_wrk("/small", tls=True), targets=BEST),
    RequestsBy("h1-plain", "HTTP/1.1, 1 KiB", "CPU µs/request", needs=PLAIN, quick=True,
               by=by_wrk("/small", tls=False), targets=BEST),
    RequestsBy("h2", "HTTP/2 over TLS, 16 × 16, 1 KiB", "CPU µs/request", needs=H2, quick=True,
               by=by_h2load("/small", first=20000), targets=(Target(0.80),)),
    RequestsBy("down-h1", "HTTP/1.1 over TLS, 1 MiB down", "CPU µs/MiB", needs=TLS, per_bytes=MIB,
               by=by_wrk("/large", tls=True, connections=16), targets=(Target(0.85),), quick=True),
    RequestsBy("down-h2", "HTTP/2 over TLS, 1 MiB down", "CPU µs/MiB", needs=H2, per_bytes=MIB,
               by=by_h2load("/large", 4, 4, first=100), targets=(Target(0.85),)),
    RequestsBy("up-64k-h1", "HTTP/1.1 over TLS, 64 KiB up", "CPU µs/MiB", needs=TLS, per_bytes=64 << 10,
               by=by_wrk("/upload", tls=True, connections=16, body=64 << 10), targets=(Target(0.90),)),
    RequestsBy("up-64k-h2", "HTTP/2 over TLS, 64 KiB up", "CPU µs/MiB", needs=H2, per_bytes=64 << 10,
               by=by_h2load("/upload", 4, 4, body=64 << 10, first=500), targets=(Target(0.90),)),
    RequestsBy("up-10m-h1", "HTTP/1.1 over TLS, 10 MiB up", "CPU µs/MiB", needs=TLS, per_bytes=10 * MIB, stretch=2.0,
               by=by_wrk("/upload", tls=True, connections=4, body=10 * MIB), targets=(Target(0.90),)),
    RequestsBy("up-10m-h2", "HTTP/2 over TLS, 10 MiB up", "CPU µs/MiB", needs=H2, per_bytes=10 * MIB, stretch=2.0,
               by=by_h2load("/upload", 2, 2, body=10 * MIB, first=20), targets=(Target(0.90),)),
    Handshakes("hs-ecdsa", "full handshakes, ECDSA P-256", "CPU µs/handshake", needs={"resume"}, quick=True,
               targets=(Target(1 / 0.97, "accept"), Target(1.0))),
    Handshakes("hs-rsa", "full handshakes, RSA 2048", "CPU µs/handshake", needs={"rsa", "resume"}, rsa=True,
               targets=(Target(1 / 0.97, "accept"), Target(1.0))),
    Handshakes("hs-resumed", "resumed handshakes", "CPU µs/handshake", needs={"resume"}, resume=True, quick=True,
               targets=(Target(1 / 0.97, "accept"), Target(1.0))),
    Idle("idle-h1", "idle TLS connections, HTTP/1.1", "bytes/connection", needs={"resume"}, quick=True,
         targets=(Target(1.10, "accept"),)),
    Idle("idle-h2", "idle TLS connections, HTTP/2", "bytes/connection", h2=True,
         subjects=("weir", "nginx", "haproxy", "nghttpx", "h2o", "accept"), targets=(Target(1.10, "accept"),)),
    Latency("latency", "p99 added at 2,000 requests/s, h1 over TLS", "µs", quick=True,
            subjects=("weir", "nginx", "haproxy", "nghttpx", "h2o", "relay", "direct"), targets=(Target(0.70),)),
    Storm("storm", "p99 while 200 RSA handshakes/s come in, to p99 before", "×", quick=True, needs={"http", "resume"},
          targets=(Target(1.5, ""),)),
    Pair("hosts", "100,000 hosts instead of 10", "× CPU/request", low={"hosts": 10}, high={"hosts": 100000},
         subjects=("weir", "nginx", "haproxy"), rounds_factor=0.6, targets=(Target(1.03, ""),)),
    Pair("workers", "two workers instead of one", "× CPU/request", low={"workers": 1}, high={"workers": 2},
         subjects=("weir", "nginx", "haproxy", "nghttpx", "h2o"), rounds_factor=0.6, targets=(Target(1.05, ""),)),
    AtRest("rest-sidecar", "at rest, conf/sidecar.yaml, one worker", "MiB", conf="sidecar.yaml", workers=1, quick=True,
           targets=(Target(8, ""),)),
    AtRest("rest-edge", "at rest, conf/edge.yaml, two workers", "MiB", conf="edge.yaml", workers=2, quick=True,
           targets=(Target(16, ""),)),
]
