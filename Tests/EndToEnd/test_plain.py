"""A plain site (no Kubernetes): the same manifests from files, linked to a site of the cluster."""
import asyncio
import contextlib
import json
import pathlib
import resource
import socket
import subprocess
import tempfile
import threading
import time

from cluster import BIN, check, wait
from network import API
from plain_sites import PlainSites
from test_balance import offer
from test_shortage import ADDRESS, SITE, metric, proxy, running, servers, service, status, takes
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

    def restart(self):
        """As after a crash."""
        self.process.kill()
        finish(self.process)
        self.process = self.start()

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
            with Hold(net.cluster, f"{BIND}:8080") as clients:
                return grouped(clients.attempt(1), "b")["b"] == 1

        wait("the plain site's clients reach b", serves, 30)
        plain.write("link.yaml", f"apiVersion: {API}\nkind: Link\nmetadata: {{name: b}}\nspec:\n"
                    f"  endpoints: [\n  cost: 5\n")
        told = lambda: [text for path in (plain.path / "status").glob("*.json") if "link.yaml" in (text := path.read_text())]
        problem = wait("the status says what is wrong", told)
        check(serves(), "the last good configuration stays")
        check(plain.readiness() == "200", f"/readyz stays ready, not {plain.readiness()}")
        print(f"   broken YAML: {problem[0][:300]}")
        plain.write("link.yaml", f"apiVersion: {API}\nkind: Link\nmetadata: {{name: b}}\nspec:\n"
                    f"  endpoints: [{{host: {host}, port: {port}}}]\n  remoteSiteID: {net.ids['b']}\n  cost: 7\n")
        wait("the repaired one is applied", lambda: plain.status("Link", "b").get("appliedCost") == 7)
        check(serves(), "and it still serves")


def test_a_plain_site_without_a_good_configuration_does_not_start(net):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder:
        pathlib.Path(folder, "site.yaml").write_text(f"apiVersion: {API}\nkind: Site\nmetadata: {{name: [\n")
        process = net.cluster.exec([str(BIN / "tieline-proxy"), "run", "--site-dir", folder, "--bind", BIND,
                                    "--admin", f"{BIND}:5673"])
        _, errors = process.communicate(timeout=20)
        print(f"   first start with broken YAML: exit code {process.returncode}: {errors.strip()[-300:]}")
        check(process.returncode == 2 and "site.yaml" in errors, f"exit code {process.returncode}: {errors}")


LOOP = "127.77.0.1"


async def forward(reader, writer, port):
    """Somebody's address translation: leads on to `port`, under an address of its own."""
    try:
        onward = await asyncio.open_connection(LOOP, port)
    except OSError:
        return writer.transport.abort()

    async def copy(source, sink):
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            pass
        sink.transport.abort()

    await asyncio.gather(copy(reader, onward[1]), copy(onward[0], writer))


async def greet(_, writer):
    writer.write(b"hi\n")
    await writer.drain()
    writer.close()


async def leads_to_itself(process, errors):
    """Returns the most descriptors that the proxy held, and how many requests to another service went unanswered."""
    servers = [await asyncio.start_server(lambda r, w: forward(r, w, 7001), LOOP, 7002, backlog=1000),
               await asyncio.start_server(greet, LOOP, 7004)]
    descriptors = lambda: len(list(pathlib.Path(f"/proc/{process.pid}/fd").iterdir()))

    async def ask(port):
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOP, port), 5)
            line = await asyncio.wait_for(reader.readline(), 5)
            writer.transport.abort()
            return line
        except (OSError, asyncio.TimeoutError):
            return b""

    deadline = time.monotonic() + 15
    while await ask(7003) != b"hi\n":
        if time.monotonic() > deadline:
            raise RuntimeError(f"the other service does not answer: {errors()}")
        await asyncio.sleep(0.1)
    before, most, unanswered = descriptors(), 0, 0
    clients = [await asyncio.open_connection(LOOP, 7001) for _ in range(3)]
    for _ in range(100):
        most = max(most, descriptors())
        unanswered += await ask(7003) != b"hi\n"
        await asyncio.sleep(0.02)
    for _, writer in clients:
        writer.transport.abort()
    started = time.monotonic()
    while descriptors() > before + 10 and time.monotonic() < started + 10:
        await asyncio.sleep(0.05)
    print(f"   descriptors: {before} before, at most {most}, {descriptors()} {time.monotonic() - started:.1f} s after the "
          f"client left; {unanswered} of 100 requests to the other service unanswered")
    left = descriptors()
    for server in servers:
        server.close()
    return before, most, left, unanswered


def test_p2_a_service_that_leads_to_itself_leaves_the_others_alone(net):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, tempfile.NamedTemporaryFile("w+") as errors:
        service = (f"apiVersion: {API}\nkind: Service\nmetadata: {{name: NAME}}\nspec:\n"
                   f"  ports: [{{name: tcp, port: PORT, targetPort: TARGET}}]\n  hosts: [{LOOP}]\n  listen: {{enabled: true}}\n")
        texts = [f"apiVersion: {API}\nkind: Site\nmetadata: {{name: plain}}\nspec: {{}}\n"]
        for name, port, target in [("round", 7001, 7002), ("other", 7003, 7004), ("own", 7005, 7003)]:
            texts.append(service.replace("NAME", name).replace("PORT", str(port)).replace("TARGET", str(target)))
        pathlib.Path(folder, "site.yaml").write_text("---\n".join(texts))
        process = subprocess.Popen([str(BIN / "tieline-proxy"), "run", "--site-dir", folder, "--bind", LOOP,
                                    "--admin", f"{LOOP}:5673"], stderr=errors,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000)))
        try:
            log = pathlib.Path(errors.name)
            before, most, left, unanswered = asyncio.run(leads_to_itself(process, log.read_text))
            check(most < 1000, f"one service held {most} of 3000 descriptors")
            check(unanswered == 0, f"{unanswered} requests to another service were not answered")
            check(left <= before + 10, f"{left} descriptors are left, {before} were open before")
            own = lambda: json.loads(pathlib.Path(folder, "status", "service-own.json").read_text())["status"]
            told = wait("the remedy is told", lambda: next(
                (c for c in own()["conditions"] if c["type"] == "HasTargets" and c["status"] == "False" and "targetPort" in c["message"]), None))
            print(f"   {told['reason']}: {told['message']}")
        finally:
            process.kill()
            process.wait()


def test_b7_metrics_are_exact_when_asked(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, socket.create_server((ADDRESS, 0), backlog=100) as server:
        server.settimeout(10)
        pathlib.Path(folder, "site.yaml").write_text(SITE + service("one", 7100, server.getsockname()[1]))
        with running(proxy("--site-dir", folder), pathlib.Path(folder, "log")):
            wait("the site is ready", lambda: status("--site-dir", folder)[1] == 0, 20)
            seen, clients = [], []
            for _ in range(30):
                clients += arrived(server)
                seen.append(metric('tieline_connections_active{port="tcp",service="one"}'))
            check(seen == list(range(1, 31)), f"each scrape knows the connection made before it: {seen}")


def arrived(server):
    """A client and its server, after a word: only then is it certain that the proxy has the connection, on a busy machine too."""
    client = socket.create_connection((ADDRESS, 7100))
    client.sendall(b"?")
    while True:  # the proxy's looks whether the server is there say nothing
        end, _ = server.accept()
        end.settimeout(10)
        if end.recv(1):
            return client, end


def test_streams_end_at_once_when_their_egress_has_started_again(_):
    """Nobody waits out the grace of the link (a minute) for a proxy that is known to have ended."""
    with PlainSites("127.93.7", "near", "far") as sites, socket.create_server((sites.address("far"), 7301), backlog=100) as server:
        sites.service("near", "web", 7300, "")
        sites.write("far", "service-web", "kind: Service\nmetadata: {name: web}\nspec:\n"
                    f"  ports: [{{name: tcp, port: 7300, targetPort: 7301}}]\n  hosts: [{sites.address('far')}]\n")

        def opened():
            """A client, and the server's end of its connection, after a word in each direction."""
            try:
                client = socket.create_connection((sites.address("near"), 7300), 2)
                client.sendall(b"?")
                server.settimeout(2)
                asked = b""
                while not asked:  # the proxy's looks whether the server is there say nothing
                    end, _ = server.accept()
                    end.settimeout(2)
                    asked = end.recv(1)
                end.sendall(b"!")
                return (client, end) if client.recv(1) else None
            except OSError:
                return None

        sites.links["near", "far"] = 2
        sites.link("near", "far", "  resumeGrace: 60s\n")
        wait("the grace is a minute", lambda: sites.status("near", "link", "far").get("appliedCost") == 2)
        client, end = wait("clients are served", opened, 30)
        sites.stop("far")
        began = time.monotonic()
        client.settimeout(1)
        try:
            ended = client.recv(1)
            check(False, f"a lost link alone ends nothing within its grace: {ended}")
        except TimeoutError:
            pass
        sites.start("far")
        client.settimeout(30)
        try:
            ended = client.recv(1) or "FIN"
        except (ConnectionResetError, TimeoutError) as error:
            ended = type(error).__name__
        print(f"   {ended} {time.monotonic() - began:.1f} s after the egress was killed")
        check(ended == "ConnectionResetError", f"the client is reset, not {ended}")
        wait("new clients are served", opened)


def test_a_plain_site_says_where_connections_go(_):
    """What the pages show of a cluster, asked of the proxy itself."""
    with PlainSites("127.93.6", "near", "middle", "far") as sites, socket.create_server((sites.address("far"), 7401)):
        sites.service("near", "web", 7400, "")
        sites.write("far", "service-web", "kind: Service\nmetadata: {name: web}\nspec:\n"
                    f"  ports: [{{name: tcp, port: 7400, targetPort: 7401}}]\n  hosts: [{sites.address('far')}]\n")

        def ask(*words):
            done = subprocess.run([str(BIN / "tieline"), *words, "--proxy", f"{sites.address('near')}:5673"], text=True, capture_output=True, timeout=20)
            return done.stdout or done.stderr
        wait("far is known", lambda: "The next connection goes to far" in ask("explain", "web"), 20)
        socket.create_connection((sites.address("near"), 7400), 5).close()
        # The kernel has taken it; the proxy may come to it later.
        wait("it was given a server", lambda: "LAST PICKS" in ask("explain", "web"))
        for words, seen in ((["explain", "web"], "middle > far"), (["trace", "web"], "A stream to a server of far opened in"),
                            (["routes", "--to", "far"], "middle > far"), (["topology"], "far"), (["topology", "-o", "mermaid"], "flowchart LR"),
                            (["topology", "-o", "dot"], "graph tieline"), (["topology", "-o", "json"], '"gateways"'), (["topology", "-o", "yaml"], "gateways:"),
                            (["explain", "wed"], "it knows web/tcp"), (["trace", "web", "--site", "fare"], "it is served by far")):
            answer = ask(*words)
            if "-o" not in words:
                print(f"   $ tieline {' '.join(words)}\n   " + answer.strip().replace("\n", "\n   "))
            check(seen in answer, f"tieline {words} says {seen}: {answer}")


def test_five_sites_share_two_servers_as_one_site_would(_):
    """With load reports; without them each site has 20 connections more at the server that costs 20 less: 550 and 450."""
    near, far = [f"in{number}" for number in range(5)], ["cheap", "dear"]
    links = {(one, other): cost for one in near for other, cost in (("cheap", 10), ("dear", 30))}
    with PlainSites("127.93.8", *near, *far, links=links) as sites, contextlib.ExitStack() as stack:
        taken = {name: [] for name in far}
        for name in far:
            server = stack.enter_context(socket.create_server((sites.address(name), 7311), backlog=500))
            threading.Thread(target=accept, args=(server, taken[name]), daemon=True).start()
            sites.write(name, "service-web", "kind: Service\nmetadata: {name: web}\nspec:\n  balancing: {loadFrom: AllSites}\n"
                        f"  ports: [{{name: tcp, port: 7310, targetPort: 7311}}]\n  hosts: [{sites.address(name)}]\n")
        for name in near:
            sites.service(name, "web", 7310, "  balancing: {loadFrom: AllSites}\n")

        def usable(name):
            targets = sites.status(name, "service", "web").get("targets", [])
            return sum(one["state"] == "Usable" for one in targets) == 2
        for name in near:
            wait(f"{name} sees both servers", lambda: usable(name), 30)
        clients = []
        for _ in range(200):
            for name in near:
                client = stack.enter_context(socket.create_connection((sites.address(name), 7310), 5))
                client.sendall(b"?")
                clients.append(client)
            time.sleep(0.02)

        def counts():
            """What asked for something: the proxies' looks whether the server is there do not."""
            found = {name: sum(1 for one in taken[name] if asked(one)) for name in far}
            return found if sum(found.values()) == 1000 else None
        found = wait("all 1,000 have arrived", counts, 20)
        print(f"   1,000 connections of five sites: {found}, at best 510 and 490")
        check(abs(found["cheap"] - 510) <= 25, f"within 5 % of the best: {found}")


def accept(server, ends):
    """Keeps what comes to a server."""
    with contextlib.suppress(OSError):
        while True:
            ends.append(server.accept()[0])


def asked(end):
    try:
        return end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"?"
    except OSError:
        return False


def test_p5_a_file_that_is_written_slowly_or_emptied(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, servers(1) as ports:
        text = service("one", 7100, ports[0])
        path = pathlib.Path(folder, "services.yaml")
        path.write_text(text)
        pathlib.Path(folder, "site.yaml").write_text(SITE)

        def states():
            file = pathlib.Path(folder, "status", "service-one.json")
            found = json.loads(file.read_text())["status"]["conditions"] if file.exists() else []
            return {c["type"]: c["status"] for c in found}

        with running(proxy("--site-dir", folder), pathlib.Path(folder, "log")):
            wait("the service is ready", lambda: takes(7100) and states().get("Ready") == "True", 20)
            with open(path, "w") as slow:
                slow.write(text[:40])
                slow.flush()
                pathlib.Path(folder, "other.yaml").write_text(service("two", 7101, ports[0]))
                wait("it waits for its writer", lambda: (states()["Accepted"], states()["Ready"]) == ("Unknown", "False"))
                check(takes(7100), "what the file held works on")
                check(not takes(7101), "and so does the rest of the folder, as it was")
                slow.write(text[40:])
            wait("all of it is applied", lambda: takes(7101) and states()["Ready"] == "True")
            path.write_text("")
            wait("an empty file is a problem", lambda: (states()["Accepted"], states()["Ready"]) == ("False", "False"))
            check(takes(7100), "and takes nothing away")


def test_p6_a_name_with_addresses_of_both_kinds_is_one_server(_):
    server = lambda name, port, target, host: service(name, port, target).replace(f"[{ADDRESS}]", f"['{host}']")
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, socket.create_server(("127.0.0.1", 0), backlog=100) as one:
        port = one.getsockname()[1]
        pathlib.Path(folder, "site.yaml").write_text(
            SITE + server("named", 7100, port, "twofold.example") + server("mapped", 7101, port, "::ffff:127.0.0.1"))
        pathlib.Path(folder, "names").write_text("127.0.0.1 twofold.example\n::1 twofold.example\n")
        script = f'mount --bind {folder}/names /etc/hosts && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *proxy("--site-dir", folder)]

        def endpoints(name):
            file = pathlib.Path(folder, "status", f"service-{name}.json")
            targets = json.loads(file.read_text())["status"].get("targets", []) if file.exists() else []
            return [target["endpoints"] for target in targets]

        with running(command, pathlib.Path(folder, "log")):
            for name, number in (("named", 7100), ("mapped", 7101)):
                wait(f"the server of {name} counts once", lambda: endpoints(name) == [1], 20)
                check(all(takes(number) for _ in range(5)), f"the clients of {name} reach it")
                check(endpoints(name) == [1], f"it still counts once: {endpoints(name)}")
