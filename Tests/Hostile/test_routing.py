"""D2, D3, D7, D8: what one member site, or who recorded it, can say about routes and streams."""
import os
import time

from place import Bounds, Place, check, unharmed, wait
from wire import LSA, REFUSED, Identity, Lane, frame


def cpu(site):
    """Seconds of CPU that a proxy has used."""
    with open(f"/proc/{site.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_d2_a_dead_gateway_is_said_to_be_near(scale):
    m = Identity()
    with Place([m.site]) as place:
        v, w = place.v, place.w
        w.write("Link", "v", f"{{endpoints: [{{host: {v.address}, port: 5671}}], remoteSiteID: {v.identity()}, cost: 10}}")
        w.write("Site", "w", f"{{linkAccess: {{type: External, hosts: [{w.address}]}}, allow: [{{siteID: {m.site}}}]}}")
        lane = Lane(m, place.link)
        check(lane.join(), f"the hostile site was not let in: {lane.closed}")
        dead = lane.neighbor
        check(lane.wait(lambda: lane.own in lane.last[dead]), "V's advertisement names M")
        old, own = lane.last[dead], lane.own
        # V dies while it is linked with M, and comes back without it, and without a record of what it was: with one it would say that
        # the dead instance has ended, and nobody would believe this.
        v.process.kill()
        v.process.wait()
        records = list(v.path.rglob(".instances.json"))
        check(records, "V keeps a record of its instances")
        for record in records:
            record.unlink()
        v.write("Site", "v", f"{{linkAccess: {{type: External, hosts: [{v.address}]}}, allow: [{{siteID: {w.identity()}}}]}}")
        v.start()
        wait("W's clients reach V again", place.reaches)
        place.measure(2)
        lane = wait("W lets M in", lambda: joined_with(m, (w.address, 5671), own))

        def attack(_):
            lane.send(frame(LSA, old))
            lane.send(frame(LSA, m.lsa(own, 50, [(lane.neighbor, m.site, "hostile", 1), (dead, m.site, "hostile", 1)])))
            time.sleep(10 * scale + 6)

        # The first clients that are sent to M wait until it has been silent for some round trips.
        began = time.monotonic()
        unharmed(place, attack, rounds=1, grace=2)
        slowest = place.slowest(began)
        print(f"   M was asked {lane.count(16)} times, the slowest client waited {slowest:.2f} s")
        check(lane.count(16) > 0, "nobody was sent to M: the test shows nothing")
        # A service waits 3.5 s for its servers; a way that never led to an answer gets 0.4 s.
        check(slowest < 1.5, f"a client waited {slowest:.2f} s")
        lane.close()


def joined_with(identity, address, proxy):
    try:
        lane = Lane(identity, address, proxy=proxy)
        return lane if lane.wait(lambda: lane.neighbor is not None, 2) else None
    except OSError:
        return None


def services(origin, fragment, changed=0):
    """512 services of long names, as nobody here uses."""
    return [(f"stranger-{origin:02}-{fragment:02}-{number:03}-{'x' * 24}/http", 1 + changed) for number in range(512)]


def test_d3_services_that_nobody_uses(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = Lane(m, place.link)
        check(lane.join(), f"the hostile site was not let in: {lane.closed}")
        count = int(64 * scale)

        def attack(round):
            for origin in range(4):
                name = lane.own if origin == 0 else m.proxy(1000 + origin)
                for fragment in range(count):
                    edges = [(lane.neighbor, m.site, "hostile", 1)] if fragment == 0 and origin == 0 else []
                    lane.send(frame(LSA, m.lsa(name, 100 + 1000 * round, edges, services(origin, fragment, round), fragment, count)))
            for change in range(int(10 * scale)):
                time.sleep(0.3)
                lane.send(frame(LSA, m.lsa(lane.own, 1000 * (round + 1) + change, [], services(0, 1, change), 1, count)))

        unharmed(place, attack)
        check(place.v.metric("tieline_neighbor_usage", resource="services") > 0, "the services do not show in the metrics")
        lane.close()


def test_d7_advertisements_without_pace(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = Lane(m, place.link)
        check(lane.join(), f"the hostile site was not let in: {lane.closed}")
        edges = [(lane.neighbor, m.site, "hostile", 1)]
        seconds = 4 * scale
        count = int(500 * seconds)
        frames = [frame(LSA, m.lsa(lane.own, 10 + n, edges, [("stranger/http", 1 + n)])) for n in range(count * Bounds.most)]
        quiet, began = (cpu(place.v), cpu(place.w)), time.monotonic()
        place.measure(seconds)
        idle = [(after - first) / (time.monotonic() - began) for after, first in zip((cpu(place.v), cpu(place.w)), quiet)]
        busy = []

        def attack(round):
            used, began = (cpu(place.v), cpu(place.w)), time.monotonic()
            for number, data in enumerate(frames[round * count:(round + 1) * count]):
                lane.send(data)
                time.sleep(max(0.0, began + number / 500 - time.monotonic()))
            taken = time.monotonic() - began
            busy.append([(after - first) / taken for after, first in zip((cpu(place.v), cpu(place.w)), used)])

        unharmed(place, attack)
        busy = [sum(each) / len(busy) for each in zip(*busy)]
        print("   of a core: " + ", ".join(f"{name} {a:.2f} -> {b:.2f}" for name, a, b in zip("VW", idle, busy)))
        check(all(b - a < 0.25 for a, b in zip(idle, busy)), "advertisements cost more than a quarter of a core")
        lane.close()


def test_d8_streams_in_ever_new_names(scale):
    m = Identity()
    with Place([m.site]) as place:
        lane = Lane(m, place.link)
        check(lane.join(), f"the hostile site was not let in: {lane.closed}")
        route, count = [lane.own, lane.neighbor], int(16384 * scale)

        def attack(round):
            before = lane.count(REFUSED)
            # The highest number makes the largest window.
            for first in range(0, count, 64):
                lane.send(b"".join(
                    lane.open_frame(65535, "stranger/http", route=route, label=first + n, ingress=m.proxy()) for n in range(64)))
            check(lane.wait(lambda: lane.count(REFUSED) - before >= count - 64, 20),
                  f"{lane.count(REFUSED) - before} of {count} were answered")

        unharmed(place, attack)
        check(place.reaches(), "V serves")
        lane.close()
