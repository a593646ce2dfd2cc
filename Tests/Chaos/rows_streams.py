"""Connections that outlive links: transfers and sessions while links are cut and transits are killed; a gateway that is rolled."""
import signal
import time

from lab import SERVER_PORT, Lab, busiest, check, settle, wait
from table import row


class Faults:
    """Cuts links and kills transits, each time the way that is in use; the other one is whole."""

    def __init__(self, i, transits, is_flowing):
        self.i, self.transits, self.is_flowing = i, transits, is_flowing
        self.cuts, self.kills = 0, 0

    def whole(self):
        """Both ways are usable again, and something still flows."""
        wait("both ways", lambda: self.i.metric("tieline_link_up") == 2 and all(each.is_ready() and each.targets() for each in self.transits), 30)

    def cut(self, hold):
        """Black holes, pulled cables, resets and killed sockets in turn."""
        site = busiest(self.transits)
        how = self.cuts % 4
        if how == 0:
            self.i.cut(site)
        elif how == 1:
            site.pull()
        elif how == 2:
            self.i.refuse(site)
        else:
            site.kill_sockets("dport", "=", ":5671", "or", "sport", "=", ":5671")
        self.cuts += 1
        time.sleep(hold)
        self.i.restore()
        site.restore()
        self.whole()

    def kill(self):
        site = busiest(self.transits)
        site.kill()
        self.kills += 1
        time.sleep(0.5)
        site.boot()
        self.whole()

    def all(self, cuts, kills, hold=2.0, rest=0.5):
        every = max(1, cuts // kills)
        while self.is_flowing() and (self.cuts < cuts or self.kills < kills):
            if self.cuts < cuts:
                self.cut(hold)
            if self.kills < kills and (self.cuts % every == 0 or self.cuts >= cuts):
                self.kill()
            time.sleep(rest)

    def __str__(self):
        return f"{self.cuts} cuts, {self.kills} kills"


@row("R1", "1 GiB each way while the link in use is cut and restored 20 times and the transit in use SIGKILLed 5 times",
     "byte-exact, no error at either end")
def transfers(scale):
    with Lab() as lab:
        i, t1, t2, e = lab.diamond()
        # So that the faults meet the transfer: a path slower than the machine.
        cuts, kills, size = scale(20, 4), scale(5, 1), scale(1 << 30, 96 << 20)
        e.limit(scale("75mbit", "45mbit"))
        down = i.traffic("transfer", bytes=size, direction="get")
        up = i.traffic("transfer", bytes=size, direction="put")
        faults = Faults(i, [t1, t2], lambda: down.is_running or up.is_running)
        time.sleep(1)
        began = time.monotonic()
        faults.all(cuts, kills)
        results = []
        for program in (down, up):
            out, errors = program.process.communicate(timeout=900)
            results.append("intact" if '"intact":true' in out else (errors.strip() or out.strip() or "nothing").splitlines()[-1][:80])
        return (f"get: {results[0]}, put: {results[1]}; {faults} in {time.monotonic() - began:.0f} s",
                results == ["intact", "intact"] and faults.cuts == cuts and faults.kills == kills)


@row("R2", "100 interactive sessions (a request each 50 ms), the same faults", "none broken; the longest pause <= 1.5 s")
def sessions(scale):
    with Lab() as lab:
        i, t1, t2, _ = lab.diamond()
        flow = i.traffic("flow", count=100, seconds=10_000, size=64, pause=50)
        flow.line()
        faults = Faults(i, [t1, t2], lambda: flow.is_running)
        faults.all(scale(20, 4), scale(5, 1))
        seen = flow.stop()
        return (f"{seen['alive']} of 100 stayed, corrupted {seen['corrupted']}; the longest pause "
                f"{seen['longestSilenceMilliseconds']} ms; {faults}",
                seen["alive"] == 100 and seen["corrupted"] == 0 and seen["longestSilenceMilliseconds"] <= 1500)


@row("R3", "no way back: the only link is cut for good in the middle of transfers", "both ends RST, never FIN, <= 20 s")
def no_way(scale):
    with Lab() as lab:
        i, e = lab.network(["i", "e"], [("i", "e", 1)], ["e"])
        e.serve()
        i.up()
        held = i.client("hold", count=20)
        held.line()
        servers = lambda: len(e.run("ss", "-Htn", "state", "established", "sport = :9000").splitlines())
        check(servers() == 20, f"{servers()} of 20 connections at the server")
        began = time.monotonic()
        i.cut(e)
        wait("the server's ends", lambda: servers() == 0, 30)
        far = time.monotonic() - began
        time.sleep(max(0, began + 20 - time.monotonic()))
        endings = held.stop()["endings"]
        near = [at - began for at, how in endings if how == "reset"]
        return (f"{len(near)} of 20 clients reset, the last after {max(near, default=0):.1f} s; the server's ends after {far:.1f} s",
                len(near) == 20 == len(endings) and far <= 20)


@row("R4", "transit gateways rolled (SIGTERM, start) in turn under load, with streams that talk and one long transfer",
     "0 failed; every stream moved, the longest pause <= 1 s")
def rolled(scale):
    with Lab() as lab:
        i, t1, t2, e = lab.diamond()
        for each in (t1, t2):
            each.configure(drain={"delay": "1s", "grace": "5s"})
        e.limit("100mbit")
        client = i.client("ask", rate=200, seconds=10_000)
        flow = i.traffic("flow", count=50, seconds=10_000, pause=50)
        flow.line()
        rounds = scale(10, 2)
        transfer = i.traffic("transfer", bytes=rounds * scale(96 << 20, 64 << 20), direction="get")
        exits = []
        for number in range(rounds):
            site = busiest([t1, t2])
            began = time.monotonic()
            site.signal(signal.SIGTERM)
            site.process.wait(30)
            exits.append(time.monotonic() - began)
            site.boot()
            wait("both ways", lambda: i.metric("tieline_link_up") == 2 and t1.is_ready() and t2.is_ready() and t1.targets() and t2.targets())
            time.sleep(0.5)
        seen, talked = client.stop(), flow.stop()
        out, _ = transfer.process.communicate(timeout=600)
        intact = '"intact":true' in out
        return (f"{seen['failed']} of {seen['asked']} failed; {talked['alive']} of 50 stayed, the longest pause "
                f"{talked['longestSilenceMilliseconds']} ms; transfer {'intact' if intact else 'broken'}; slowest exit {max(exits):.1f} s",
                seen["failed"] == 0 and talked["alive"] == 50 and talked["longestSilenceMilliseconds"] <= 1000 and intact)


@row("R5", "a path that becomes cheaper by configuration, with streams that talk", "every stream moved <= 2 s, none broken, pause <= 1 s")
def cheaper(scale):
    with Lab() as lab:
        i, t1, t2, e = lab.diamond(costs=(3, 5))
        flow = i.traffic("flow", count=50, seconds=10_000, pause=20)
        flow.line()
        check(busiest([t1, t2], 0.5) is t1, "the cheap way is in use")
        moved = []
        for number in range(scale(10, 3)):
            to = (t2, t1)[number % 2]
            i.write("Link", "t2", {"endpoints": [{"host": t2.address, "port": 5671}], "remoteSiteID": t2.identity,
                                   "cost": 1 if to is t2 else 5})
            began = time.monotonic()
            while busiest([t1, t2], 0.2) is not to and time.monotonic() < began + 5:
                pass
            moved.append(time.monotonic() - began)
        seen = flow.stop()
        return (f"moved after {max(moved):.1f} s at most (5: never); {seen['alive']} of 50 stayed, the longest pause "
                f"{seen['longestSilenceMilliseconds']} ms",
                max(moved) <= 2 and seen["alive"] == 50 and seen["longestSilenceMilliseconds"] <= 1000)


class Processor:
    """What the proxies of sites use beyond what they used when nothing happened."""

    def __init__(self, sites, seconds):
        self.sites = sites
        before = self.look()
        time.sleep(seconds)
        self.quiet = [(after - old) / seconds for after, old in zip(self.look(), before)]
        self.before, self.began = self.look(), time.monotonic()

    def look(self):
        """The clock of each process, as clock_getcpuclockid gives it: /proc counts hundredths of a second only."""
        return [time.clock_gettime(~site.pid << 3 | 2) for site in self.sites]

    def beyond(self):
        """By site, in seconds."""
        passed = time.monotonic() - self.began
        return {site.name: after - old - quiet * passed
                for site, after, old, quiet in zip(self.sites, self.look(), self.before, self.quiet)}


@row("R7", "a link that is cut and restored once a second (whole: for 60 s), beside 20 streams over another path, and under 20 that have a way round",
     "0 broken, 0 corrupted; pause <= 0.5 s on the other path, <= 1.5 s on the link; CPU of each proxy <= 50 ms a cut", is_long=True)
def flapping(scale):
    with Lab() as lab:
        i, t, e = lab.network(["i", "t", "e"], [("i", "t", 1), ("i", "e", 1), ("t", "e", 1)], ["e"])
        ports = {"ports": [{"name": "tcp", "port": 8081, "targetPort": SERVER_PORT}]}
        t.write("Service", "other", ports | {"hosts": ["127.0.0.1"]})
        i.write("Service", "other", ports)
        for each in (t, e):
            each.serve()
        i.up()
        i.up(service="other")
        settle(i, lambda: i.metric("tieline_link_up") == 2)
        beside = i.traffic("flow", count=20, seconds=10_000, size=64, pause=50)
        under = i.traffic("flow", to="127.0.0.1:8081", count=20, seconds=10_000, size=64, pause=50)
        for flow in (beside, under):
            flow.line()
        count, losses = scale(60, 10), i.metric("tieline_link_flaps_total", link="t")
        processor = Processor([i, t, e], scale(10, 3))
        for number in range(count):
            time.sleep(max(0, processor.began + number - time.monotonic()))
            i.refuse(t)
            for one, other in ((i, t), (t, i)):
                one.kill_sockets("dst", other.address)
            time.sleep(max(0, processor.began + number + 0.5 - time.monotonic()))
            i.restore()
        used = {name: seconds * 1000 / count for name, seconds in processor.beyond().items()}
        losses = i.metric("tieline_link_flaps_total", link="t") - losses
        others, own = beside.stop(), under.stop()
        pauses = [seen["longestSilenceMilliseconds"] for seen in (others, own)]
        # Whoever dials again waits longer each time: a link that is cut so often is seldom there to be lost.
        figure = (f"cut {count} times, lost {losses:.0f} times; beside it {others['alive']} of 20 stayed, the longest pause {pauses[0]} ms; over it "
                  f"{own['alive']} of 20, {pauses[1]} ms; {', '.join(f'{name} {spent:.1f}' for name, spent in used.items())} ms of CPU a cut")
        whole = all((seen["alive"], seen["corrupted"]) == (20, 0) for seen in (others, own))
        return figure, losses >= 1 and whole and pauses[0] <= 500 and pauses[1] <= 1500 and max(used.values()) <= 50
