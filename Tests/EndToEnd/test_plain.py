"""A plain site (no Kubernetes): the same manifests from files, linked to a site of the cluster."""
import json
import pathlib
import tempfile

from cluster import BIN, check, wait
from network import API
from test_balance import offer
from traffic import Hold, finish, grouped

BIND = "10.244.0.1"  # the node's own address: a host beside the cluster


class PlainSite:
    def __init__(self, net):
        self.net = net
        self.folder = tempfile.TemporaryDirectory(prefix="tieline-plain-")
        self.path = pathlib.Path(self.folder.name)
        self.write("site.yaml", f"apiVersion: {API}\nkind: Site\nmetadata: {{name: plain}}\nspec: {{}}\n")
        self.process = self.start()

    def write(self, name, text):
        """Writes as editors and Git do: a new file takes the old one's place."""
        fresh = self.path / f".{name}.new"
        fresh.write_text(text)
        fresh.rename(self.path / name)

    def start(self):
        return self.net.cluster.exec([str(BIN / "tieline-proxy"), "run", "--site-dir", str(self.path),
                                      "--bind", BIND, "--admin", f"{BIND}:5673"])

    def status(self, kind, name):
        for file in (self.path / "status").glob("*.json"):
            item = json.loads(file.read_text())
            if item["kind"] == kind and item["metadata"]["name"] == name:
                return item["status"]
        return {}

    def readiness(self):
        """The HTTP status of /readyz."""
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{BIND}:5673/readyz"]
        return self.net.cluster.exec(command).communicate()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        finish(self.process)
        self.folder.cleanup()


def test_a_plain_site_keeps_its_last_good_configuration(net):
    offer(net, "host", {"b": "s"}, {("a", "b"): 1})
    with PlainSite(net) as plain:
        identity = wait("the plain site has an identity", lambda: plain.status("Site", "plain").get("siteID"), 15)
        allow = net.cluster.get("tsite", "b", "b")["spec"].get("allow", [])
        net.cluster.patch("tsite", "b", "b", {"spec": {"allow": allow + [{"siteID": identity, "name": "plain"}]}})
        endpoint = net.address("b", "tieline-link", 5671)
        host, port = endpoint.split(":")
        plain.write("link.yaml", f"apiVersion: {API}\nkind: Link\nmetadata: {{name: b}}\nspec:\n"
                    f"  endpoints: [{{host: {host}, port: {port}}}]\n  remoteSiteID: {net.ids['b']}\n")
        plain.write("service.yaml", f"apiVersion: {API}\nkind: Service\nmetadata: {{name: host}}\nspec:\n"
                    "  ports: [{name: tcp, port: 8080}]\n")

        def serves():
            with Hold(net.cluster, f"{BIND}:8080", timeout=2) as clients:
                return grouped(clients.attempt(1), "b")["b"] == 1

        wait("the plain site's clients reach b", serves, 30)
        plain.write("link.yaml", f"apiVersion: {API}\nkind: Link\nmetadata: {{name: b}}\nspec:\n"
                    f"  endpoints: [\n  cost: 5\n")
        told = lambda: [text for path in (plain.path / "status").glob("*.json") if "link.yaml" in (text := path.read_text())]
        problem = wait("the status says what is wrong", told, 10)
        check(serves(), "the last good configuration stays")
        check(plain.readiness() == "200", f"/readyz stays ready, not {plain.readiness()}")
        print(f"   broken YAML: {problem[0][:300]}")
        plain.write("link.yaml", f"apiVersion: {API}\nkind: Link\nmetadata: {{name: b}}\nspec:\n"
                    f"  endpoints: [{{host: {host}, port: {port}}}]\n  remoteSiteID: {net.ids['b']}\n  cost: 7\n")
        wait("the repaired one is applied", lambda: plain.status("Link", "b").get("appliedCost") == 7, 10)
        check(serves(), "and it still serves")


def test_a_plain_site_without_a_good_configuration_does_not_start(net):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder:
        pathlib.Path(folder, "site.yaml").write_text(f"apiVersion: {API}\nkind: Site\nmetadata: {{name: [\n")
        process = net.cluster.exec([str(BIN / "tieline-proxy"), "run", "--site-dir", folder, "--bind", BIND,
                                    "--admin", f"{BIND}:5673"])
        _, errors = process.communicate(timeout=20)
        print(f"   first start with broken YAML: exit code {process.returncode}: {errors.strip()[-300:]}")
        check(process.returncode == 2 and "site.yaml" in errors, f"exit code {process.returncode}: {errors}")
