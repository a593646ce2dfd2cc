"""Bad input: each gets its condition or error with the remedy, and nothing else is disturbed."""
import base64
import tempfile

from cluster import check, condition, wait
from network import API, service, site

BASE32 = "A" * 26


def reason(net, kind, where, name, type_, expected, seconds=20):
    def seen():
        item = net.cluster.get(kind, where, name)
        return condition(item, type_) == "False" and condition(item, type_, "reason") == expected and (
            condition(item, type_, "message") or " ")
    try:
        message = wait(f"{kind} {where}/{name}: {type_}=False {expected}", seen, seconds)
    except Exception:
        print(net.cluster.kubectl("get", kind, "-n", where, name, "-o", "yaml"))
        raise
    print(f"   {kind} {where}/{name}: {expected}: {message}")
    return message


def test_a_link_with_a_wrong_site_id(net):
    net.declare_link("a", "b", name="wrong", site_id=BASE32)
    message = reason(net, "tlink", "a", "wrong", "Connected", "SiteIDMismatch")
    check(BASE32 in message and net.ids["b"] in message, f"both IDs belong in the message: {message}")
    net.cluster.kubectl("delete", "tlink", "-n", "a", "wrong")


def test_a_site_that_is_not_allowed(net):
    endpoints = wait("endpoints of d", lambda: net.cluster.get("tsite", "d", "d")["status"].get("endpoints"))
    net.cluster.apply({"apiVersion": API, "kind": "Link", "metadata": {"name": "d", "namespace": "c"},
                       "spec": {"endpoints": endpoints, "remoteSiteID": net.ids["d"]}})
    message = reason(net, "tlink", "c", "d", "Connected", "NotAllowed")
    check(net.ids["c"] in message and "allow" in message, f"the line to add belongs in the message: {message}")
    def event():
        return [item for item in net.cluster.get("events.events.k8s.io", "d")["items"]
                if item["reason"] == "NotAllowed" and net.ids["c"] in item["note"]]
    wait("the accepting Site has the Event with the SiteID", event, 10)
    net.cluster.kubectl("delete", "tlink", "-n", "c", "d")


def test_cost_0_is_refused_by_the_schema(net):
    error = net.cluster.kubectl_fails("apply", "-f", "-", stdin=f"""
apiVersion: {API}
kind: Link
metadata: {{name: free, namespace: a}}
spec: {{endpoints: [{{host: east.example.com, port: 5671}}], remoteSiteID: {BASE32}, cost: 0}}
""")
    check("spec.cost" in error, error)
    print(f"   cost 0: {error.strip().splitlines()[-1]}")


def test_a_core_service_that_is_not_ours(net):
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken", "namespace": "a"},
               "spec": {"ports": [{"name": "x", "port": 1}]}}
    net.cluster.apply(foreign)
    net.cluster.apply(service("a", "taken"))
    message = reason(net, "tsvc", "a", "taken", "Programmed", "Conflict")
    check("taken" in message, message)
    kept = net.cluster.get("service", "a", "taken")
    check(kept["spec"]["ports"][0]["port"] == 1, "it is left alone")
    net.cluster.kubectl("delete", "service", "-n", "a", "taken")
    wait("the Service takes the name once it is free", lambda: condition(
        net.cluster.get("tsvc", "a", "taken"), "Programmed") == "True", 20)
    net.cluster.kubectl("delete", "tsvc", "-n", "a", "taken")


def test_two_sites_in_a_namespace(net):
    second = site("a")
    second["metadata"]["name"] = "second"
    net.cluster.apply(second)
    message = reason(net, "tsite", "a", "second", "Accepted", "Conflict")
    check("a" in message.split() or '"a"' in message or "a/a" in message, f"it names the older Site: {message}")
    check(condition(net.cluster.get("tsite", "a", "a"), "Accepted") == "True", "the older one keeps the namespace")
    net.wait_ready("tsite", "a", "a", 5)
    net.cluster.kubectl("delete", "tsite", "-n", "a", "second")


def test_an_edge_leaf_on_a_link(net):
    """A sidecar's certificate opens nothing on the port for links, of its own site or of another."""
    leaf = net.cluster.get("secret", "a", "tieline-edge")["data"]
    with tempfile.NamedTemporaryFile() as chain, tempfile.NamedTemporaryFile() as key:
        chain.write(base64.b64decode(leaf["tls.crt"]))
        key.write(base64.b64decode(leaf["tls.key"]))
        chain.flush()
        key.flush()
        for where in "ab":
            client = net.cluster.exec([
                "openssl", "s_client", "-connect", net.address(where, "tieline-link", 5671), "-tls1_3", "-ign_eof", "-alpn", "tieline/1",
                "-cert", chain.name, "-cert_chain", chain.name, "-key", key.name])
            try:
                out, errors = client.communicate(timeout=10)
            finally:
                client.kill()
            said = [line for line in (out + errors).splitlines() if "alert" in line]
            check(said, f"site {where} must refuse it in the handshake: {out[-300:]} {errors[-300:]}")
            print(f"   edge leaf at site {where}'s link port: {said[0].split(':')[-1] if ':' in said[0] else said[0]}")
