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


def test_a_thousand_connections_leave_nothing_behind(net):
    address = offer(net, "leaks", {"c": "s"}, {("a", "b"): 1, ("b", "c"): 1})
    pods = {site: net.gateways(site, 1)[0] for site in "abc"}  # asked for once
    pids = {site: net.cluster.pid(pods[site]) for site in "abc"}
    ask = ["curl", "-sf", "-w", "END\n"] + [f"http://{pods[site]['status']['podIP']}:5673/metrics" for site in "abc"]

    def streams():
        """Of each gateway, all asked by one process."""
        answers = net.cluster.exec(ask).communicate()[0].split("END\n")[:3]
        found = [[float(line.split()[-1]) for line in text.splitlines() if line.startswith("tieline_streams_active")]
                 for text in answers]
        check(len(found) == 3 and all(found), f"all three have the metric: {answers}")
        return {site: sum(series) for site, series in zip("abc", found)}

    def descriptors():
        return {site: len(os.listdir(f"/proc/{pids[site]}/fd")) for site in "abc"}

    def gone():
        now = descriptors()
        return sum(streams().values()) == 0 and all(now[site] <= before[site] for site in now) and now

    with Hold(net.cluster, address) as clients:
        clients.open(10, by=10)
        clients.ask("close all")
        wait("no stream is left", lambda: sum(streams().values()) == 0, 8)
        before = descriptors()
        clients.open(1000, by=50)
        during = wait("each of the three carries 1,000", lambda: min((now := streams()).values()) >= 1000 and now)
        check(not clients.ask("close all")["open"], "all can be closed")
        # The client has seen the servers' ends. What waited for something would wait for 10 s, the grace of a link, or longer.
        after = wait("streams and descriptors are gone at once", gone, 8)
    print(f"   1,000 connections: streams while open {during}, then 0; descriptors before {before}, after {after}")
