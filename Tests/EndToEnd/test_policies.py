"""Policies of a Service: weights, costs, tiers, whose servers are used, who may use them; exact, in gateways and sidecars."""
import contextlib
import json
import time

from cluster import BIN, Failed, check, condition, wait
from network import client_with_sidecar, service
from test_balance import held, offer
from traffic import Hold, Run, expect_undisturbed, grouped


def policy(net, name, balancing=None, **spec):
    """Has the Service at a use sites as told, and waits until its gateways do."""
    net.cluster.patch("tsvc", "a", name, {"spec": {"balancing": balancing, **spec}})
    net.wait_ready("tsvc", "a", name)


def bind_names(net):
    """Site a calls the others by their names."""
    entries = [{"siteID": net.ids[name], "name": name} for name in "bcd"]
    net.cluster.patch("tsite", "a", "a", {"spec": {"sites": entries}})


def test_weights_split_connections_in_gateways_and_sidecars(net):
    address = offer(net, "split", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 5})
    bind_names(net)
    weights = [{"site": "b", "weight": 3}, {"site": net.ids["d"], "weight": 1}]
    costs = [{"site": "b", "cost": 0}, {"site": "d", "cost": 0}]
    policy(net, "split", {"weights": weights, "costs": costs})
    counts = held(net, address, 40)
    check(counts == {**counts, "b": 30, "d": 10}, f"3 to 1 of 40 are 30 and 10, not {counts}")
    net.cluster.apply(client_with_sidecar("a", "split-client", {"split/tcp": 7410}))
    pod = net.cluster.wait_ready("a", "app=split-client", 1)[0]
    with Hold(net.cluster, "127.0.0.1:7410", pod=f"a/{pod['metadata']['name']}") as clients:
        counts = grouped(clients.open(40), "abcd")
        check(counts == {**counts, "b": 30, "d": 10}, f"the same in a sidecar: {counts}")
        policy(net, "split", {"weights": [{"site": "b", "weight": 0}], "costs": costs})
        more = grouped(clients.open(10), "abcd")
        check((more["b"], more["d"]) == (30, 20), f"weight 0 gets nothing, and drops nothing: {more}")
    targets = net.targets("a", "split")
    check((targets["b"]["state"], targets["b"].get("reason")) == ("Excluded", "NoWeight"), f"{targets}")
    print(f"   3:1 of 40 through gateway and sidecar: {counts}; with weight 0 ten more: {more}")
    net.cluster.kubectl("delete", "deployment", "-n", "a", "split-client", "--wait=false")


def test_tiers_come_before_costs(net):
    address = offer(net, "tiers", {"a": "s", "b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 5})
    bind_names(net)
    policy(net, "tiers", {"tiers": [{"sites": ["d"]}, {"sites": ["b", "a"]}]})
    counts = held(net, address, 60)
    check(counts["d"] == 60, f"the first tier takes all: {counts}")
    active = lambda: net.cluster.get("tsvc", "a", "tiers")["status"].get("activeSites")
    wait("status names the sites that take connections", lambda: active() == ["d"], 15)
    net.cluster.kubectl("delete", "tsvc", "-n", "d", "tiers")
    net.wait_targets("a", "tiers", {"a": 1, "b": 1})
    counts = held(net, address, 41)
    check((counts["a"], counts["b"]) == (21, 20), f"in the second tier costs decide: {counts}")
    wait("status follows", lambda: active() and set(active()) <= {"a", "b"}, 15)


def test_a_site_that_comes_back_starts_slowly(net):
    address = offer(net, "slow", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1})
    bind_names(net)
    policy(net, "slow", {"slowStart": "20s"})
    wait("both have their whole weight", lambda: held(net, address, 20)["b"] == 10, 40, every=1)
    # Whoever comes within `slowStart` of the first targets has its whole weight at once.
    known = time.monotonic()
    wait("the first targets are known for longer than that", lambda: time.monotonic() - known > 21, 30, every=0.5)
    net.cluster.kubectl("delete", "tsvc", "-n", "b", "slow")
    net.wait_targets("a", "slow", {"d": 1})
    began = time.monotonic()
    net.cluster.apply(service("b", "slow", selector="s", listen=False))
    net.wait_targets("a", "slow", {"b": 1, "d": 1})
    counts = held(net, address, 20)
    told = {one["site"]["name"]: one for one in explained(net, "slow")["candidates"]}
    weight = told["b"].get("weightThousandths", 1000) / 1000
    print(f"   of 20 just after it came back: {counts}; its weight by then: {weight}")
    check(weight < 1 and told["d"].get("weightThousandths") is None, f"explain says so: {told}")
    # It begins with a tenth. How much it has by now is for the machine to say; it had no more when the 20 came.
    check(counts["b"] <= 20 * weight / (1 + weight) + 1, f"b gets no more than its share: {counts}")
    wait("it gets its half in the end", lambda: held(net, address, 20)["b"] == 10, 40, every=1)
    check(time.monotonic() - began > 15, "not before its time")


def test_a_site_trusts_the_servers_of_some(net):
    """`imports.trusted` for all Services of a site that do not say `fromSites`; in gateways and sidecars."""
    address = offer(net, "trust", {"b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 1})
    bind_names(net)
    with net.cluster.applied(client_with_sidecar("a", "trusting", {"trust/tcp": 7413})):
        pod = net.cluster.wait_ready("a", "app=trusting", 1)[0]["metadata"]["name"]

        def seen():
            with Hold(net.cluster, "127.0.0.1:7413", pod=f"a/{pod}") as clients:
                return [{name for name, count in counts.items() if count} for counts in (held(net, address, 20), grouped(clients.open(20), "abcd"))]
        check(seen() == [{"b", "d"}] * 2, "both at first")
        net.cluster.patch("tsite", "a", "a", {"spec": {"imports": {"trusted": ["b"]}}})
        try:
            wait("b alone", lambda: seen() == [{"b"}] * 2)
            policy(net, "trust", fromSites=["d"])
            wait("what the Service says goes first", lambda: seen() == [{"d"}] * 2)
            net.cluster.patch("tsite", "a", "a", {"spec": {"imports": {"trusted": ["nobody"]}}})
            told = lambda: next((one["message"] for one in net.cluster.get("tsite", "a", "a")["status"]["conditions"] if one["reason"] == "UnknownSite"), "")
            wait("a name that nobody binds is told", lambda: "nobody" in told())
        finally:
            net.cluster.patch("tsite", "a", "a", {"spec": {"imports": None}})
        policy(net, "trust", fromSites=None)
        wait("both again", lambda: seen() == [{"b", "d"}] * 2)


def test_sites_that_are_not_named_are_not_used(net):
    address = offer(net, "from", {"a": "s", "b": "s"}, {("a", "b"): 1})
    bind_names(net)
    policy(net, "from", fromSites=["b"])
    counts = held(net, address, 20)
    check(counts["b"] == 20, f"only b is used: {counts}")
    net.cluster.patch("tsvc", "a", "from", {"spec": {"fromSites": ["nowhere"]}})
    told = wait("a name that nobody binds is told", lambda: next(
        (one for one in net.cluster.get("tsvc", "a", "from")["status"]["conditions"]
         if one["type"] == "Accepted" and one["reason"] == "UnknownSite"), None))
    check("spec.sites" in told["message"], told["message"])
    net.cluster.patch("tsvc", "a", "from", {"spec": {"balancing": {"minReadyEndpoints": 2}, "fromSites": None}})

    def excluded():
        return {one["state"] for one in net.targets("a", "from").values()} == {"Excluded"}
    wait("too few servers at both sites", excluded)
    check(condition(net.cluster.get("tsvc", "a", "from"), "HasTargets") == "False", "nothing is left to use")


def ask(net, command, *arguments, pod=None):
    """Asks a proxy directly, by default the gateway of site a; test_pages.py asks through the API server."""
    address = (pod or net.gateways("a")[0])["status"]["podIP"]
    process = net.cluster.exec([str(BIN / "tieline"), command, *arguments, "--proxy", f"{address}:5673"])
    output, errors = process.communicate()
    check(process.returncode == 0, f"tieline {command}: {errors}")
    return output


def explain(net, name, *arguments, pod=None):
    return ask(net, "explain", name, *arguments, pod=pod)


def explained(net, name, *arguments, pod=None):
    return json.loads(explain(net, name, "-o", "json", *arguments, pod=pod))["items"][0]


def test_explain_says_where_the_next_connection_goes(net):
    address = offer(net, "why", {"a": "s", "b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 5})
    bind_names(net)
    policy(net, "why", {"weights": [{"site": "b", "weight": 3}]})
    with Hold(net.cluster, address) as clients:
        before = grouped(clients.report()["open"], "abcd")
        for step in range(12):
            told = explained(net, "why")
            first = told["candidates"][0]
            after = grouped(clients.open(1), "abcd")
            went = next(name for name in "abd" if after[name] > before[name])
            check(first["site"]["name"] == went, f"step {step}: {first} was to be next, {went} was")
            before = after
        told = explained(net, "why", "--decisions", "3")
        newest = told["decisions"][0]
        check(len(told["decisions"]) == 3 and newest["site"]["name"] == went, f"the newest decision: {newest}")
        check(len(newest["seen"]) == 3, f"it saw three sites: {newest}")
        shown = explain(net, "why")
        print("   " + shown.replace("\n", "\n   "))
        check("The next connection goes to" in shown, shown)
    expect_refusal(lambda: explain(net, "nowhere"), "knows no service")


def test_a_sidecar_says_where_its_next_connection_goes(net):
    offer(net, "beside", {"a": "s", "b": "s", "d": "s"}, {("a", "b"): 1, ("a", "d"): 5})
    with net.cluster.applied(client_with_sidecar("a", "asked", {"beside/tcp": 7412})):
        pod = net.cluster.wait_ready("a", "app=asked", 1)[0]
        with Hold(net.cluster, "127.0.0.1:7412", pod=f"a/{pod['metadata']['name']}") as clients:
            before = grouped(clients.open(120), "abcd")
            for step in range(6):
                first = explained(net, "beside", pod=pod)["candidates"][0]
                after = grouped(clients.open(1), "abcd")
                went = next(name for name in "abd" if after[name] > before[name])
                check(first["site"]["name"] == went, f"step {step}: {first} was to be next, {went} was")
                before = after
            told = explained(net, "beside", "--decisions", "100", pod=pod)
            check({one["site"]["name"]: int(one["own"]) for one in told["candidates"]} == {name: before[name] for name in "abd"}, f"{told}, {before}")
            times = [one["time"] for one in told["decisions"]]
            check(len(times) == 100 and times == sorted(times, reverse=True), f"its last 100 picks, the newest first: {times}")
            check(all(len(one["seen"]) == 3 for one in told["decisions"]), "each of three sites")
            check(told["decisions"][0]["site"]["name"] == went, f"{told['decisions'][0]}")
        trace = json.loads(ask(net, "trace", "beside", "--site", "b", "-o", "json", pod=pod))
        check([hop["site"]["name"] for hop in trace["hops"]] == ["a", "b"] and trace["stream"]["reason"] == "Opened", f"over its gateway to b: {trace}")
        expect_refusal(lambda: ask(net, "routes", pod=pod), "ask a gateway")
        expect_refusal(lambda: explain(net, "besides", pod=pod), "it knows beside/tcp")


def expect_refusal(asking, words):
    try:
        answer = asking()
    except Failed as error:
        check(words in str(error), str(error))
    else:
        raise Failed(f"this was answered: {answer}")


def test_the_network_is_shown_and_a_way_is_measured(net):
    offer(net, "far", {"c": "s"}, {("a", "b"): 10, ("b", "c"): 10})
    wait("the way over b", lambda: net.targets("a", "far")["c"]["pathCost"] == 20)
    drawn = json.loads(ask(net, "topology", "-o", "json"))
    known = {gateway["site"]["name"]: gateway for gateway in drawn["gateways"]}
    check(known["c"]["routes"][0]["cost"] == 20 and len(known["c"]["routes"][0]["hops"]) == 2, f"{known['c']}")
    # A gateway that has ended is still spoken of, by edges that are down.
    up = [edge for edge in drawn["edges"] if edge["from"].startswith(net.ids["a"]) and edge["to"].startswith(net.ids["b"]) and edge["isUp"]]
    check(up and all(edge["cost"] == 10 for edge in up), f"the Link from a to b: {drawn['edges']}")
    shown = ask(net, "topology") + ask(net, "routes", "--to", "c")
    print("   " + shown.replace("\n", "\n   "))
    check("flowchart LR" in ask(net, "topology", "-o", "mermaid") and "graph tieline" in ask(net, "topology", "-o", "dot"), "")
    trace = json.loads(ask(net, "trace", "far", "-o", "json"))
    check([hop["site"]["name"] for hop in trace["hops"]] == ["b", "c"], f"b and c are on the way: {trace}")
    check(all(hop["answer"]["isGood"] for hop in trace["hops"]) and trace["stream"]["reason"] == "Opened", f"{trace}")
    print("   " + ask(net, "trace", "far", "--site", "c").replace("\n", "\n   "))
    check(net.targets("a", "far")["c"]["connections"] == 0, "a trace is no connection of a client")


def test_who_may_use_a_service(net):
    address = offer(net, "mine", {"b": "s"}, {("a", "b"): 1})
    with Hold(net.cluster, address) as clients:
        clients.open(20)
        began = time.monotonic()
        net.cluster.patch("tsvc", "b", "mine", {"spec": {"allowedSites": []}})

        def ended():
            report = clients.report()
            return not sum(report["open"].values()) and report["ended"]
        fates = wait("connections that are not allowed any more end", ended)
        took = clients.last["lastEnd"] - began
        check(took < 5, f"that took {took:.1f} s")
        check(set(fates) == {"reset"}, f"they are reset: {fates}")
        # A client has to ask before this site can know.
        clients.attempt(1)
        told = wait("the refused side says what to add", lambda: next(
            (one for one in net.cluster.get("tsvc", "a", "mine")["status"]["conditions"]
             if one["type"] == "HasTargets" and one["reason"] == "NotAllowed"), None))
        check(net.ids["a"] in told["message"] and "allowedSites" in told["message"], told["message"])
    net.cluster.patch("tsvc", "b", "mine", {"spec": {"allowedSites": ["a"]}})
    wait("site a is let in again", lambda: sum(held_or_none(net, address).values()), 30)
    net.cluster.patch("tsvc", "b", "mine", {"spec": {"allowedSites": None}})
    net.cluster.patch("tsite", "b", "b", {"spec": {"exports": {"default": "Deny"}}})
    try:
        wait("a site that exports nothing lets nobody in", lambda: not sum(held_or_none(net, address).values()))
    finally:
        net.cluster.patch("tsite", "b", "b", {"spec": {"exports": None}})
    wait("and everybody without it", lambda: sum(held_or_none(net, address).values()), 30)
    print(f"   20 connections were reset {took:.1f} s after kubectl patch")


def held_or_none(net, address):
    with Hold(net.cluster, address, timeout=2) as clients:
        return clients.attempt(1)


def test_one_service_takes_another_way(net):
    servers = {"b": "s", "d": "s"}
    address = offer(net, "detour", servers, {("a", "b"): 1, ("a", "d"): 5})
    other = offer(net, "direct", servers)
    with contextlib.ExitStack() as stack:
        stack.enter_context(net.cluster.applied(client_with_sidecar("a", "detoured", {"detour/tcp": 7411})))
        pod = net.cluster.wait_ready("a", "app=detoured", 1)[0]["metadata"]["name"]
        ways = {"gateway": stack.enter_context(Hold(net.cluster, address)),
                "sidecar": stack.enter_context(Hold(net.cluster, "127.0.0.1:7411", pod=f"a/{pod}"))}
        flow = stack.enter_context(Run(net.cluster, "flow", address, count=20, seconds=60))
        check(flow.line()["flowing"] == 20, "20 connections flow")
        for cost, expected in ((9999, "d"), (None, "b"), (9999, "d")):
            costs = [{"address": "detour", "cost": cost}] if cost else None
            net.cluster.patch("tlink", "a", "b", {"spec": {"serviceCosts": costs}})
            changed = time.monotonic()
            for label, clients in ways.items():
                steered(clients, expected)
                took = time.monotonic() - changed
                print(f"   {label}: a cost of {cost} for one service steered {took * 1000:.0f} ms after the patch")
                check(took < 1, f"{label}: {took:.3f} s")
        wait("the applied cost speaks of it", lambda: net.cluster.get("tlink", "a", "b")["status"].get("appliedCost"))
        counts = held(net, other, 4)
        check(counts["b"] == 4, f"another service goes as before: {counts}")
        candidates = {one["site"]["name"]: one for one in explained(net, "detour")["candidates"]}
        check(candidates["b"]["pathCost"] == 9999, f"explain says what holds for the service: {candidates}")
        check({one["pathCost"] for one in explained(net, "direct")["candidates"]} == {1, 5}, "and for others")
        expect_undisturbed(flow.result(), 20)
    net.cluster.patch("tlink", "a", "b", {"spec": {"serviceCosts": None}})


def steered(clients, expected):
    """Returns once a new connection goes to the expected site."""
    began = time.monotonic()
    while time.monotonic() - began < 5:
        counts = grouped(clients.open(1), "bd")
        clients.ask("close all")
        if counts[expected] == 1:
            return
    raise Failed(f"still elsewhere after 5 s: {counts}")
