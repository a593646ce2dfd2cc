"""B7 to B13, B15, B17: readers that do not read, shortages, strangers, drains, changes."""
import contextlib
import pathlib
import shutil
import signal
import socket
import time

from lab import PORT, Lab, check, wait
from table import row

CGROUP = pathlib.Path("/sys/fs/cgroup/memory")


def two(lab, server=True, **options):
    i, e = lab.network(["i", "e"], [("i", "e", 1)], ["e"], **options)
    if server:
        e.serve()
    i.up()
    return i, e


@contextlib.contextmanager
def connections(site, count, first=b""):
    """Sockets from the lab's own network to the listener of a site, which read only what the body reads."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection((site.address, PORT), 20))
            if first:
                opened[-1].sendall(first)
        yield opened
    finally:
        for each in opened:
            each.close()


def peak_memory(sites, seconds):
    peaks, end = [0] * len(sites), time.monotonic() + seconds
    while time.monotonic() < end:
        peaks = [max(peak, site.memory) for peak, site in zip(peaks, sites)]
        time.sleep(0.1)
    return peaks


@row("B7", "clients that ask for 1 GiB and do not read, beside one that does",
     "memory <= 1 MiB a stream and hop; the other keeps >= 90 % of its rate")
def slow_readers(scale):
    with Lab() as lab:
        i, e = two(lab)
        i.limit("400mbit")  # a path that is slower than the machine: what is measured is the share, not the CPU
        size, count = scale(200, 60) << 20, 32
        quiet = i.traffic("transfer", bytes=size, direction="get").result()
        before = [i.memory, e.memory]
        with connections(i, count, b"get 1073741824\n"):
            time.sleep(2)
            loud = i.traffic("transfer", bytes=size, direction="get")
            peaks = peak_memory([i, e], 3)
            loud = loud.result()
        grown = max(peak - old for peak, old in zip(peaks, before)) / count / (1 << 20)
        share = quiet["seconds"] / loud["seconds"]
        return (f"{grown:.2f} MiB a stream and hop; the other has {share:.0%}", grown <= 1 and share >= 0.9 and loud["intact"])


@row("B8", "5,000 idle connections, opened and closed", "<= 32 KiB a connection and hop; 10 s after the end within 10 % of before or 2 MiB")
def idle(scale):
    with Lab() as lab:
        i, e = two(lab)
        client, count = i.traffic("hold"), scale(5000, 1000)
        client.ask("open 10")
        before = [i.memory, e.memory]
        seen = client.ask(f"open {count} by 100")
        check(seen["open"].get("e") == count + 10, f"not all are open: {seen}")
        each = [(site.memory - old) / count / 1024 for site, old in zip((i, e), before)]
        client.ask("close all")
        time.sleep(10)
        left = [site.memory - old for site, old in zip((i, e), before)]
        return (f"{max(each):.1f} KiB a connection and hop; afterwards {max(left) / 1e6:+.1f} MB of {before[0] / 1e6:.0f}",
                max(each) <= 32 and all(more <= max(0.1 * old, 2 << 20) for more, old in zip(left, before)))


@row("B9a", "a proxy with 256 descriptors, and 600 clients", "no crash; CPU <= 10 % while full; open ones stay; new ones <= 1 s after room")
def descriptors(scale):
    with Lab(loops=1) as lab:
        i, e = two(lab)
        i.kill()
        i.prefix = ("prlimit", "--nofile=256:256")
        i.boot()
        i.up()
        kept = i.traffic("flow", count=10, seconds=600, pause=50)
        kept.line()
        crowd = [socket.socket() for _ in range(600)]
        for each in crowd:
            each.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                each.connect((i.address, PORT))
        time.sleep(2)
        cpu, began = i.cpu, time.monotonic()
        time.sleep(scale(10, 4))
        share = (i.cpu - cpu) / (time.monotonic() - began)
        for each in crowd:
            each.close()
        freed = time.monotonic()

        def works():
            with socket.create_connection((i.address, PORT), 5) as client:
                client.settimeout(1)
                client.sendall(b"name\n")
                return client.recv(16) == b"e\n"

        wait("a new connection", works, 10)
        again = time.monotonic() - freed
        flow = kept.stop()
        # Beside the share of the ten that talk: 200 messages a second.
        return (f"alive: {i.is_alive}; CPU {share:.0%}; again after {again:.2f} s; {flow['alive']} of 10 stayed",
                i.is_alive and share <= 0.10 and again <= 1 and flow["alive"] == 10)


@row("B9b", "an egress with 100 ephemeral ports, and 300 clients", "no crash; CPU <= 10 % while full; new ones <= 1 s after room")
def ports(scale):
    with Lab(loops=1) as lab:
        i, e = two(lab)
        e.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40099")
        client = i.traffic("hold", timeout=3)
        seen = client.ask("open 300 by 300")
        cpu, began = e.cpu, time.monotonic()
        time.sleep(scale(6, 3))
        share = (e.cpu - cpu) / (time.monotonic() - began)
        count = sum(seen["open"].values())
        client.ask("close all")
        # The ports of connections that were closed from here rest in TIME_WAIT for a minute, at whichever end closed first.
        e.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=41000 60999")
        freed = time.monotonic()
        wait("a new connection", lambda: sum(client.ask("open 1")["open"].values()) > 0, 10)
        again = time.monotonic() - freed
        return (f"{count} of 300 had a port; CPU {share:.0%}; again after {again:.2f} s; alive: {e.is_alive}",
                e.is_alive and 80 <= count <= 100 and share <= 0.10 and again <= 1)


@row("B10", "1,000 strangers at the link port that say half a ClientHello", "closed <= 6 s; a new link up <= 1 s meanwhile")
def half_hellos(scale):
    with Lab(loops=1) as lab:
        i, e = two(lab)
        i.kill()
        strangers, opened, closed = [], [], []
        half = bytes([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])
        for _ in range(scale(1000, 300)):
            stranger = socket.create_connection((e.address, 5671), 5)
            stranger.sendall(half)
            strangers.append(stranger)
            opened.append(time.monotonic())
        began = time.monotonic()
        i.boot()
        wait("the link is up", lambda: i.is_ready() and i.metric("tieline_link_up") == 1, 30, every=0.02)
        up = time.monotonic() - began
        for stranger, at in zip(strangers, opened):
            stranger.settimeout(max(0.1, at + 20 - time.monotonic()))
            with contextlib.suppress(ConnectionResetError):
                check(stranger.recv(1) == b"", "an answer to half a ClientHello")
            closed.append(time.monotonic() - at)
            stranger.close()
        return f"the last closed after {max(closed):.1f} s; link up in {up:.2f} s, start included", max(closed) <= 6.5 and up <= 1


@row("B11", "a memory limit of 128 MiB, and 200 clients that do not read", "not killed; open ones live")
def memory(scale):
    for old in CGROUP.glob("tieline-chaos-*"):  # of a run that was killed
        with contextlib.suppress(OSError):
            old.rmdir()
    group = CGROUP / f"tieline-chaos-{time.monotonic_ns()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(128 << 20))
        with Lab() as lab:
            i, e = two(lab)
            for site in (i, e):
                (group / "cgroup.procs").write_text(str(site.pid))
            flow = i.traffic("flow", count=20, seconds=600, pause=50)
            flow.line()
            with connections(i, 200, b"get 1073741824\n"):
                peaks = peak_memory([i, e], scale(20, 6))
                alive = i.is_alive and e.is_alive
            seen = flow.stop() if alive else {"alive": 0}
            return (f"{max(peaks) / 1e6:.0f} MB at most; alive: {alive}; {seen['alive']} of 20 stayed",
                    alive and seen["alive"] == 20)
    finally:
        wait("the group is empty", lambda: not (group / "cgroup.procs").read_text().strip(), 10)
        group.rmdir()


@row("B12", "rolling restart (SIGTERM, start) of two egress sites in turn, 50 times, at 200 connections a second",
     "0 failed new connections; exit <= delay + grace + 1 s")
def rolling(scale):
    with Lab() as lab:
        i, a, b = lab.network(["i", "a", "b"], [("i", "a", 1), ("i", "b", 1)], ["a", "b"], drain={"delay": "1s", "grace": "2s"})
        a.serve()
        b.serve()
        i.up(targets=2)
        client = i.client("ask", rate=200, seconds=10_000)
        exits = []
        for number in range(scale(50, 6)):
            site = (a, b)[number % 2]
            began = time.monotonic()
            site.signal(signal.SIGTERM)
            site.process.wait(30)
            exits.append(time.monotonic() - began)
            site.boot()
            i.up(targets=2)
        seen = client.stop()
        return (f"{seen['failed']} of {seen['asked']} failed; slowest {seen['slowest'] * 1e3:.0f} ms; slowest exit {max(exits):.1f} s",
                seen["failed"] == 0 and max(exits) <= 4)


@row("B13", "20 changes of configuration at 500 connections a second", "0 failed; nobody open is reset")
def reload(scale):
    with Lab() as lab:
        i, e = two(lab)
        held = i.traffic("flow", count=20, seconds=10_000, pause=50)
        held.line()
        load = i.traffic("load", rate=500, seconds=scale(200, 20))
        began = time.monotonic()
        for number in range(20):
            time.sleep(max(0, began + number * scale(9.5, 0.9) - time.monotonic()))
            i.write("Service", f"other{number % 5}", {"ports": [{"name": "tcp", "port": 9100 + number, "targetPort": 9000}],
                                                      "listen": {"enabled": True}})
            link = {"endpoints": [{"host": e.address, "port": 5671}], "remoteSiteID": e.identity, "cost": 1 + number % 3}
            i.write("Link", "e", link)
            i.signal(signal.SIGHUP)
        seen = load.result()
        flow = held.stop()
        failed = sum(count for how, count in seen["endings"].items() if how != "done")
        return (f"{failed} of {seen['total']} failed; {flow['alive']} of 20 stayed, the longest silence {flow['longestSilenceMilliseconds']} ms",
                failed == 0 and seen["total"] > 0 and flow["alive"] == 20)


@row("B14", "the Link's endpoint changes 20 times (new lanes take the place of old ones), with 100 streams that talk",
     "0 resets; new lanes, and the old ones gone, <= 5 s; the longest pause <= 1 s")
def new_lanes(scale):
    with Lab() as lab:
        i, e = two(lab)
        e.ip("address", "add", "10.77.0.101/24", "dev", "eth0")
        flow = i.traffic("flow", count=100, seconds=10_000, pause=50)
        flow.line()
        lanes = lambda address: len(i.run("ss", "-Htn", "state", "established", "dst", address, "dport = :5671").splitlines())
        longest, old, new = 0, e.address, "10.77.0.101"
        for _ in range(scale(20, 5)):
            i.write("Link", "e", {"endpoints": [{"host": new, "port": 5671}], "remoteSiteID": e.identity, "cost": 1})
            began = time.monotonic()
            wait("new lanes", lambda: lanes(new) >= 2, 20)
            while lanes(old) and time.monotonic() < began + 10:
                time.sleep(0.05)
            longest = max(longest, time.monotonic() - began)
            old, new = new, old
        seen = flow.stop()
        return (f"{seen['alive']} of 100 stayed; lanes replaced after {longest:.1f} s at most (10: never); the longest pause "
                f"{seen['longestSilenceMilliseconds']} ms",
                seen["alive"] == 100 and not seen["corrupted"] and longest <= 5 and seen["longestSilenceMilliseconds"] <= 1000)


@row("B15", "the name of a site leads to another address", "back <= 35 s without a restart")
def address_changes(scale):
    with Lab() as lab:
        names = lab.folder / "names"
        names.write_text("10.77.0.200 egress.example\n")
        i, e = lab.site("i", prefix=("unshare", "--mount", "sh", "-c", f'mount --bind {names} /etc/hosts && exec "$@"', "sh")), lab.site("e")
        for each in (i, e):
            each.boot()
        e.configure(allow=[{"siteID": i.identity}])
        service = {"ports": [{"name": "tcp", "port": PORT, "targetPort": 9000}]}
        e.write("Service", "backend", service | {"hosts": ["127.0.0.1"]})
        i.write("Service", "backend", service)
        i.write("Link", "e", {"endpoints": [{"host": "egress.example", "port": 5671}], "remoteSiteID": e.identity, "cost": 1})
        e.serve()
        e.ip("address", "add", "10.77.0.200/24", "dev", "eth0")
        i.up()
        e.ip("address", "delete", "10.77.0.200/24", "dev", "eth0")
        e.ip("address", "add", "10.77.0.201/24", "dev", "eth0")
        moved = time.monotonic()
        names.write_text("10.77.0.201 egress.example\n")  # in place: the mount stays
        time.sleep(1.5)
        wait("the link is up again", lambda: i.client("ask", rate=10, seconds=0.2, timeout=1).result()["failed"] == 0, 60)
        back = time.monotonic() - moved
        return f"back after {back:.1f} s", back <= 35


@row("B17", "a load balancer spreads a link's lanes over two proxies of a site", "both known <= 1 s; 0 stalls, 0 failed")
def spread_lanes(scale):
    with Lab() as lab:
        i, a = lab.site("i"), lab.site("a")
        b = lab.site("b")
        a.boot()
        a.identity
        wait("its state is written", lambda: (a.folder / "site-id").exists())
        for file in ("site-id", "identity"):
            (shutil.copytree if file == "identity" else shutil.copy)(a.folder / file, b.folder / file)
        for each in (i, b):
            each.boot()
        check(b.identity == a.identity, "two proxies of one site")
        for each in (a, b):
            each.configure(allow=[{"siteID": i.identity}])
            each.write("Service", "backend", {"ports": [{"name": "tcp", "port": PORT, "targetPort": 9000}], "hosts": ["127.0.0.1"]})
            each.serve()
        i.nft("add table ip balancer; add chain ip balancer out { type nat hook output priority -100; };"
              f"add rule ip balancer out ip daddr 10.77.0.250 tcp dport 5671 dnat to numgen inc mod 2 map {{ 0 : {a.address}, 1 : {b.address} }}")
        i.write("Service", "backend", {"ports": [{"name": "tcp", "port": PORT}]})
        began = time.monotonic()
        i.write("Link", "a", {"endpoints": [{"host": "10.77.0.250", "port": 5671}], "remoteSiteID": a.identity, "cost": 1})
        i.up()
        count = lambda site: len(site.run("ss", "-Htn", "state", "established", "sport = :5671").splitlines())
        wait("lanes to both", lambda: count(a) and count(b), 10)
        known = time.monotonic() - began
        flow = i.traffic("flow", count=50, seconds=scale(30, 6), pause=20)
        flow.line()
        seen = i.client("ask", rate=100, seconds=scale(20, 4)).result()
        flow = flow.stop()
        return (f"both known after {known:.1f} s; {flow['alive']} of 50 stayed, {flow['stalled']} stalled; "
                f"{seen['failed']} of {seen['asked']} failed; servers {dict(seen['servers'])}",
                known <= 1 and flow["alive"] == 50 and flow["stalled"] == 0 and seen["failed"] == 0 and len(seen["servers"]) == 2)
