"""A site goes from one identity to another while it serves, and lives by a CA that somebody else makes."""
import os
import subprocess
import tempfile

from cluster import check, condition, wait
from network import GATEWAYS, namespace, server, service, site
from test_balance import offer, prepare
from test_tokens import check_command
from traffic import Hold, Run

WISH = "tieline.dev/next-identity"


def status(net, where):
    return net.cluster.get("tsite", where, where)["status"]


def wish(net, where, text):
    net.cluster.kubectl("annotate", "tsite", "-n", where, where, f"{WISH}={text}", "--overwrite")


def rotate(net, old, new):
    """Site b from `old` to `new`, which all others know already; returns when nothing of the old one is left."""
    before = {pod["metadata"]["name"] for pod in net.gateways("b", 1)}
    wish(net, "b", new)
    wait("the status names the other identity", lambda: status(net, "b").get("siteID") == new, 30)
    net.cluster.kubectl("rollout", "status", "-n", "b", "deployment/tieline-proxy", "--timeout=90s", timeout=100)
    wait("the old gateways are gone", lambda: not before & {
        pod["metadata"]["name"] for pod in net.cluster.pods("b", GATEWAYS, terminating=True)}, 60)
    check(status(net, "b")["previousSiteID"] == old, f"the key of {old} is kept: {status(net, 'b')}")
    net.wait_ready("tsite", "b", "b", 60)


def pin(net, where, name, site, following=None):
    net.cluster.patch("tlink", where, name, {"spec": {"remoteSiteID": site, "nextRemoteSiteID": following}})
    net.wait_ready("tlink", where, name, 30)


def allow(net, where, leave=None, **more):
    """Changes the allow list of a site: takes one out, adds others by name."""
    listed = net.cluster.get("tsite", where, where)["spec"]["allow"]
    entries = [entry for entry in listed if entry["siteID"] != leave]
    entries += [{"siteID": one, "name": name} for name, one in more.items()]
    net.cluster.patch("tsite", where, where, {"spec": {"allow": entries}})
    net.wait_ready("tsite", where, where)


def test_k3_a_planned_rotation_of_the_serving_site_fails_no_connection(net):
    """a dials b and c dials nobody: b is named in a's Link and, since it dials c, in c's allow list."""
    address = offer(net, "k3", {"b": "s"}, {("a", "b"): 1})
    old = net.ids["b"]
    events = lambda reason: net.cluster.kubectl_json("get", "events", "-n", "b", "--field-selector", f"reason={reason}")["items"]
    with Run(net.cluster, "load", address, rate=50, seconds=300, timeout=5, hold=50) as load:
        wait("a second of load", lambda: load.ask("report")["seconds"] >= 1)
        # 1. Prepared.
        wish(net, "b", "prepare")
        new = wait("another identity is prepared", lambda: status(net, "b").get("nextSiteID"), 30)
        wait("an Event says so", lambda: events("IdentityPrepared"))
        check(status(net, "b")["siteID"] == old != new, "nothing else has changed")
        # 2. The others learn it, in turn.
        pin(net, "a", "b", old, new)
        allow(net, "c", next=new)
        # 3. It takes over.
        rotate(net, old, new)
        wait("an Event says so", lambda: events("IdentityChanged"))
        wait("a's Link leads to the new one",
             lambda: net.cluster.get("tlink", "a", "b")["status"]["remoteSite"]["id"] == new, 30)
        # 4. The old one is forgotten, in turn.
        pin(net, "a", "b", new)
        allow(net, "c", leave=old)
        wish(net, "b", "none")
        wait("the former identity is gone", lambda: "previousSiteID" not in status(net, "b"), 30)
        net.ids["b"] = new
        net.wait_ready("tlink", "b", "c", 30)
        wait("two seconds more", lambda seen=load.ask("report")["seconds"]: load.ask("report")["seconds"] >= seen + 2)
        result = load.stop()
    print(f"   a rotation from begin to end at 50/s: {result}")
    check(set(result["endings"]) == {"done"}, f"{result}")
    # The identity that is gone is told of for a while yet, as a target that cannot be reached.
    targets = net.cluster.get("tsvc", "a", "k3")["status"]["targets"]
    usable = [(entry["site"], entry["endpoints"]) for entry in targets if entry["state"] == "Usable"]
    check(usable == [("b", 1)], f"one b is left: {targets}")


def run(folder, *command, **more):
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, **more).stdout


def bring(net, folder, name, days, key="ca.key"):
    """Signs a CA certificate for a key, as cert-manager does, and stores both as it does."""
    if not os.path.exists(f"{folder}/{key}"):
        run(folder, "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    run(folder, "openssl", "req", "-x509", "-new", "-key", key, "-days", str(days), "-subj", "/CN=site",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
        "-out", "ca.crt")
    # What is above it, which is neither sent nor trusted.
    run(folder, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key",
        "-subj", "/CN=root", "-out", "root.crt")
    with open(f"{folder}/tls.crt", "wb") as chain:
        for one in ("ca.crt", "root.crt"):
            chain.write(open(f"{folder}/{one}", "rb").read())
    made = net.cluster.kubectl(
        "create", "secret", "generic", name, "-n", "own", "--type=kubernetes.io/tls", f"--from-file=tls.crt={folder}/tls.crt",
        f"--from-file=tls.key={folder}/{key}", f"--from-file=ca.crt={folder}/root.crt", "--dry-run=client", "-o", "json")
    net.cluster.kubectl("apply", "-f", "-", stdin=made)
    return run(folder, "sh", "-c", "openssl x509 -in ca.crt -noout -pubkey | openssl pkey -pubin -outform DER"
               " | openssl dgst -sha256 -binary | base32 | cut -c1-26").decode().strip()


def test_a_brought_ca_is_the_site_and_its_renewal_loses_no_stream(net):
    prepare(net)
    own = lambda: net.cluster.get("tsite", "own", "own")
    stalled = lambda reason: wait(f"the Site says {reason}", lambda: any(
        one["type"] in ("Accepted", "Programmed") and one["reason"] == reason for one in own().get("status", {}).get("conditions", [])), 60)
    with tempfile.TemporaryDirectory() as folder:
        net.cluster.apply(namespace("own"))
        # A name that the controller has no right to read: it says so, and makes no CA of its own.
        net.cluster.apply(site("own", identity={"secretName": "elsewhere"}))
        stalled("IdentityMissing")
        message = [one["message"] for one in own()["status"]["conditions"] if one["reason"] == "IdentityMissing"][0]
        check("tieline-identity" in message and "403" in message, f"the remedy is named: {message}")
        net.cluster.patch("tsite", "own", "own", {"spec": {"identity": {"secretName": "tieline-identity"}}})
        identity = bring(net, folder, "tieline-identity", 90)
        net.ids["own"] = wait("the Site has the identity of its CA", lambda: own()["status"].get("siteID"), 60)
        check(net.ids["own"] == identity, f"{net.ids['own']} is the SiteID of {identity}")
        net.wait_ready("tsite", "own", "own", 60)
        secrets = [one["metadata"]["name"] for one in net.cluster.get("secrets", "own")["items"]]
        check("tieline-site-ca" not in secrets, f"no CA was made: {secrets}")
        net.cluster.apply(server("own", "s"), service("own", "mine", selector="s", listen=False), service("a", "mine"))
        net.link("a", "own")
        net.wait_targets("a", "mine", {"own": 1})
        address = net.answering("a", "mine")
        certificate = lambda: net.cluster.get("secret", "own", "tieline-proxy-credentials")["data"]["tls.crt"]
        with Hold(net.cluster, address) as clients:
            clients.open(20)
            before, first = certificate(), own()["status"]["certificates"]
            check(bring(net, folder, "tieline-identity", 120) == identity, "the renewed CA has the same key")
            wait("the gateways get certificates of the renewed CA", lambda: certificate() != before, 60)
            wait("the end of the CA is told", lambda: own()["status"]["certificates"]["authority"] > first["authority"], 30)
            net.wait_ready("tlink", "a", "own", 60)
            # The way a takes to own goes over with its gateways' lanes; what was open stays.
            wait("the gateway shows it", lambda: net.metric("own", "tieline_ca_expiry_timestamp_seconds") > 0, 30)
            clients.open(1)  # and all 20 that were open before are
        # Another key is another site: refused, and what works goes on.
        other = bring(net, folder, "tieline-identity", 90, key="other.key")
        stalled("IdentityMismatch")
        status = own()["status"]
        check((status["siteID"], status["nextSiteID"]) == (identity, other), f"{status}")
        check(condition(net.cluster.get("tlink", "a", "own"), "Connected") == "True", "the Link stays")
        # One that ends soon: all goes on, and whoever asks is told.
        bring(net, folder, "tieline-identity", 3)

        def told():
            found = [one for one in check_command(net, "own")["findings"] if one["check"] == "site/own"]
            return [one for one in found if one["verdict"] == "warning" and "the CA ends at" in one["message"] and one["hint"]]
        print(f"   {wait('tieline check says so', told, 60)[0]}")
        bring(net, folder, "tieline-identity", 90)
        wait("and that it does not", lambda: not told(), 60)
        net.wait_ready("tsite", "own", "own", 60)
    net.cluster.kubectl("delete", "namespace", "own", "--wait=false")
    net.cluster.kubectl("delete", "tlink", "own", "-n", "a")
    del net.ids["own"]
