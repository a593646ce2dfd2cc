"""B1 to B5: proxies, servers and networks that die, and how connections are spread."""
import math
import signal
import time

from lab import Lab, check, settle, wait
from table import Scale, row


def pair(lab, **options):
    """An ingress and two egresses, the first one cheaper."""
    i, near, far = lab.network(["i", "near", "far"], [("i", "near", 1), ("i", "far", 50)], ["near", "far"], **options)
    for each in (near, far):
        each.serve()
    i.up(targets=2)
    return i, near, far


@row("B1", "SIGKILL of a remote proxy under 200 new connections a second, another target exists",
     "0 failed; p99 of an answer <= 250 ms")
def remote_killed(scale):
    with Lab() as lab:
        i, near, _ = pair(lab)
        client = i.client("ask", rate=200, seconds=scale(20, 8), timeout=10)
        for _ in range(scale(4, 1)):
            time.sleep(2.5)
            near.kill()
            time.sleep(1)
            near.boot()
            i.up(targets=2)
        seen = client.stop()
        return (f"{seen['failed']} of {seen['asked']} failed; p99 {seen['p99'] * 1e3:.0f} ms, slowest {seen['slowest'] * 1e3:.0f} ms",
                seen["failed"] == 0 and seen["p99"] <= 0.25 and "far" in seen["servers"])


def silent(scale, begin, health, good_within):
    """What a fault that nobody is told of does to new connections and to old ones."""
    with Lab() as lab:
        i, near, far = pair(lab, health=health)
        held = i.client("hold", count=20)
        held.line()
        client = i.client("ask", rate=100, seconds=scale(20, 18), timeout=15)
        time.sleep(2)
        fault = time.monotonic()
        begin(i, near)
        seen = client.result()
        slow = [at + seconds - fault for at, seconds in seen["slow"]]
        late = [at - fault for at, seconds in seen["slow"] if at > fault + good_within and seconds > 1]
        endings = held.stop()["endings"]
        reset = [at - fault for at, how in endings if how == "reset"]
        figure = (f"{seen['failed']} of {seen['asked']} failed; the slowest answer {seen['slowest']:.2f} s, good again after {max(slow, default=0):.1f} s; "
                  f"{len(reset)} of 20 open ones reset, the last after {max(reset, default=math.nan):.1f} s")
        return figure, seen["failed"] == 0 and max(slow, default=0) <= good_within and not late and len(reset) == 20 and max(reset) <= 15


# Open connections: the grace in which another way may appear (10 s), and then 5 s.
@row("B2a", "SIGSTOP of a remote proxy", "new connections good <= 3 s, 0 failed; open ones RST <= 15 s")
def stopped(scale):
    return silent(scale, lambda _, near: near.signal(signal.SIGSTOP), None, 3)


@row("B2b", "a black hole before a remote site", "new connections good <= 3 s, 0 failed; open ones RST <= 15 s")
def black_hole(scale):
    return silent(scale, lambda i, near: i.cut(near), None, 3)


@row("B2c", "the same, with a heartbeat of 100 ms", "new connections good <= 1 s, 0 failed; open ones RST <= 15 s")
def black_hole_tuned(scale):
    return silent(scale, lambda i, near: i.cut(near), {"heartbeat": "100ms"}, 1)


@row("B2d", "a path that answers every segment with a reset", "new connections good <= 1 s, 0 failed; open ones RST <= 15 s")
def resets(scale):
    return silent(scale, lambda i, near: i.refuse(near), None, 1)


@row("B3", "all local servers die and come back; then one of two",
     "0 failed later than 1 s; home again <= 5 s; the one that came back <= 2 x its share in 10 s")
def servers(scale):
    with Lab() as lab:
        i, far = lab.network(["i", "far"], [("i", "far", 50)], ["i", "far"], hosts={"i": ["127.0.0.1", "127.0.0.2"]})
        far.serve()
        own = [i.serve(f"own{number}", f"127.0.0.{number}") for number in (1, 2)]
        i.up(targets=2)
        client = i.client("ask", rate=200, seconds=1000, timeout=10)
        time.sleep(2)
        fault = time.monotonic()
        for server in own:
            server.kill()
            server.wait()
        time.sleep(scale(4, 2))
        back = time.monotonic()
        i.serve("own1", "127.0.0.1")
        i.serve("own2", "127.0.0.2")
        wait("home again", lambda: i.client("ask", rate=20, seconds=0.2).result()["servers"].keys() <= {"own1", "own2"}, 30)
        home = time.monotonic() - back
        seen = client.stop()
        late = [at for at, _ in seen["failures"] if at > fault + 1]
        # One of two: what it gets of new ones in the time after it came back.
        [server for server in lab.processes if "own1" in server.args and server.poll() is None][0].kill()
        time.sleep(2)
        i.serve("own1", "127.0.0.1")
        share = i.client("ask", rate=200, seconds=10).result()
        part = share["servers"].get("own1", 0) / max(1, sum(share["servers"].values()))
        return (f"{seen['failed']} of {seen['asked']} failed, {len(late)} of them later than 1 s; home after {home:.1f} s; "
                f"share {part:.0%} of 50 %, {share['failed']} failed",
                not late and home <= 5 and part <= 1 and share["failed"] == 0 and "far" in seen["servers"])


@row("B4", "balancing is exact: N held connections, cost differences 0, 1, 50, 60, 99999; over one hop and over two",
     "abs(nA - nB - d) <= 1 for each N >= d, all on A for N <= d")
def exact(scale):
    worst, steps = 0, 0
    for d in (0, 1, 50, 60, 99999):
        with Lab() as lab:
            # The way to b is two hops: its cost is a sum.
            i, m, a, b = lab.network(["i", "m", "a", "b"], [("i", "a", 1), ("i", "m", 1), ("m", "b", d or 1)], ["a", "b"])
            if d == 0:
                i.write("Link", "a", link_spec(i, a, 2))
            else:
                i.write("Link", "a", link_spec(i, a, 1))
            for each in (a, b):
                each.serve()
            i.up(targets=2)
            settle(i, lambda: i.targets()["b"]["pathCost"] - i.targets()["a"]["pathCost"] == d)
            client = i.traffic("hold")
            total = 0
            for count in (1, 1, 8, 40, 1, 9, 1, 39, 100, *([200] * scale(9, 2))):
                total += count
                seen = client.ask(f"open {count}")["open"]
                n_a, n_b = seen.get("a", 0), seen.get("b", 0)
                check(n_a + n_b == total, f"{n_a} + {n_b} of {total} are open")
                worst = max(worst, n_b if total <= d else max(0, abs(n_a - n_b - d) - 1))
                steps += 1
    return f"off by {worst} in {steps} states, up to {total} connections", worst == 0


def link_spec(site, remote, cost):
    return {"endpoints": [{"host": remote.address, "port": 5671}], "remoteSiteID": remote.identity, "cost": cost}


@row("B5", "five ingress sites fill the same two sites at once", "skew <= 5 % of the optimum")
def herd(scale):
    with Lab(loops=1) as lab:
        names = [f"i{number}" for number in range(5)]
        sites = lab.network([*names, "a", "b"], [(i, e, 1) for i in names for e in ("a", "b")], ["a", "b"])
        for each in sites[5:]:
            each.serve()
        for each in sites[:5]:
            each.up(targets=2)
        clients = [each.traffic("hold") for each in sites[:5]]
        count = scale(200, 60)
        for client in clients:
            client.tell(f"open {count} by 10")
        answers = [client.line()["open"] for client in clients]
        n_a, n_b = (sum(answer.get(name, 0) for answer in answers) for name in "ab")
        skew = abs(n_a - n_b) / (n_a + n_b)
        return f"{n_a} and {n_b}: {skew:.1%}", n_a + n_b == 5 * count and skew <= 0.05
