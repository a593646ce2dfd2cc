"""Who may use what: sites, services and ways to them, as a matrix; and what a site keeps that is cut off. Plain sites on loopback."""
import contextlib
import socket
import threading
import time

from cluster import BIN, check, wait
from network import client_with_sidecar, server, service
from plain_sites import PlainSites
from traffic import Hold

PREFIX = "127.82.0"
SERVER = f"{PREFIX}.9"


@contextlib.contextmanager
def echo(port):
    """A server that sends back what it gets."""
    listener = socket.create_server((SERVER, port))

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(100):
                connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def connect(sites, where, port):
    """A connection through a site's proxy that has got an answer, or None."""
    connection = None
    try:
        connection = socket.create_connection((sites.address(where), port), timeout=3)
        check_answers(connection)
        return connection
    except OSError:
        if connection:
            connection.close()
        return None


def check_answers(connection):
    connection.sendall(b"x")
    if connection.recv(1) != b"x":
        raise ConnectionResetError("no answer")


def lasts(connection):
    try:
        check_answers(connection)
        return True
    except OSError:
        return False


def describe(sites, name, spec, links=()):
    """The Site of `name`, with these lines of spec, and its Links: {site: cost}."""
    address = sites.address(name)
    sites.write(name, "site", f"kind: Site\nmetadata: {{name: {name}}}\nspec:\n  linkAccess: {{type: External, hosts: [{address}]}}\n{spec}")
    for far, cost in dict(links).items():
        sites.write(name, f"link-{far}", f"kind: Link\nmetadata: {{name: {far}}}\nspec:\n  cost: {cost}\n"
                    f"  endpoints: [{{host: {sites.address(far)}, port: 5671}}]\n  remoteSiteID: {siteid(sites, far)}\n")


def siteid(sites, name):
    return sites.status(name, "site", name)["siteID"]


def allow(sites, *names):
    entries = ", ".join(f"{{siteID: {siteid(sites, name)}, name: {name}}}" for name in names)
    return f"  allow: [{entries}]\n"


def condition(sites, where, kind, name, type):
    return next((one for one in sites.status(where, kind, name).get("conditions", []) if one["type"] == type), {})


def test_rights_of_sites_to_services_over_all_ways(_):
    """near - middle - far, each service with servers at far alone: near comes over middle, middle directly, far by itself."""
    services = {  # its spec at far; who may use it where `exports` says nothing, and where it says Deny
        "open": ("", {"near", "middle", "far"}, {"far"}),
        "none": ("  allowedSites: []\n", {"far"}, {"far"}),
        "next": ("  allowedSites: [middle]\n", {"middle", "far"}, {"middle", "far"}),
        "over": ("  allowedSites: [near]\n", {"near", "far"}, {"near", "far"}),
        "both": ("  allowedSites: [near, middle]\n", {"near", "middle", "far"}, {"near", "middle", "far"}),
    }
    with PlainSites(PREFIX, "near", "middle", "far") as sites, echo(7000):
        names = f"  sites: [{{siteID: {siteid(sites, 'near')}, name: near}}]\n"
        ports = {name: 7100 + index for index, name in enumerate(services)}
        for name, (spec, _, _) in services.items():
            for where in sites.names:
                server = f"  hosts: [{SERVER}]\n{spec}" if where == "far" else ""
                target = ", targetPort: 7000" if where == "far" else ""
                sites.write(where, f"service-{name}", f"kind: Service\nmetadata: {{name: {name}}}\nspec:\n"
                            f"  ports: [{{name: tcp, port: {ports[name]}{target}}}]\n  listen: {{enabled: true}}\n{server}")
        for column, exports in ((1, ""), (2, "  exports: {default: Deny}\n")):
            describe(sites, "far", allow(sites, "middle") + names + exports)

            def seen():
                found = {}
                for name in services:
                    for where in sites.names:
                        connection = connect(sites, where, ports[name])
                        if connection:
                            connection.close()
                            found.setdefault(name, set()).add(where)
                return found

            wanted = {name: row[column] for name, row in services.items()}
            wait(f"the rights are {wanted}", lambda: seen() == wanted, 30)
            # A refusal is remembered for a while; what is let in stays so.
            check(seen() == wanted, f"{seen()}, not {wanted}")
        # Whoever is refused is told what to add, and where.
        for where, name in (("near", "next"), ("middle", "over")):
            told = wait(f"{where} is told", lambda: (found := condition(sites, where, "service", name, "HasTargets")).get("reason") == "NotAllowed" and found)
            check(siteid(sites, where) in told["message"] and "allowedSites" in told["message"], f"{told}")
        print(f"   {told['reason']}: {told['message']}")
    print(f"   {len(services)} services x 3 sites x 2 defaults are as they say")


def test_rights_of_sites_to_services_through_sidecars(net):
    """The same in a cluster: what a sidecar opens is its site's, and counts as that where the stream ends, over transit too."""
    near, middle, far = ways = ["r-near", "r-middle", "r-far"]
    services = {  # its spec at far; who may use it
        "open": ({}, set(ways)), "none": ({"allowedSites": []}, {far}),
        "next": ({"allowedSites": [middle]}, {middle, far}), "over": ({"allowedSites": [near]}, {near, far})}
    net.make_sites(*ways)
    net.link(middle, far)
    net.link(near, middle)
    net.cluster.patch("tsite", far, far, {"spec": {"sites": [{"siteID": net.ids[near], "name": near}]}})
    ports = {name: 9000 + index for index, name in enumerate(services)}
    with net.cluster.applied(server(far, "s")):
        net.cluster.apply(*[service(where, name, selector="s" if where == far else None, listen=False, **(spec if where == far else {}))
                            for name, (spec, _) in services.items() for where in ways])
        listens = {f"{name}/tcp": port for name, port in ports.items()}
        net.cluster.apply(*[client_with_sidecar(where, "rights", listens) for where in ways])
        pods = {where: f"{where}/{net.cluster.wait_ready(where, 'app=rights', 1, 60)[0]['metadata']['name']}" for where in ways}

        def seen():
            found = {name: set() for name in services}
            for name, port in ports.items():
                for where, pod in pods.items():
                    with Hold(net.cluster, f"127.0.0.1:{port}", pod=pod, timeout=2) as clients:
                        if sum(clients.attempt(1).values()):
                            found[name].add(where)
            return found
        wanted = {name: allowed for name, (_, allowed) in services.items()}
        wait(f"the rights of sidecars are {wanted}", lambda: seen() == wanted, 40)
        check(seen() == wanted, f"{seen()}, not {wanted}")
        takes_away(net, far, pods[near], ports["over"])
        cuts_off(net, far, middle, pods[middle], ports["open"])
    print(f"   {len(services)} services x 3 sites through sidecars are as they say")
    net.cluster.kubectl("delete", "namespace", *ways, "--wait=false")


def takes_away(net, far, pod, port):
    """What a sidecar has open ends when the right is taken away, two links further."""
    with Hold(net.cluster, f"127.0.0.1:{port}", pod=pod) as clients:
        clients.open(5)
        began = time.monotonic()
        net.cluster.patch("tsvc", far, "over", {"spec": {"allowedSites": []}})
        wait("they end", lambda: sum(clients.report()["ended"].values()) == 5)
        print(f"   5 connections of a sidecar ended {clients.last['lastEnd'] - began:.1f} s after the right was taken away")
        clients.attempt(1)
    near = pod.split("/")[0]
    told = wait("the sidecar's site is told what to add", lambda: next(
        (one for one in net.cluster.get("tsvc", near, "over")["status"]["conditions"] if one["reason"] == "NotAllowed"), None))
    check(net.ids[near] in told["message"] and "allowedSites" in told["message"], told["message"])


def cuts_off(net, far, middle, pod, port):
    """By its name in `allow`, with the command."""
    with Hold(net.cluster, f"127.0.0.1:{port}", pod=pod) as clients:
        clients.open(5)
        shown = net.cluster.run([str(BIN / "tieline"), "link", "revoke", middle, "-n", far])
        check("kubectl patch tsite" in shown and sum(clients.report()["open"].values()) == 5, f"without --apply it only shows what to do: {shown}")
        began = time.monotonic()
        net.cluster.run([str(BIN / "tieline"), "link", "revoke", middle, "-n", far, "--apply"])
        wait("its streams end", lambda: sum(clients.report()["ended"].values()) == 5)
        took = clients.last["lastEnd"] - began
        check(took < 5, f"within 5 s: {took:.1f} s")
    refused = lambda: next(one for one in net.cluster.get("tlink", middle, far)["status"]["conditions"] if one["type"] == "Connected")["reason"]
    wait("its Link says so", lambda: refused() == "NotAllowed")
    print(f"   5 connections of a sidecar ended {took:.1f} s after its site was cut off by its name")


def test_a_site_that_lies_about_its_name_gets_nothing(_):
    """One that calls itself `near`, or dials with another key, is told by its key alone."""
    with PlainSites(PREFIX, "near", "middle", "liar") as sites, echo(7000):
        describe(sites, "middle", allow(sites, "near") + "  exports: {default: Deny}\n")
        sites.write("middle", "service-mine", "kind: Service\nmetadata: {name: mine}\nspec:\n  ports: [{name: tcp, port: 7200, targetPort: 7000}]\n"
                    f"  hosts: [{SERVER}]\n  allowedSites: [near]\n  listen: {{enabled: true}}\n")
        for where in ("near", "liar"):
            sites.service(where, "mine", 7200, "  listen: {enabled: true}\n")
        # It takes the name of the one that is let in.
        (sites.folder / "liar" / "site.yaml").unlink()
        sites.write("liar", "site", "kind: Site\nmetadata: {name: near}\nspec: {}\n")
        sites.write("liar", "link-middle", "kind: Link\nmetadata: {name: middle}\nspec:\n"
                    f"  endpoints: [{{host: {sites.address('middle')}, port: 5671}}]\n  remoteSiteID: {siteid(sites, 'middle')}\n")
        wait("near is served", lambda: connect(sites, "near", 7200), 30).close()
        told = lambda: condition(sites, "liar", "link", "middle", "Connected").get("reason")
        wait("the liar is told that it is not allowed", lambda: told() == "NotAllowed", 30)
        check(connect(sites, "liar", 7200) is None, "the liar gets nothing")


def test_a_site_that_is_cut_off_loses_its_streams_on_all_ways(_):
    """near dials far and middle, middle dials far; near's clients use far directly or, where that is cheaper, over middle."""
    with PlainSites(PREFIX, "near", "middle", "far") as sites, echo(7000):
        sites.write("far", "service-mine", "kind: Service\nmetadata: {name: mine}\nspec:\n  ports: [{name: tcp, port: 7300, targetPort: 7000}]\n"
                    f"  hosts: [{SERVER}]\n  listen: {{enabled: true}}\n")
        for where in ("near", "middle"):
            sites.service(where, "mine", 7300, "  listen: {enabled: true}\n")
        for way, cost in (("directly", 1), ("over middle", 100)):
            describe(sites, "far", allow(sites, "near", "middle"))
            describe(sites, "near", "", {"far": cost})
            connected = lambda: condition(sites, "near", "link", "far", "Connected").get("status")
            wait("near is linked to far", lambda: connected() == "True", 30)
            via = lambda: [one.get("via") for one in sites.status("near", "service", "mine").get("targets", [])]
            wait(f"far is used {way}", lambda: via() == ["link/far" if cost == 1 else "link/middle"], 30)
            held = [wait("a connection", lambda: connect(sites, "near", 7300), 20) for _ in range(20)]
            kept = wait("one of middle's", lambda: connect(sites, "middle", 7300), 20)
            began = time.monotonic()
            describe(sites, "far", allow(sites, "middle"))
            for one in held:
                one.settimeout(10)
                check(not reads(one), f"what was open {way} ends")
            took = time.monotonic() - began
            check(took < 5, f"{way}: cut off after {took:.1f} s")
            check(lasts(kept), "another site's connection stays")
            told = lambda: condition(sites, "near", "link", "far", "Connected")
            reason = wait("near's Link is told why", lambda: (found := told()).get("reason") == "NotAllowed" and found)
            check(reason["status"] == "False" and siteid(sites, "near") in reason["message"], f"{reason}")
            print(f"   20 connections {way} were reset {took:.2f} s after the file was written")
            for one in [*held, kept]:
                one.close()


def reads(connection):
    """Whether anything comes but the end."""
    try:
        return connection.recv(1) != b""
    except ConnectionResetError:
        return False
