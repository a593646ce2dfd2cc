"""C1: costs that follow the distance (`autoCost`), over a user-space link whose delay changes."""
import time

from lab import LINK_PORT, PORT, SERVER_PORT, Lab, check, wait
from table import row

LEAST, MOST, OTHER = 2, 60, 45

# What the way becomes (delay in each direction, in us), what the Link may cost then, and who serves: `near` is at its other end,
# `far` behind a Link that costs OTHER. A change that falls into the end of a while can be followed in two steps, of which the
# second one is not taken when the first came near enough.
CHANGES = [
    (10_000, range(14, 36), "near"),
    (60_000, range(MOST, MOST + 1), "far"),
    (3_000, range(4, 20), "near"),
    (250, range(LEAST, LEAST + 1), "near"),
]


class Costs:
    """What the status of a Link says that it costs, one after the other."""

    def __init__(self, site, link):
        self.site, self.link, self.seen = site, link, []

    def look(self):
        cost = self.site.status("Link", self.link).get("appliedCost")
        if self.seen[-1:] != [cost]:
            self.seen.append(cost)
        return cost

    def reach(self, costs):
        """Until it is one of these; after how long, and over how many steps."""
        began, before = time.monotonic(), len(self.seen)
        wait(f"a cost in {costs}", lambda: self.look() in costs or None, 70)
        return time.monotonic() - began, len(self.seen) - before

    def watch(self, seconds):
        """How often it changes."""
        before, end = len(self.seen), time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(0.05)
        return len(self.seen) - before


def sites(lab, settings):
    """An ingress, `near` over a user-space link with a measured cost, and `far` with a fixed one."""
    i, near, far = (lab.site(name) for name in ("i", "near", "far"))
    wire = lab.wire(i, near, settings)
    for each in (i, near, far):
        each.boot()
    service = {"ports": [{"name": "tcp", "port": PORT, "targetPort": SERVER_PORT}]}
    i.write("Service", "backend", service)
    for each, host, cost in ((near, wire.addresses[near], {"autoCost": {"fromRoundTripTime": True, "min": LEAST, "max": MOST}}),
                             (far, far.address, {"cost": OTHER})):
        each.configure(allow=[{"siteID": i.identity}])
        each.write("Service", "backend", service | {"hosts": ["127.0.0.1"]})
        each.serve()
        i.write("Link", each.name, {"endpoints": [{"host": host, "port": LINK_PORT}], "remoteSiteID": each.identity, **cost})
    i.up(targets=2, seconds=60)
    return i, wire


def served(i):
    """Who serves new connections, of which some are open at a time."""
    seen = i.client("ask", rate=20, seconds=1).result()
    check(not seen["failed"], f"{seen['failed']} of {seen['asked']} failed")
    return set(seen["servers"])


@row("C1", "`autoCost` from 2 to 60, while the round trip of a link goes from 6 ms to 20, to 120, back to 6 and to 0.5; at 20 it swings by a tenth",
     "followed <= 60 s, in steps; new connections go where it is cheaper; open ones stay; 0 changes while it swings", is_long=True)
def measured_costs(scale):
    with Lab() as lab:
        i, wire = sites(lab, "delay 3000")
        costs = Costs(i, "near")
        costs.reach(range(7, 13))
        costs.seen = costs.seen[-1:]  # before the first while has ended it is what is configured
        check(served(i) == {"near"}, "the near server is the cheaper one")
        flow = i.traffic("flow", count=5, seconds=10_000, pause=50)
        flow.line()
        took, wrong, swings = [], [], None
        for delay, wanted, server in CHANGES:
            wire.set(f"delay {delay}")
            seconds, steps = costs.reach(wanted)
            took.append(seconds)
            servers = served(i)
            target = i.targets()["near"]["pathCost"]
            if steps > 2 or servers != {server} or target not in wanted:
                wrong.append(f"{2 * delay} us: {steps} steps, {servers}, path cost {target}")
            if swings is None:
                wire.set("delay 9000 jitter 2000")
                swings = costs.watch(scale(90, 45))
                wire.set("jitter 0")
        talked = flow.stop()
        figure = (f"{' > '.join(map(str, costs.seen))}, each after {max(took):.0f} s at most; {swings} changes while it swung; "
                  f"{talked['alive']} of 5 open ones stayed{''.join(f'; {one}' for one in wrong)}")
        return figure, (max(took) <= 60 and not wrong and swings == 0 and (talked["alive"], talked["corrupted"]) == (5, 0)
                        and all(cost and LEAST <= cost <= MOST for cost in costs.seen))
