"""Bytes: all of them, in order, both ways, through two and three sites; and nothing left behind."""
import os

from cluster import check, wait
from test_balance import offer
from traffic import Hold, Run

GIB = 1 << 30


def move(net, label, address):
    for direction in ("get", "put"):
        with Run(net.cluster, "transfer", address, bytes=GIB, direction=direction) as transfer:
            result = transfer.result(timeout=300)
        print(f"   {label}, {direction}: 1 GiB in {result['seconds']:.1f} s, intact: {result['intact']}")
        check(result["intact"] and result["bytes"] == GIB, f"{result}")


def test_a_gibibyte_each_way_through_two_sites(net):
    move(net, "two sites", offer(net, "bulk2", {"b": "s"}, {("a", "b"): 1}))


def test_a_gibibyte_each_way_through_three_sites(net):
    move(net, "three sites", offer(net, "bulk3", {"c": "s"}, {("a", "b"): 1, ("b", "c"): 1}))


def descriptors(net, where):
    pid = net.cluster.pid(net.gateways(where, 1)[0])
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_thousand_connections_leave_nothing_behind(net):
    address = offer(net, "leaks", {"c": "s"}, {("a", "b"): 1, ("b", "c"): 1})
    with Hold(net.cluster, address) as clients:
        clients.open(10, by=10)
        clients.ask("close all")
        streams = lambda: {site: net.metric(site, "tieline_streams_active") for site in "abc"}
        wait("no stream is left", lambda: sum(streams().values()) == 0, 2)
        before = {site: descriptors(net, site) for site in "abc"}
        check(sum(clients.open(1000, by=50).values()) == 1000, "1,000 open")
        during = streams()
        clients.ask("close all")
        wait("streams and descriptors are gone within 2 s", lambda: sum(streams().values()) == 0 and all(
            descriptors(net, site) <= before[site] + 2 for site in "abc"), 2)
    print(f"   1,000 connections: streams while open {during}, then 0; descriptors before {before}, "
          f"after { {site: descriptors(net, site) for site in 'abc'} }")
