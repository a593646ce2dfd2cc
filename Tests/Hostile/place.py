"""What a hostile peer is let loose on: plain sites on loopback, a server, and honest clients that are measured throughout.

V has the server; W, an honest site, has clients and a link to V. Both are real `tieline-proxy` processes.

Each of these would have a machine of its own. Here V has half of the cores to itself, with a loop for each; W, honest clients and
their server share the others with the hostile peer and its servers, which get what they leave: those go first (where we may say so),
for thousands of threads outweigh them however nice they are. What is measured is V, not who gets the CPU.
"""
import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import statistics
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
CHUNK = 64 * 1024
INTERVAL = 0.01  # between two requests of an honest client
CORES = sorted(os.sched_getaffinity(0))
VICTIM, OTHERS = (CORES[:len(CORES) // 2], CORES[len(CORES) // 2:]) if len(CORES) > 1 else (CORES, CORES)
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Bounds:
    """What an attack may do; `run.py` loosens it for machines that are busy with other things."""
    rounds = 3  # quiet, attack, quiet, attack, ...: the medians are compared
    most = 3  # rounds at the most: while what the machine did beside may be the cause, it is tried again
    quiet = 2.0  # seconds of each quiet phase
    ratio = 3
    floor = 0.006  # seconds: two or three slices of the scheduler; less says nothing


def dies_with_parent():
    """Whatever ends the process that started this one ends this one."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def weaken(process):
    """It gets what all others leave."""
    os.setpriority(os.PRIO_PROCESS, process, min(19, os.getpriority(os.PRIO_PROCESS, process) + 19))


def go_before(process):
    """It runs before all that is not of this kind, where we may say so. Not for V, which a flood keeps busy: the kernel would stop it."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(process, os.SCHED_RR, os.sched_param(1))


def start(function, *arguments):
    """A process of the test's own."""
    def run():
        dies_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        function(*arguments)

    process = multiprocessing.Process(target=run, daemon=True)
    process.start()
    return process


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
    """Honest clients: connect, one line, its echo, end. One begins at each interval, whether those before have ended or not.

    Puts (client, sequence number, begin, seconds or None for a failure).
    """
    async def one(sequence):
        began, fine = time.monotonic(), False
        with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(b"hello\n")
                fine = await reader.readexactly(6) == b"hello\n"
                writer.close()
        results.put((number, sequence, began, time.monotonic() - began if fine else None))

    async def all_of_them():
        due, sequence, running = time.monotonic(), 0, set()
        while not stop.is_set():
            due = max(due + INTERVAL, time.monotonic() - INTERVAL)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(one(sequence))
            running.add(task)
            task.add_done_callback(running.discard)
            sequence += 1

    asyncio.run(all_of_them())


def slow_path(listener, target, bytes_per_second):
    """A user-space link: each connection to `listener` goes on to `target`, at so much each way, with small queues."""
    def pump(source, sink):
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while data := source.recv(2048):
                # What is due is made up for, a quarter of a second at the most: sleep is longer than it was asked for.
                due = max(due, time.monotonic() - 0.25) + len(data) / bytes_per_second
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

    def __init__(self, name, address, cores, limit=None, goes_first=False):
        self.name, self.address, self.cores = name, address, cores
        self.folder = tempfile.TemporaryDirectory(prefix=f"tieline-hostile-{name}-")
        self.path = pathlib.Path(self.folder.name)
        self.process, self.limit, self.goes_first = None, limit, goes_first
        self.log = open(self.path / "log", "w")

    def write(self, kind, name, spec):
        fresh = self.path / f".{kind}-{name}.new"
        fresh.write_text(f"apiVersion: {API}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        fresh.rename(self.path / f"{kind}-{name}.yaml".lower())

    def start(self):
        def limited():
            dies_with_parent()
            os.sched_setaffinity(0, self.cores)
            if self.goes_first:
                go_before(0)
            if self.limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit, self.limit))

        command = [str(BIN / "tieline-proxy"), "run", "--site-dir", str(self.path), "--bind", self.address,
                   "--admin", f"{self.address}:5673", "--loops", str(len(self.cores)), "--log-level", "info"]
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
        self.v = Site("v", "127.0.5.1", VICTIM, limit)
        self.w = Site("w", "127.0.5.2", OTHERS, goes_first=True)
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
        os.sched_setaffinity(0, OTHERS)
        for port in (9000, 9001):
            listener = socket.create_server(("127.0.5.9", port), backlog=4096)
            self.processes.append(start(serve, listener))
            listener.close()
        go_before(self.processes[0].pid)
        weaken(self.processes[-1].pid)
        self.w.write("Site", "w", "{}")
        self.w.start()
        allow = ", ".join(f"{{siteID: {site}}}" for site in [self.w.identity(), *self.allowed])
        self.v.write("Site", "v", f"{{linkAccess: {{type: External, hosts: [{self.v.address}]}}, allow: [{allow}]}}")
        self.v.write("Service", "backend", "{ports: [{name: http, port: 8080, targetPort: 9000}], hosts: [127.0.5.9]}")
        self.v.write("Service", "sink", "{ports: [{name: http, port: 8081, targetPort: 9001}], hosts: [127.0.5.9]}")
        self.v.start()
        self.w.write("Link", "v", f"{{endpoints: [{{host: {self.via or self.v.address}, port: 5671}}], remoteSiteID: {self.v.identity()}}}")
        self.w.write("Service", "backend", "{ports: [{name: http, port: 8080}]}")
        wait("W's clients reach V", self.reaches, 30)
        threading.Thread(target=self.gather, daemon=True).start()
        for number in range(self.clients):
            self.processes.append(start(ask, number, (self.w.address, 8080), self.results, self.stop))
            go_before(self.processes[-1].pid)
        # Threads from here on are the hostile peer's.
        weaken(0)

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

    def figures(self, since, grace=0):
        """(p99 in seconds, requests, failures) of what began from `since` until now; the p99 leaves the first `grace` seconds out."""
        now = time.monotonic()

        def complete():  # requests that hang are the worst of all
            later = [min((sequence for client, sequence, began, _ in list(self.seen) if client == number and began >= now), default=None)
                     for number in range(self.clients)]
            if None in later:
                return None
            times = {(client, sequence): (began, taken) for client, sequence, began, taken in list(self.seen) if began < now}
            return times if len(times) == sum(later) else None

        times = wait("every honest request has ended", complete, 25).values()
        times = [(began, taken) for began, taken in times if began >= since]
        good = sorted(taken for began, taken in times if taken is not None and began >= since + grace)
        check(good, "no honest request succeeded")
        return good[min(len(good) - 1, len(good) * 99 // 100)], len(times), sum(taken is None for _, taken in times)

    def slowest(self, since):
        """Seconds that the slowest honest request took of those that began from `since` on."""
        return max(taken for _, _, began, taken in list(self.seen) if began >= since and taken is not None)

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


def unharmed(place, attack, rounds=None, grace=0):
    """Lets `attack(round)` run, with quiet before each: the honest site keeps its link and loses no request, its p99 stays within
    3 x, V's memory within 2 x. What it may take to find another way, `grace` seconds, is not part of the p99."""
    least, most = (min(each, rounds or each) for each in (Bounds.rounds, Bounds.most))
    memory, losses = place.v.memory, place.losses()
    peak, stop = [memory], threading.Event()

    def watch():
        while not stop.is_set() and place.v.is_alive:
            with contextlib.suppress(OSError, TypeError):
                peak[0] = max(peak[0], place.v.memory)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    calm, hurt = [], []
    for number in range(most):
        calm.append(place.measure(Bounds.quiet))
        began = time.monotonic()
        attack(number)
        check(place.v.is_alive, f"V has ended: {place.v.process.returncode}\n{place.v.tail()}")
        hurt.append(place.figures(began, grace))
        time.sleep(0.5)
        if number + 1 < least:
            continue
        quiet = statistics.median(phase[0] for phase in calm)
        # With rounds to spare the best one counts: what a busy machine adds comes and goes, what the attack does stays.
        judge = statistics.median if least == most else min
        worst = judge([phase[0] for phase in hurt])
        if worst <= max(Bounds.ratio * quiet, Bounds.floor):
            break
    stop.set()
    watcher.join()
    total = calm + hurt
    count, failures = sum(phase[1] for phase in total), sum(phase[2] for phase in total)
    each = ", ".join(f"{before[0] * 1e3:.1f} -> {after[0] * 1e3:.1f}" for before, after in zip(calm, hurt))
    print(f"   p99 {quiet * 1e3:.1f} -> {worst * 1e3:.1f} ms ({each}), {failures} of {count} failed, "
          f"V {memory / 1e6:.0f} -> {peak[0] / 1e6:.0f} MB, links lost {place.losses() - losses:.0f}", flush=True)
    check(place.losses() == losses, "W has lost its link")
    check(failures == 0, f"{failures} of {count} honest requests failed")
    check(worst <= max(Bounds.ratio * quiet, Bounds.floor), f"p99 {quiet * 1e3:.1f} -> {worst * 1e3:.1f} ms")
    check(peak[0] < 2 * max(memory, 64e6), f"V's memory {memory / 1e6:.0f} -> {peak[0] / 1e6:.0f} MB")
