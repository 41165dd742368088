"""The subjects: weir, its peers, and the bare tools. Each knows how to be started on a bed for a number of
hosts and of workers; what each is asked to do is in the templates under peers/."""

import re
import subprocess

from bed import LOAD_CORE, PROXY_CORE, Unavailable, host_name, tool

# Of every twenty hosts two are on Kubernetes, two must not go there, and sixteen take the default share.
PINS = ["k8s"] * 2 + ["legacy"] * 2 + ["default"] * 16


def pinned_hosts(count):
    return [(host_name(number), PINS[number % len(PINS)]) for number in range(count)]


class Subject:
    """One program in one configuration. `speaks` is what rows may need: listeners "plain", "tls", "rsa" and
    "h2" on TLS; "requests", answered with 200; "resume", that it is a TLS server in its own right; "http",
    that it is both."""

    speaks = {"plain", "tls", "h2", "rsa", "requests", "resume", "http"}
    uses_openssl = True
    is_peer = True

    def __init__(self, bed, hosts=1000, workers=1):
        self.bed, self.hosts, self.workers = bed, hosts, workers
        self.process = None

    def start(self):
        ports = {"PLAIN": self.bed.port(), "TLS": self.bed.port(), "TLS_RSA": self.bed.port()}
        self.plain, self.tls, self.rsa = ports["PLAIN"], ports["TLS"], ports["TLS_RSA"]
        argv = self.prepare({**ports, "WORKERS": self.workers})
        cores = {PROXY_CORE} if self.workers == 1 else {PROXY_CORE, LOAD_CORE}
        self.process = self.bed.start(argv, cores, self.file(""), self.listening())
        return self

    def stop(self):
        if self.process:
            self.bed.stop(self.process)
            self.process = None

    @property
    def pid(self):
        return self.process.pid

    # --- for each program ---

    def listening(self):
        return [self.plain, self.tls]

    def prepare(self, values):
        """Writes the configuration, returns the command."""
        raise NotImplementedError

    def version(self):
        return ""

    def file(self, suffix):
        return "%s-%d-%d%s" % (self.name, self.hosts, self.workers, suffix)

    def pins(self, wanted):
        return "".join(host + "\n" for host, pin in pinned_hosts(self.hosts) if pin == wanted)


def _first_version(argv):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
    return found.group() if found else "?"


class Weir(Subject):
    name = "weir"
    is_peer = False
    upstream = ("h1", "")

    def prepare(self, values):
        binary = self.bed.tools / "weir"
        if not binary.exists():
            raise Unavailable("%s is not built" % binary)
        protocol, suffix = self.upstream
        for pin in ("k8s", "legacy", "default"):
            self.bed.write(self.file("-%s.txt" % pin), self.pins(pin))
        conf = self.bed.fill("weir.yaml", self.file(".yaml"), {
            **values, "ADMIN": self.bed.port(), "UP_PROTOCOL": protocol, "LISTS": self.file(""),
            **{"UP_" + group: self.bed.values[group + suffix] for group in ("LEGACY", "K8S", "DEBUG")}})
        return [binary, "run", "-c", conf]

    def version(self):
        return _first_version([self.bed.tools / "weir", "--version"])


class WeirH2(Weir):
    """weir with HTTP/2 to the backends."""

    name = "weir-h2up"
    speaks = {"plain", "tls", "h2", "requests"}  # what clients see of it otherwise is weir's
    upstream = ("h2", "_H2")


class Nginx(Subject):
    name = "nginx"

    def prepare(self, values):
        self.bed.write("nginx-hosts.map", "".join("%s %s;\n" % pair for pair in pinned_hosts(self.hosts)))
        conf = self.bed.fill("nginx.conf", self.file(".conf"), {**values, "HASH_SIZE": max(4096, self.hosts * 2)})
        return [tool("nginx"), "-p", self.bed.dir, "-e", self.bed.dir / "nginx.log", "-c", conf]

    def version(self):
        return _first_version([tool("nginx"), "-v"])


class Haproxy(Subject):
    name = "haproxy"

    def prepare(self, values):
        self.bed.write("haproxy-hosts.map", "".join("%s %s\n" % pair for pair in pinned_hosts(self.hosts)))
        # haproxy insists on two descriptors for each connection that it promises.
        conf = self.bed.fill("haproxy.cfg", self.file(".cfg"), {**values, "CONNECTIONS": self.bed.files // 5 * 2 - 100})
        return [tool("haproxy"), "-db", "-f", conf]

    def version(self):
        return _first_version([tool("haproxy"), "-v"])


class Nghttpx(Subject):
    name = "nghttpx"

    def prepare(self, values):
        self.bed.write("nghttpx-hosts.conf", "".join(self._backends()))
        conf = self.bed.fill("nghttpx.conf", self.file(".conf"), values)
        return [tool("nghttpx"), "--conf=%s" % conf]

    def _backends(self):
        legacy, k8s = self.bed.values["LEGACY"], self.bed.values["K8S"]
        shares = {"k8s": [(k8s, 100)], "legacy": [(legacy, 100)], "default": [(legacy, 96), (k8s, 4)]}
        for host, pin in [*pinned_hosts(self.hosts), ("", "default")]:
            for port, share in shares[pin]:
                yield "backend=127.0.0.1,%d;%s/;group=g%d;group-weight=%d\n" % (port, host, port, share)

    def version(self):
        return _first_version([tool("nghttpx"), "--version"])


class H2o(Subject):
    name = "h2o"

    def prepare(self, values):
        legacy, k8s = self.bed.values["LEGACY"], self.bed.values["K8S"]
        hosts = "".join('  "%s": { paths: { "/": { proxy.reverse.url: "http://127.0.0.1:%d/" } } }\n'
                        % (host, k8s if pin == "k8s" else legacy)
                        for host, pin in [("default", "default"), *pinned_hosts(self.hosts)])
        conf = self.bed.fill("h2o.conf", self.file(".conf"), {**values, "HOSTS": hosts})
        return [tool("h2o"), "-m", "worker", "-c", conf]

    def version(self):
        return _first_version([tool("h2o"), "-v"])


class Relay(Subject):
    """Terminates TLS and copies bytes: the cost of the physics."""

    name = "relay"
    speaks = {"plain", "tls", "requests"}
    is_peer = False

    def prepare(self, values):
        return [self.bed.tools / "bench_relay", values["PLAIN"], values["TLS"], self.bed.values["LEGACY"],
                self.bed.dir / "ecdsa.pem", self.bed.dir / "ecdsa.key"]


class Accept(Subject):
    """Bare OpenSSL: handshakes and idle connections, no HTTP. One process for each kind of key."""

    name = "accept"
    speaks = {"tls", "rsa", "resume"}
    is_peer = False

    def prepare(self, values):
        return [self.bed.tools / "bench_accept", values["TLS"], values["TLS_RSA"],
                *(self.bed.dir / name for name in ("ecdsa.pem", "ecdsa.key", "rsa.pem", "rsa.key"))]

    def listening(self):
        return [self.tls, self.rsa]


class Direct(Subject):
    """No proxy at all: what the load, the loopback and the backend cost anyway."""

    name = "direct"
    speaks = set()  # takes part where a row names it
    is_peer = False

    def start(self):
        self.plain = self.tls = self.rsa = self.bed.values["LEGACY"]
        return self

    @property
    def pid(self):
        return None


ALL = [Weir, WeirH2, Nginx, Haproxy, Nghttpx, H2o, Relay, Accept, Direct]
BY_NAME = {subject.name: subject for subject in ALL}
