"""How many of so many connections each site gets under a policy: one table for gateways, sidecars and plain sites.

Site `a`, where the clients are, has two servers; `b`, at a cost of 1, and `d`, at a cost of 5, have one each. The numbers are chosen so that
no tie is left: cost + connections / weight ends equal at all sites that get any.
"""
import dataclasses

SERVERS = {"a": 2, "b": 1, "d": 1}
LINK_COSTS = {"b": 1, "d": 5}


@dataclasses.dataclass
class Share:
    name: str
    counts: dict  # by site
    balancing: dict = dataclasses.field(default_factory=dict)
    service_cost: int | None = None  # what the Link to b costs for this service
    from_sites: list | None = None

    @property
    def spec(self):
        """What the policy adds to the Service of site a."""
        sites = {"fromSites": self.from_sites} if self.from_sites else {}
        return ({"balancing": self.balancing} if self.balancing else {}) | sites

    @property
    def path_costs(self):
        return {"a": 0, **LINK_COSTS} | ({"b": self.service_cost} if self.service_cost else {})


def counts(a=0, b=0, d=0):
    return {"a": a, "b": b, "d": d}


def weights(**values):
    return [{"site": site, "weight": weight} for site, weight in values.items()]


def costs(**values):
    return [{"site": site, "cost": cost} for site, cost in values.items()]


def tiers(*names):
    return [{"sites": list(sites)} for sites in names]


SHARES = [
    Share("endpoints", counts(28, 13, 9)),
    Share("by-site", counts(20, 19, 15), {"weightBy": "Site"}),
    Share("weight", counts(20, 27, 5), {"weights": weights(b=3)}),
    Share("three-to-one", counts(0, 30, 10), {"weights": weights(a=0, b=3, d=1), "costs": costs(b=0, d=0)}),
    Share("costs", counts(30, 5, 15), {"costs": costs(b=10, d=0)}),
    Share("first-tier", counts(0, 0, 30), {"tiers": tiers("d", "ba")}),
    Share("tier-of-two", counts(0, 22, 18), {"tiers": tiers("bd")}),
    Share("tier-weights", counts(0, 36, 14), {"tiers": tiers("bd", "a"), "weights": weights(b=2)}),
    Share("service-cost", counts(32, 5, 11), service_cost=11),
    Share("service-cost-tier", counts(0, 33, 17), {"tiers": tiers("bd"), "weights": weights(b=3)}, 11),
    Share("service-cost-replaced", counts(30, 12, 10), {"costs": costs(b=3)}, 11),
    Share("not-here", counts(0, 22, 18), {"weights": weights(a=0)}),
    Share("from", counts(0, 20, 0), from_sites=["b"]),
    Share("strong", counts(20, 0, 0), {"minReadyEndpoints": 2}),
]


def told(shares, seen):
    """Compares what was counted with the table, row by row; the rows that differ."""
    wrong = []
    for share in shares:
        found = counts(**seen[share.name])
        mark = "" if found == share.counts else f" instead of {share.counts}"
        print(f"   {share.name}: {found}{mark}")
        if mark:
            wrong.append(f"{share.name}: {found}{mark}")
    return wrong
