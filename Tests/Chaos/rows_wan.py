"""B16 and the figures over a user-space link: rate, delay, jitter, loss, reordering."""
import time

from lab import SERVER_PORT, Lab
from table import row


def over(lab, settings, **service):
    """An ingress and an egress with such a link between them, and the address of the server without any proxy."""
    i, e = lab.site("i"), lab.site("e")
    wire = lab.wire(i, e, settings)
    for each in (i, e):
        each.boot()
    e.configure(allow=[{"siteID": i.identity}])
    service["ports"] = [{"name": "tcp", "port": 8080, "targetPort": SERVER_PORT}]
    e.write("Service", "backend", service | {"hosts": ["127.0.0.1"]})
    i.write("Service", "backend", service)
    i.write("Link", "e", {"endpoints": [{"host": wire.addresses[e], "port": 5671}], "remoteSiteID": e.identity, "cost": 1})
    return i, e, wire, f"{wire.addresses[e]}:{SERVER_PORT}"


def bulk_share(scale, settings, target, streams=1):
    """What a bulk stream gets through the proxies, of what plain TCP gets on the same link, in turns."""
    with Lab() as lab:
        i, e, _, direct = over(lab, settings)
        e.serve_load()
        i.up(seconds=60)
        return share_in_turns(scale, lambda: i.load("bulk", streams, scale(20, 10), to=direct),
                              lambda: i.load("bulk", streams, scale(20, 10)), target)


def share_in_turns(scale, plain, tieline, target):
    rates = {plain: [], tieline: []}
    for _ in range(scale(3, 1)):
        for way, found in rates.items():
            seen = way()
            found.append(seen["bytes"] * 8 / seen["seconds"] / 1e6)
    best, reached = (sorted(found)[len(found) // 2] for found in rates.values())
    return f"{reached:.1f} of {best:.1f} Mbit/s: {reached / best:.0%}", reached / best >= target


@row("W1", "one bulk stream over 100 Mbit/s and 80 ms", ">= 90 % of plain TCP")
def bulk(scale):
    return bulk_share(scale, "rate 100000000 delay 40000", 0.9)


@row("W2", "the same with 0.1 % loss", ">= 80 % of plain TCP")
def bulk_with_loss(scale):
    return bulk_share(scale, "rate 100000000 delay 40000 loss 1000", 0.8)


def through_transit(scale, far):
    """A site is between both ends; one hop is far, the other one next door."""
    with Lab() as lab:
        i, m, e = lab.network(["i", "m", "e"], [("i", "m", 1), ("m", "e", 1)], ["e"],
                              wires={far: "rate 100000000 delay 40000"})
        here, there = lab.sites[far[0]], lab.sites[far[1]]
        for each in {e, there}:
            each.serve_load()
        i.up(seconds=60)
        direct = f"{lab.wires[0].addresses[there]}:{SERVER_PORT}"
        return share_in_turns(scale, lambda: here.load("bulk", 1, scale(20, 10), to=direct),
                              lambda: i.load("bulk", 1, scale(20, 10)), 0.9)


@row("W6", "one bulk stream over two hops: 100 Mbit/s and 80 ms, and next door; the far one first, and last", ">= 90 % of plain TCP")
def bulk_through_transit(scale):
    seen = [through_transit(scale, far) for far in (("i", "m"), ("m", "e"))]
    return "; ".join(text for text, _ in seen), all(holds for _, holds in seen)


@row("W3", "small requests on 20 connections beside 4 bulk streams, 100 Mbit/s, 80 ms, a queue of 20 ms", "p99 <= 1.5 x RTT (120 ms)")
def beside(scale):
    with Lab() as lab:
        i, e, _, direct = over(lab, "rate 100000000 delay 40000 queue 262144")
        e.serve_load()
        i.up(seconds=60)
        plain = i.load("beside", 20, 4, scale(20, 10), to=direct)
        seen = i.load("beside", 20, 4, scale(20, 10))
        rate = seen["bytes"] * 8 / seen["seconds"] / 1e6
        return (f"p99 {seen['p99'] / 1e3:.0f} ms, p50 {seen['p50'] / 1e3:.0f} ms (plain TCP: {plain['p99'] / 1e3:.0f} and "
                f"{plain['p50'] / 1e3:.0f} ms); bulk {rate:.0f} Mbit/s",
                seen["p99"] <= 120e3 and seen["broken"] == 0)


@row("W4", "1 GiB each way over 300 Mbit/s, 20 ms, jitter 5 ms, 1 % reordered, 0.5 % lost", "byte-exact", is_long=True)
def rough(scale):
    with Lab() as lab:
        i, e, _, _ = over(lab, "rate 300000000 delay 10000 jitter 5000 reorder 10000 loss 5000")
        e.serve()
        i.up(seconds=60)
        programs = [i.traffic("transfer", bytes=scale(1 << 30, 32 << 20), direction=direction) for direction in ("get", "put")]
        results = [program.result(1200) for program in programs]
        rates = [f"{seen['bytes'] * 8 / seen['seconds'] / 1e6:.0f}" for seen in results]
        return f"{' and '.join(rates)} Mbit/s", all(seen["intact"] for seen in results)


@row("W5", "a request on a new connection over 80 ms, without and with `earlyData`", "the first answer within 2.3 and 1.3 round trips")
def early(scale):
    times = []
    for service in {}, {"earlyData": True}:
        with Lab() as lab:
            i, e, _, _ = over(lab, "rate 100000000 delay 40000", **service)
            e.serve_load()
            i.up(seconds=60)
            seen = i.load("connect", 8, scale(20, 5))
            if seen["broken"]:
                return f"{seen['broken']} broken", False
            total, count = (i.metric(f"tieline_time_to_first_byte_seconds_{part}", service="backend") for part in ("sum", "count"))
            times.append(total / count / 0.08)
    return f"{times[0]:.2f} and {times[1]:.2f} round trips", times[0] <= 2.3 and times[1] <= 1.3


@row("B16", "7 % loss and 800 ms round trip, for an hour; `timeouts.connect` 10 s", "availability >= 99 %; 0 restarts")
def satellite(scale):
    with Lab() as lab:
        i, e, _, _ = over(lab, "rate 20000000 delay 400000 jitter 20000 loss 70000", timeouts={"connect": "10s"})
        e.serve()
        i.up(seconds=120)
        flaps = i.metric("tieline_link_flaps_total")
        seen = i.client("ask", rate=5, seconds=scale(3600, 60), timeout=30).result(4000)
        good = 1 - seen["failed"] / seen["asked"]
        return (f"{good:.2%} of {seen['asked']} answered, p50 {seen['p50']:.1f} s, p99 {seen['p99']:.1f} s; link lost "
                f"{i.metric('tieline_link_flaps_total') - flaps:.0f} times",
                good >= 0.99 and i.is_alive and e.is_alive)


@row("B16b", "the link is away for 20 s, and comes back", "answers again <= 12 s after it is back")
def away(scale):
    with Lab() as lab:
        i, e, wire, _ = over(lab, "rate 50000000 delay 20000")
        e.serve()
        i.up(seconds=60)
        wire.set("cut 1")
        time.sleep(scale(20, 8))
        wire.set("cut 0")
        back = time.monotonic()
        while i.client("ask", rate=10, seconds=0.2, timeout=1).result()["failed"] and time.monotonic() < back + 30:
            pass
        took = time.monotonic() - back
        return f"after {took:.1f} s", took <= 12
