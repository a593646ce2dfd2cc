"""Plain sites in network namespaces of their own, joined by a bridge or by user-space links, and what can happen to them.

All of it lives in namespaces (mount, process, network) that hack/chaos.sh makes: whatever ends the harness takes everything along.
"""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("TIELINE_BIN", ROOT / ".build/release"))
TOOLS = pathlib.Path(os.environ.get("CHAOS_TOOLS", "/nonexistent"))  # link and load, compiled by run.py
API = "tieline.dev/v1alpha1"
PORT, SERVER_PORT, LINK_PORT, ADMIN_PORT = 8080, 9000, 5671, 5673


class Failed(Exception):
    """A check that did not hold, with what was seen."""


def check(holds, message):
    if not holds:
        raise Failed(message)


def wait(what, probe, seconds=20.0, every=0.05):
    """Calls `probe` until it returns something true in time, and returns that."""
    end = time.monotonic() + seconds
    seen = None
    while True:
        try:
            seen = probe()
        except OSError as error:
            seen = None if time.monotonic() < end else error
        if seen and not isinstance(seen, OSError):
            return seen
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}; last seen: {seen}")
        time.sleep(every)


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Program:
    """A process of the lab with JSON lines as its output."""

    def __init__(self, process):
        self.process = process

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise Failed(f"it ended early ({self.process.args}): {self.process.stderr.read()}")
        return json.loads(text)

    def ask(self, text):
        self.tell(text)
        return self.line()

    def stop(self, timeout=600):
        """Closes its input, which ends it; its last line."""
        out, errors = self.process.communicate(timeout=timeout)
        lines = [line for line in out.splitlines() if line]
        check(lines, f"{self.process.args} said nothing: {errors}")
        return json.loads(lines[-1])

    def result(self, timeout=600):
        """Waits for its end by itself; its last line."""
        stdin, self.process.stdin = self.process.stdin, None
        try:
            return self.stop(timeout)
        finally:
            stdin.close()

    @property
    def is_running(self):
        return self.process.poll() is None


class Space:
    """A network namespace on the lab's bridge."""

    def __init__(self, lab, name, number):
        self.lab, self.name, self.number = lab, name, number
        self.address = f"10.77.0.{number}"
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"v{number}", "master", "bridge", "up")
        self.ip("link", "set", "lo", "up")
        self.ip("address", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        self.nft("add table inet chaos; add set inet chaos gone { type ipv4_addr; }; add set inet chaos refused { type ipv4_addr; };"
                 "add chain inet chaos in { type filter hook input priority 0; };"
                 "add chain inet chaos out { type filter hook output priority 0; };"
                 "add rule inet chaos in ip saddr @gone drop; add rule inet chaos out ip daddr @gone drop;"
                 "add rule inet chaos in ip saddr @refused meta l4proto tcp reject with tcp reset;"
                 "add rule inet chaos out ip daddr @refused meta l4proto tcp reject with tcp reset")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments)

    def nft(self, text):
        self.run("nft", text)

    def enter(self, *command):
        return ["nsenter", f"--net={self.path}", *map(str, command)]

    def run(self, *command):
        return run(*self.enter(*command))

    def start(self, *command, **options):
        """A process in this namespace whose standard streams are pipes."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        process = subprocess.Popen(self.enter(*command), **options)
        self.lab.processes.append(process)
        return process

    def program(self, *command):
        return Program(self.start(*command))

    def traffic(self, mode, to=None, **options):
        """A client of the `traffic` tool; by default of this site's own listener."""
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        return self.program(BIN / "traffic", mode, "--to", to or f"127.0.0.1:{PORT}", *words)

    def client(self, mode, to=None, **options):
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        return self.program(sys.executable, HERE / "client.py", mode, "--to", to or f"127.0.0.1:{PORT}", *words)

    def load(self, mode, *numbers, to=None):
        """What bench/load.c measures of one mode."""
        program = self.program(TOOLS / "load", mode, to or f"127.0.0.1:{PORT}", *numbers)
        program.line()
        return program.result()

    def serve(self, name=None, address="0.0.0.0", port=SERVER_PORT):
        """A server of the `traffic` tool."""
        return self.listening(self.start(BIN / "traffic", "serve", "--listen", f"{address}:{port}", "--name", name or self.name,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port)

    def serve_load(self, port=SERVER_PORT):
        """The server of bench/load.c."""
        return self.listening(self.start(TOOLS / "load", "serve", f"0.0.0.0:{port}", stdout=subprocess.DEVNULL), port)

    def listening(self, process, port):
        wait(f"{self.name} listens on {port}", lambda: f":{port}" in self.run("ss", "-Hltn", f"sport = :{port}"))
        return process

    # Faults

    def cut(self, *others):
        """Nothing that others send arrives, nor the other way round; nobody is told."""
        self.nft(f"add element inet chaos gone {{ {', '.join(other.address for other in others)} }}")

    def refuse(self, *others):
        """Every segment to and from others is answered with a reset."""
        self.nft(f"add element inet chaos refused {{ {', '.join(other.address for other in others)} }}")

    def restore(self):
        self.nft("flush set inet chaos gone; flush set inet chaos refused")
        self.ip("link", "set", "eth0", "up")

    def pull(self):
        """The cable is pulled."""
        self.ip("link", "set", "eth0", "down")

    def kill_sockets(self, *filters):
        """Ends TCP connections as the kernel of a dying host would: both ends are told."""
        self.run("ss", "-K", *filters)

    def limit(self, bits_per_second):
        """What leaves has this rate."""
        self.run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", f"{bits_per_second}", "burst", "256k", "latency", "50ms")
        run("tc", "qdisc", "replace", "dev", f"v{self.number}", "root", "tbf", "rate", f"{bits_per_second}", "burst", "256k",
            "latency", "50ms")

    @property
    def bytes_carried(self):
        for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
            name, _, figures = line.strip().partition(":")
            if name == f"v{self.number}":
                return int(figures.split()[0]) + int(figures.split()[8])
        raise Failed(f"no device of {self.name}")


class Site(Space):
    """A namespace with a plain site: `tieline-proxy run --site-dir`."""

    def __init__(self, lab, name, number, loops, site="{}", prefix=()):
        super().__init__(lab, name, number)
        self.folder = lab.folder / name
        self.folder.mkdir()
        self.loops, self.prefix, self.process, self.files_limit = loops, prefix, None, None
        self.spec = {"linkAccess": {"type": "External", "hosts": [self.address]}}
        self.write("Site", name, self.spec)

    def write(self, kind, name, spec):
        """As editors and Git do: a new file takes the old one's place."""
        fresh = self.folder / f".{kind}-{name}.new"
        fresh.write_text(json.dumps({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}))
        fresh.rename(self.folder / f"{kind}-{name}.json".lower())

    def configure(self, **changes):
        self.spec = self.spec | changes
        self.write("Site", self.name, self.spec)

    def boot(self):
        """Starts the proxy; `up` waits for it."""
        command = [*self.prefix, BIN / "tieline-proxy", "run", "--site-dir", self.folder, "--loops", self.loops,
                   "--admin", f"0.0.0.0:{ADMIN_PORT}"]
        with open(self.folder / "log", "a") as log:
            self.process = self.start(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self):
        """The proxy's own: programs before it in `prefix` may stay as its parents."""
        pid = self.process.pid
        while True:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("tieline-proxy"):
                return pid
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            check(children, f"no proxy under process {pid}")
            pid = int(children[0])

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.boot()

    def status(self, kind, name):
        file = self.folder / "status" / f"{kind}-{name}.json".lower()
        return json.loads(file.read_text())["status"] if file.exists() else {}

    @property
    def identity(self):
        return wait(f"{self.name} has an identity", lambda: self.status("Site", self.name).get("siteID"))

    def is_ready(self):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{self.address}:{ADMIN_PORT}/readyz", timeout=2) as answer:
                return answer.status == 200
        return False

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.address}:{ADMIN_PORT}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}

    def metric(self, name, **labels):
        """The sum of a metric over all series that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == name and all(label in series for label in wanted))

    def targets(self, service="backend"):
        """Usable targets of a service, by site name."""
        status = self.status("Service", service)
        return {target["site"]: target for target in status.get("targets", []) if target["state"] == "Usable"}

    def up(self, targets=1, seconds=30, service="backend"):
        wait(f"{self.name} has {targets} targets", lambda: self.is_ready() and len(self.targets(service)) >= targets, seconds)

    @property
    def memory(self):
        """Resident bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        raise Failed(f"{self.name} has ended")

    @property
    def cpu(self):
        """Seconds that its threads have run."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def is_alive(self):
        return self.process.poll() is None

    def tail(self, lines=12):
        return "\n".join(f"   {self.name}: {line}" for line in (self.folder / "log").read_text().splitlines()[-lines:])


class Wire:
    """A user-space link between two spaces, under addresses of its own."""

    def __init__(self, lab, number, a, b):
        self.device = f"wan{number}"
        self.process = subprocess.Popen([TOOLS / "link", a.path, b.path, self.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        lab.processes.append(self.process)
        check(self.process.stdout.readline() == "ready\n", "no user-space link")
        self.addresses = {a: f"10.78.{number}.1", b: f"10.78.{number}.2"}
        for space in (a, b):
            space.ip("address", "add", f"{self.addresses[space]}/30", "dev", self.device)
            space.ip("link", "set", self.device, "mtu", "1500", "txqueuelen", "10000", "up")

    def set(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()


class Lab:
    """One row's sites; `with Lab(...) as lab`."""

    def __init__(self, loops=2):
        self.loops, self.processes, self.sites, self.spaces, self.wires = loops, [], {}, {}, []
        self.numbers = itertools.count(1)
        self.temporary = tempfile.TemporaryDirectory(prefix="tieline-chaos-")
        self.folder = pathlib.Path(self.temporary.name)

    def __enter__(self):
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", "10.77.0.254/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        return self

    def __exit__(self, kind, *_):
        if kind:
            for site in self.sites.values():
                print(site.tail(), flush=True)
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        for space in self.spaces.values():
            run("ip", "link", "delete", f"v{space.number}")
            run("ip", "netns", "delete", space.name)
        run("ip", "link", "delete", "bridge")
        self.temporary.cleanup()

    def space(self, name):
        self.spaces[name] = Space(self, name, next(self.numbers))
        return self.spaces[name]

    def site(self, name, **options):
        self.sites[name] = self.spaces[name] = Site(self, name, next(self.numbers), self.loops, **options)
        return self.sites[name]

    def wire(self, a, b, settings):
        wire = Wire(self, len(self.wires) + 1, a, b)
        wire.set(settings)
        self.wires.append(wire)
        return wire

    def network(self, names, links, servers, health=None, wires=None, hosts=None, **site):
        """Sites by their names, `links` (from, to, cost), and the service `backend`, which `servers` have.

        `wires`: settings of user-space links by (from, to), instead of the bridge. `hosts`: server addresses by site.
        """
        sites = [self.site(name) for name in names]
        wires = {(a, b): self.wire(self.sites[a], self.sites[b], settings) for (a, b), settings in (wires or {}).items()}
        for each in sites:
            each.boot()
        identities = {each.name: each.identity for each in sites}
        for each in sites:
            dialers = [{"siteID": identities[a], "name": a} for a, b, _ in links if b == each.name]
            each.configure(allow=dialers, **site, **({"health": health} if health else {}))
            serves = {"hosts": (hosts or {}).get(each.name, ["127.0.0.1"])} if each.name in servers else {}
            each.write("Service", "backend", {
                "ports": [{"name": "tcp", "port": PORT, "targetPort": SERVER_PORT}], "listen": {"enabled": True}, **serves})
        for a, b, cost in links:
            remote = self.sites[b]
            wire = wires.get((a, b))
            host = wire.addresses[remote] if wire else remote.address
            self.sites[a].write("Link", b, {
                "endpoints": [{"host": host, "port": LINK_PORT}], "remoteSiteID": identities[b], "cost": cost})
        return sites

    def diamond(self, costs=(1, 2)):
        """An ingress, two transits and an egress with a server: two ways."""
        i, t1, t2, e = self.network(
            ["i", "t1", "t2", "e"],
            [("i", "t1", costs[0]), ("i", "t2", costs[1]), ("t1", "e", 1), ("t2", "e", 1)], ["e"])
        e.serve()
        for each in (i, t1, t2):
            each.up()
        settle(i, lambda: (i.metric("tieline_link_up") == 2))
        return i, t1, t2, e


def settle(site, condition, seconds=20):
    wait(f"{site.name} has all its links", condition, seconds)


def busiest(spaces, seconds=0.15):
    """Which of the spaces carries most at the moment."""
    before = [space.bytes_carried for space in spaces]
    time.sleep(seconds)
    grown = [space.bytes_carried - old for space, old in zip(spaces, before)]
    return spaces[grown.index(max(grown))]


def need_programs():
    for program in ("tieline-proxy", "traffic"):
        check((BIN / program).exists(), f"no {BIN / program}: hack/build.sh makes it")
    for program in ("ip", "nft", "tc", "ss", "nsenter", "cc"):
        check(shutil.which(program), f"no program {program} on the PATH")
