"""Sites that join by a token: by hand, and with controllers and gateways that end between any two steps."""
import contextlib
import json
import subprocess

from cluster import BIN, check, condition, wait
from network import API, GATEWAYS, server, service
from pages import blocks
from test_plain import BIND, PlainSite
from traffic import TOOL, Hold, finish, grouped

CLI = str(BIN / "tieline")
# Keeps everybody from changing what a site keeps of its tokens.
NO_GRANTS = [
    {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "hold-grants"},
     "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
         {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["UPDATE"]}]},
         "validations": [{"expression": "object.metadata.name != 'tieline-grants'", "message": "held back"}]}},
    {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "hold-grants"},
     "spec": {"policyName": "hold-grants", "validationActions": ["Deny"]}}]
CONTROLLER = ("deployment/tieline-controller", "-n", "tieline-system")


def cli(net, *arguments, stdin=None):
    return net.cluster.run([CLI, *arguments], stdin=stdin)


def fails(net, *arguments, stdin=None):
    done = subprocess.run([CLI, *arguments], env=net.cluster.env, input=stdin, text=True, capture_output=True)
    check(done.returncode != 0, f"tieline {' '.join(arguments)} should have failed: {done.stdout}")
    return done.stderr


def make(net, *names):
    net.make_sites(*names)


def issue(net, where, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return cli(net, "token", "issue", "-n", where, *words)


def redeem(net, token, where, name):
    made = cli(net, "token", "redeem", "-", "-n", where, "--name", name, stdin=token)
    net.cluster.kubectl("apply", "-f", "-", stdin=made)


def connected(net, where, name):
    return next((one for one in net.cluster.get("tlink", where, name).get("status", {}).get("conditions", [])
                 if one["type"] == "Connected"), {})


def refused(net, where, name, words):
    told = wait(f"the Link {where}/{name} says why", lambda: words in connected(net, where, name).get("message", "")
                and connected(net, where, name), 40)
    check(told["reason"] == "NotAllowed", f"{told}")


def grants(net, where):
    import base64
    data = net.cluster.get("secret", where, "tieline-grants").get("data", {})
    return {name: json.loads(base64.b64decode(entry)) for name, entry in data.items()}


def scale(net, count):
    net.cluster.kubectl("scale", *CONTROLLER, f"--replicas={count}")
    if count:
        net.cluster.kubectl("rollout", "status", *CONTROLLER, "--timeout=60s")
    else:
        wait("the controllers are gone", lambda: not net.cluster.pods(
            "tieline-system", "app.kubernetes.io/component=controller", terminating=True), 60)


def are_held(net, where):
    try:
        net.cluster.kubectl("label", "secret", "-n", where, "tieline-grants", "a=b", "--overwrite", "--dry-run=server")
        return False
    except subprocess.CalledProcessError as error:
        return "held back" in error.stderr


def kill_gateways(net, where):
    net.cluster.kubectl("delete", "pods", "-n", where, "-l", GATEWAYS, "--grace-period=0", "--force", "--wait=false")


def claims(net, where):
    """The sites that the gateways of `where` report, as the controller reads it."""
    import base64
    head = net.cluster.get("secret", where, "tieline-proxy")["data"]
    key = json.loads(base64.b64decode(head["configuration.json"]))["snapshotKey"]
    found = []
    for pod in net.cluster.ready_pods(where, GATEWAYS):
        url = f"http://{pod['status']['podIP']}:5673/v1/snapshot"
        answer = net.cluster.exec(["curl", "-sf", "-H", f"Authorization: Bearer {key}", url]).communicate()[0]
        found += [one["site"]["id"] for one in json.loads(answer).get("claims", [])] if answer else []
    return found


def test_a_site_joins_by_a_token(net):
    make(net, "host", "guest", "other")
    net.cluster.apply(server("host", "s"), service("host", "joined", selector="s", listen=False), service("guest", "joined"))
    token = issue(net, "host", uses=1, expires="1h")
    check(list(next(iter(grants(net, "host").values()))) == ["admitted", "expires", "key", "uses"], "only a digest is kept")
    redeem(net, token, "guest", "host")
    net.wait_ready("tlink", "guest", "host", 60)
    net.wait_targets("guest", "joined", {"host": 1}, 30)
    net.answering("guest", "joined")
    entry = next(iter(grants(net, "host").values()))
    check([one["siteID"] for one in entry["admitted"]] == [net.ids["guest"]], f"{entry}")
    # Another site comes too late, and is told so.
    redeem(net, token, "other", "host")
    refused(net, "other", "host", "was used by")
    # The token is not needed any more.
    net.cluster.kubectl("delete", "secret", "-n", "guest", "host-token")
    kill_gateways(net, "guest")
    net.wait_ready("tlink", "guest", "host", 60)
    # And out again, by hand.
    cut = cli(net, "link", "revoke", net.ids["guest"], "-n", "host", "--apply")
    wait("the guest is cut off", lambda: connected(net, "guest", "host").get("reason") == "NotAllowed", 20)
    print("   " + cut.strip().replace("\n", "\n   "))
    for one in ("guest", "other"):
        net.cluster.kubectl("delete", "tlink", "-n", one, "host")


def test_no_end_between_two_steps_burns_a_token(net):
    if "host" not in net.ids:
        make(net, "host", "guest", "other")
    token = issue(net, "host", uses=1, expires="1h")
    net.cluster.kubectl("delete", "tlink", "-n", "other", "host", "--ignore-not-found")
    # The claim is reported and cannot be written down; gateway and controller end meanwhile.
    with net.cluster.applied(*NO_GRANTS):
        wait("the grants cannot be written", lambda: are_held(net, "host"), 30)
        redeem(net, token, "other", "host")
        wait("the claim is reported", lambda: claims(net, "host") == [net.ids["other"]], 40)
        kill_gateways(net, "host")
        wait("the claim is reported to the next gateway", lambda: claims(net, "host") == [net.ids["other"]], 60)
        refused(net, "other", "host", "is good")
        scale(net, 0)
    scale(net, 1)
    wait("the site is let in", lambda: condition(net.cluster.get("tlink", "other", "host"), "Connected") == "True", 60)
    net.cluster.kubectl("delete", "tlink", "-n", "other", "host")
    # Another token; wherever it is, both ends and the controller are killed again and again.
    token = issue(net, "host", uses=1, expires="1h")
    redeem(net, token, "guest", "host")
    for step in range(6):
        net.cluster.kubectl("delete", "pods", "-n", "tieline-system", "-l", "app.kubernetes.io/component=controller",
                            "--grace-period=0", "--force", "--wait=false")
        kill_gateways(net, ("host", "guest")[step % 2])
        wait("a gateway is back", lambda: net.cluster.ready_pods(("host", "guest")[step % 2], GATEWAYS), 60)
    net.wait_ready("tlink", "guest", "host", 90)
    admitted = [one["siteID"] for entry in grants(net, "host").values() for one in entry["admitted"]]
    check(sorted(admitted) == sorted({net.ids["guest"], net.ids["other"]}), f"each came once: {grants(net, 'host')}")
    net.cluster.kubectl("delete", "tlink", "-n", "guest", "host")


def test_a_plain_site_and_a_cluster_join_by_tokens_both_ways(net):
    """The plain site issues, and Sites come by the command and by what the page says to write by hand; then a Site issues, and the plain one redeems."""
    make(net, "harbor", "quay")
    net.cluster.apply(server("harbor", "s"), service("harbor", "crane", selector="s", listen=False), service("harbor", "dock"), service("quay", "dock"))
    with PlainSite(net) as plain, serving(net, "plain/1", f"{BIND}:7900"):
        plain.write("site.yaml", f"apiVersion: {API}\nkind: Site\nmetadata: {{name: plain}}\nspec:\n"
                    f"  linkAccess: {{type: External, hosts: [{BIND}]}}\n")
        for name, rest in (("dock", f"  hosts: [{BIND}]\n  listen: {{enabled: false}}\n"), ("crane", "")):
            plain.write(f"{name}.yaml", f"apiVersion: {API}\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n"
                        f"  ports: [{{name: tcp, port: 8080, targetPort: 7900}}]\n{rest}")
        wait("the plain site can be dialed", lambda: plain.status("Site", "plain").get("endpoints"), 20)
        comes_to_a_plain_site(net, plain)
        a_plain_site_comes(net, plain)


def comes_to_a_plain_site(net, plain):
    folder = str(plain.path)
    token = cli(net, "token", "issue", "--site-dir", folder, "--uses", "1")
    redeem(net, token, "harbor", "plain")
    net.wait_ready("tlink", "harbor", "plain", 60)
    net.wait_targets("harbor", "dock", {"plain": 1}, 30)
    with Hold(net.cluster, net.answering("harbor", "dock")) as clients:
        check(grouped(clients.open(5), ["plain"]) == {"plain": 5}, "the plain site serves the cluster's clients")
    redeem(net, token, "quay", "used")
    refused(net, "quay", "used", "was used by")
    net.cluster.kubectl("delete", "-n", "quay", "tlink/used")
    # By hand, and first without the right to read the token.
    token = cli(net, "token", "issue", "--site-dir", folder, "--name", "east-token")
    right, link = (block.replace("namespace: shop", "namespace: quay") for block in blocks("joining.md", "By hand")[1:])
    link = link.replace("HOST", BIND).replace("SITEID", plain.status("Site", "plain")["siteID"])
    net.cluster.kubectl("apply", "-n", "quay", "-f", "-", stdin=token)
    net.cluster.kubectl("apply", "-f", "-", stdin=link)
    told = wait("the Link says that the token cannot be read", lambda: "east-token" in connected(net, "quay", "east").get("message", "")
                and connected(net, "quay", "east"), 40)
    print(f"   without the right: {told['reason']}: {told['message']}")
    net.cluster.kubectl("apply", "-f", "-", stdin=right)
    net.wait_ready("tlink", "quay", "east", 90)
    # Both stay, without their tokens, when their gateways and the plain site's proxy are killed.
    for where, name in (("harbor", "plain-token"), ("quay", "east-token")):
        net.cluster.kubectl("delete", "secret", "-n", where, name)
        kill_gateways(net, where)
    plain.restart()
    for where, name in (("harbor", "plain"), ("quay", "east")):
        net.wait_ready("tlink", where, name, 60)
    # And out again.
    cut = cli(net, "link", "revoke", net.ids["quay"], "--site-dir", folder, "--apply")
    print("   " + cut.strip().replace("\n", "\n   "))
    wait("it is cut off", lambda: connected(net, "quay", "east").get("reason") == "NotAllowed", 20)
    check(condition(net.cluster.get("tlink", "harbor", "plain"), "Connected") == "True", "another one stays")
    net.cluster.kubectl("delete", "-n", "harbor", "tlink/plain")


def a_plain_site_comes(net, plain):
    folder = str(plain.path)
    token = issue(net, "harbor", uses=1)
    made = cli(net, "token", "redeem", "-", "--site-dir", folder, stdin=token)
    plain.write("link-harbor.yaml", made)
    joined = lambda: condition({"status": plain.status("Link", "harbor")}, "Connected") == "True"
    wait("the plain site is linked", joined, 60)

    def serves():
        with Hold(net.cluster, f"{BIND}:8080", timeout=2) as clients:
            return grouped(clients.attempt(1), ["harbor"])["harbor"] == 1
    wait("the cluster serves the plain site's clients", serves, 30)
    admitted = [one["siteID"] for entry in grants(net, "harbor").values() for one in entry["admitted"]]
    check(admitted == [plain.status("Site", "plain")["siteID"]], f"it came once: {grants(net, 'harbor')}")
    redeem(net, token, "quay", "late")
    refused(net, "quay", "late", "was used by")
    for file in (plain.path / "tokens").glob("*.json"):
        file.unlink()
    kill_gateways(net, "harbor")
    plain.restart()
    wait("both come back without the token", serves, 60)
    cli(net, "link", "revoke", admitted[0], "-n", "harbor", "--apply")
    told = lambda: condition({"status": plain.status("Link", "harbor")}, "Connected", "reason")
    wait("it is cut off", lambda: told() == "NotAllowed", 20)
    check(not serves(), "its clients get nothing")
    net.cluster.kubectl("delete", "namespace", "harbor", "quay", "--wait=false")


@contextlib.contextmanager
def serving(net, name, place):
    """A server on the node."""
    process = net.cluster.exec([TOOL, "serve", "--listen", place, "--name", name])
    try:
        yield
    finally:
        finish(process)


def test_a_token_that_expired_says_so(net):
    if "host" not in net.ids:
        make(net, "host", "guest", "other")
    make(net, "tardy")  # the others have joined by now
    token = issue(net, "host", uses=1, expires="3s")
    made = cli(net, "token", "redeem", "-", "-n", "tardy", "--name", "late", stdin=token)
    wait("it is too late", lambda: "expired at" in fails_or_not(net, token), 20)
    net.cluster.kubectl("apply", "-f", "-", stdin=made)
    refused(net, "tardy", "late", "expired at")
    net.cluster.kubectl("delete", "tlink", "-n", "tardy", "late")
    check("no token" in fails(net, "token", "redeem", "-", stdin="kind: Secret"), "what is none says so")


def fails_or_not(net, token):
    done = subprocess.run([CLI, "token", "redeem", "-"], env=net.cluster.env, input=token, text=True, capture_output=True)
    return done.stderr


def check_command(net, where):
    done = subprocess.run([CLI, "check", "-n", where, "-o", "json"], env=net.cluster.env, text=True, capture_output=True)
    check(done.returncode in (0, 3), f"tieline check: {done.stderr}")
    document = json.loads(done.stdout)
    check(document["isFine"] == (done.returncode == 0), f"the exit code says the same: {done.returncode}, {document}")
    return document


def findings(net, where):
    return {one["check"]: one for one in check_command(net, where)["findings"]}


def test_check_says_what_is_wrong_and_what_to_do(net):
    make(net, "looked")
    found = findings(net, "looked")
    check({one["verdict"] for one in found.values()} == {"ok"}, f"all is well: {found}")
    check({"controller", "clock", "crd/sites", "site/looked"} <= set(found), f"{sorted(found)}")
    net.cluster.apply({"apiVersion": "tieline.dev/v1alpha1", "kind": "Link", "metadata": {"name": "nowhere", "namespace": "looked"},
                       "spec": {"endpoints": [{"host": "127.0.0.1", "port": 9}], "remoteSiteID": net.ids["a"]}})
    wait("the Link is judged", lambda: connected(net, "looked", "nowhere").get("reason") == "Unreachable", 30)
    found = findings(net, "looked")
    check(found["link/nowhere"]["verdict"] == "warning" and found["link/nowhere"]["hint"], f"{found['link/nowhere']}")
    scale(net, 0)
    try:
        check(findings(net, "looked")["controller"]["verdict"] == "failure", "no controller is a failure")
    finally:
        scale(net, 1)
    net.cluster.kubectl("delete", "tlink", "-n", "looked", "nowhere")
