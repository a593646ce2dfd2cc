"""Costs along paths of several links."""
from cluster import Failed, check, wait
from test_balance import held, offer
from traffic import Hold, grouped


def test_the_cost_of_several_hops_is_their_sum(net):
    address = offer(net, "sum", {"a": "s", "c": "s"}, {("a", "b"): 20, ("b", "c"): 30})
    # What the second link costs is told by b.
    wait("20 + 30 = 50", lambda: net.targets("a", "sum")["c"]["pathCost"] == 50)
    counts = held(net, address, 60)
    print(f"   local and 20 + 30 away, 60 held: {counts}")
    check(counts == {"a": 55, "b": 0, "c": 5, "d": 0}, f"expected 55 and 5: {counts}")


def test_a_cheaper_path_of_two_hops_is_preferred_to_a_dear_link(net):
    address = offer(net, "paths", {"c": "s"}, {("a", "b"): 10, ("b", "c"): 10})
    try:
        net.link("a", "c", cost=100)
        wait("the two-hop path", lambda: net.targets("a", "paths")["c"]["pathCost"] == 20)
        check(net.targets("a", "paths")["c"]["via"] == "link/b", f"{net.targets('a', 'paths')}")
        crossing = lambda name: net.cluster.get("tlink", "a", name)["status"]["connections"]["active"]
        with Hold(net.cluster, address) as clients:
            clients.open(20)
            try:
                wait("20 connections cross link/b", lambda: crossing("b") == 20, 15)
            except Failed:
                print(f"   crossing b {crossing('b')}, c {crossing('c')}, d {crossing('d')}; by the metrics "
                      f"{net.metric('a', 'tieline_link_connections_active')}; {net.targets('a', 'paths')}")
                raise
            check(crossing("c") == 0, "the direct link must carry nothing")
            net.set_cost("a", "c", 5)
            wait("the direct path", lambda: net.targets("a", "paths")["c"]["pathCost"] == 5)
            counts = grouped(clients.open(20), "abcd")
            check(counts["c"] == 40, f"no connection is lost: {counts}")
            wait("all 40 cross link/c, those too that began over link/b", lambda: (crossing("b"), crossing("c")) == (0, 40))
            check(clients.report()["ended"] == {}, f"none ends for it: {clients.report()}")
    finally:
        net.cluster.kubectl("delete", "tlink", "-n", "a", "c", "--ignore-not-found")
