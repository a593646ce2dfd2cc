"""What a hostile peer is let loose on: plain sites on loopback, a server, and honest clients that are measured throughout.

V has the server; W, an honest site, has clients and a link to V. Both are real `tieline-proxy` processes.
"""
import contextlib
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

API = "tieline.dev/v1alpha1"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("TIELINE_BIN", ROOT / ".build/release"))
SERVICE = "backend/http"  # the honest clients'
SINK = "sink/http"  # the hostile site's, so that its servers' work is no part of what is measured
# What the scheduler of a small machine makes a single request wait for: less says nothing. A debug build takes its time.
FLOOR = 0.03 if "release" in str(BIN) else 0.15
CHUNK = 64 * 1024


class Failed(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failed(what)


def wait(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def serve(listener):
    """Answers each line with its text, 'bulk N' with N bytes; one connection per thread."""
    def one(client):
        with contextlib.suppress(OSError), client:
            for line in client.makefile("rb"):
                words = line.split()
                if words and words[0] == b"bulk":
                    for _ in range(int(words[1]) // CHUNK):
                        client.sendall(bytes(CHUNK))
                else:
                    client.sendall(line)

    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=one, args=(client,), daemon=True).start()


def ask(number, address, results, stop):
    """Honest clients, one after the other: connect, one line, its echo, end. Seconds of each, or None for a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while not stop.is_set():
        began = time.monotonic()
        try:
            with socket.create_connection(address, 10) as client:
                client.settimeout(10)
                client.sendall(b"hello\n")
                fine = client.recv(16) == b"hello\n"
        except OSError:
            fine = False
        results.put((number, began, time.monotonic() - began if fine else None))
        time.sleep(0.005)


def slow_path(listener, target, bytes_per_second):
    """A user-space link: each connection to `listener` goes on to `target`, at so much each way, with small queues."""
    def pump(source, sink):
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while data := source.recv(2048):
                due = max(due, time.monotonic()) + len(data) / bytes_per_second
                time.sleep(max(0, due - time.monotonic()))
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def small(end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        return end

    small(listener)
    while True:
        near, _ = listener.accept()
        far = small(socket.socket())
        far.connect(target)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


class Site:
    """A plain site at one loopback address."""

    def __init__(self, name, address, limit=None):
        self.name, self.address = name, address
        self.folder = tempfile.TemporaryDirectory(prefix=f"tieline-hostile-{name}-")
        self.path = pathlib.Path(self.folder.name)
        self.process, self.limit = None, limit
        self.log = open(self.path / "log", "w")

    def write(self, kind, name, spec):
        fresh = self.path / f".{kind}-{name}.new"
        fresh.write_text(f"apiVersion: {API}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        fresh.rename(self.path / f"{kind}-{name}.yaml".lower())

    def start(self):
        def limited():
            if self.limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit, self.limit))

        command = [str(BIN / "tieline-proxy"), "run", "--site-dir", str(self.path), "--bind", self.address,
                   "--admin", f"{self.address}:5673", "--loops", "2", "--log-level", "info"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, preexec_fn=limited)
        wait(f"{self.name} has an identity", self.identity)

    def identity(self):
        import json
        for file in (self.path / "status").glob("*.json"):
            item = json.loads(file.read_text())
            if item["kind"] == "Site" and item["status"].get("siteID"):
                return item["status"]["siteID"]
        return None

    def metrics(self):
        """Name with labels -> value."""
        with urllib.request.urlopen(f"http://{self.address}:5673/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}

    def metric(self, prefix, **labels):
        """The sum of a metric over all series that have these labels."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == prefix and all(label in series for label in wanted))

    @property
    def memory(self):
        """Resident bytes."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024

    @property
    def is_alive(self):
        return self.process.poll() is None

    def tail(self):
        self.log.flush()
        return "\n".join((self.path / "log").read_text().splitlines()[-8:])

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Place:
    """V, W, a server and clients; `with Place([identities that V allows]) as place`."""

    def __init__(self, allowed, limit=None, clients=2, via=None):
        """`via`: where W dials V, if not at V itself."""
        self.via = via
        self.v, self.w = Site("v", "127.0.5.1", limit), Site("w", "127.0.5.2")
        self.allowed, self.clients = allowed, clients
        self.processes, self.results, self.stop = [], multiprocessing.Queue(), multiprocessing.Event()
        self.seen = []

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        for port in (9000, 9001):
            listener = socket.create_server(("127.0.5.9", port), backlog=4096)
            server = multiprocessing.Process(target=serve, args=(listener,), daemon=True)
            server.start()
            self.processes.append(server)
            listener.close()
        os.setpriority(os.PRIO_PROCESS, server.pid, 10)
        self.w.write("Site", "w", "{}")
        self.w.start()
        allow = ", ".join(f"{{siteID: {site}}}" for site in [self.w.identity(), *self.allowed])
        self.v.write("Site", "v", f"{{linkAccess: {{type: External, hosts: [{self.v.address}]}}, allow: [{allow}]}}")
        self.v.write("Service", "backend", "{ports: [{name: http, port: 8080, targetPort: 9000}], hosts: [127.0.5.9]}")
        self.v.write("Service", "sink", "{ports: [{name: http, port: 8081, targetPort: 9001}], hosts: [127.0.5.9]}")
        self.v.start()
        self.w.write("Link", "v", f"{{endpoints: [{{host: {self.via or self.v.address}, port: 5671}}], remoteSiteID: {self.v.identity()}}}")
        self.w.write("Service", "backend", "{ports: [{name: http, port: 8080}]}")
        wait("W's clients reach V", self.reaches, 8)
        threading.Thread(target=self.gather, daemon=True).start()
        for number in range(self.clients):
            client = multiprocessing.Process(target=ask, args=(number, (self.w.address, 8080), self.results, self.stop), daemon=True)
            client.start()
            self.processes.append(client)

    def reaches(self):
        try:
            with socket.create_connection((self.w.address, 8080), 2) as client:
                client.settimeout(2)
                client.sendall(b"hello\n")
                return client.recv(16) == b"hello\n"
        except OSError:
            return False

    @property
    def link(self):
        return (self.v.address, 5671)

    def measure(self, seconds):
        """(p99 in seconds, requests, failures) of the honest clients from now on."""
        began = time.monotonic()
        time.sleep(seconds)
        return self.figures(began)

    def gather(self):
        while True:
            self.seen.append(self.results.get())

    def figures(self, since):
        now = time.monotonic()

        def arrived():  # requests that hang are the worst of all
            return len({number for number, began, _ in list(self.seen) if began >= now}) == self.clients

        wait("every honest client has begun a new request", arrived, 25)
        times = [taken for _, began, taken in list(self.seen) if since <= began < now]
        good = sorted(taken for taken in times if taken is not None)
        check(good, "no honest request succeeded")
        return good[min(len(good) - 1, len(good) * 99 // 100)], len(times), times.count(None)

    def losses(self):
        """How often W lost its link to V."""
        return self.w.metric("tieline_link_flaps_total")

    def __exit__(self, *_):
        self.stop.set()
        for process in self.processes:
            process.kill()
            process.join()
        for site in (self.v, self.w):
            site.stop()


@contextlib.contextmanager
def unharmed(place, seconds=3):
    """Runs the body as an attack: the honest site keeps its link, its p99 stays within 3 x, V's memory within 2 x."""
    quiet, count, failures = place.measure(seconds)
    check(failures == 0, f"{failures} of {count} failed before anything happened")
    memory, losses, began = place.v.memory, place.losses(), time.monotonic()
    peak = [memory]
    stop = multiprocessing.Event()

    def watch():
        while not stop.is_set() and place.v.is_alive:
            with contextlib.suppress(OSError, TypeError):
                peak[0] = max(peak[0], place.v.memory)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    stop.set()
    watcher.join()
    check(place.v.is_alive, f"V has ended: {place.v.process.returncode}\n{place.v.tail()}")
    worst, count, failures = place.figures(began)
    print(f"   p99 {quiet * 1e3:.1f} -> {worst * 1e3:.1f} ms, {failures} of {count} failed, "
          f"V {memory / 1e6:.0f} -> {peak[0] / 1e6:.0f} MB, links lost {place.losses() - losses:.0f}", flush=True)
    check(place.losses() == losses, "W has lost its link")
    check(failures == 0, f"{failures} of {count} honest requests failed")
    check(worst <= max(3 * quiet, FLOOR), f"p99 {quiet * 1e3:.1f} -> {worst * 1e3:.1f} ms")
    check(peak[0] < 2 * max(memory, 64e6), f"V's memory {memory / 1e6:.0f} -> {peak[0] / 1e6:.0f} MB")
