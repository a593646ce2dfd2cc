"""The ways from client to server that are compared: each starts its proxies, pinned to one core."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(os.environ.get("TIELINE_BIN", HERE.parent / ".build/release"))
TOOLS = pathlib.Path(os.environ["BENCH_TOOLS"])  # load and pump
PROXY_CORE, LOAD_CORE = "0", "1"
# Of two loops each has its own, beside those of load and server.
TWO_CORES = "2,3"
SERVER = "127.0.9.1:9000"
API = "tieline.dev/v1alpha1"


def pinned(core, *command, **options):
    return subprocess.Popen(["taskset", "-c", core, *map(str, command)], **options)


def wait(what, condition, set_up, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    log = set_up.folder / "log"
    sys.exit(f"bench: not within {limit} s: {what}\n{log.read_text()[-2000:] if log.exists() else ''}")


class SetUp:
    """One way from the client to the server: its proxies, and where clients connect."""

    def __init__(self, folder, name, group, address):
        self.folder = folder / f"{group}-{name}".replace(" ", "-")
        self.folder.mkdir()
        self.name, self.group, self.address = name, group, address
        self.processes = []
        self.cores = PROXY_CORE

    def start(self, *command, config=None):
        if config:
            (self.folder / config[0]).write_text(config[1])
        log = open(self.folder / "log", "a")
        self.processes.append(pinned(self.cores, *command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder))

    def ready(self):
        wait(f"{self.group}, {self.name} answers", lambda: loaded(self, "connect", 1, 0.1)["answered"] > 0, self)
        return self

    def cpu(self):
        """Seconds that the proxies have run; the clock of a process counts its ended threads too (clock_getcpuclockid(3))."""
        return sum(time.clock_gettime(~process.pid << 3 | 2) for process in self.processes)

    def private(self):
        """Bytes that only these processes use."""
        total = 0
        for process in self.processes:
            for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Private_"):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


def loaded(set_up, mode, *numbers):
    """Runs a load to its end; what it says, with `cpu`: the seconds that the proxies ran while it was counted."""
    client = pinned(LOAD_CORE, TOOLS / "load", mode, set_up.address, *numbers, stdout=subprocess.PIPE, text=True)
    try:
        client.stdout.readline()
        before = set_up.cpu()
        text = client.stdout.readline()
        cpu = set_up.cpu() - before
        if not text:
            sys.exit(f"bench: load {mode} {set_up.address} ended with nothing")
        return json.loads(text) | {"cpu": cpu}
    finally:
        client.kill()
        client.wait()


def direct(folder, group):
    return SetUp(folder, "direct", group, SERVER)


def tieline(folder, group):
    if group == "plain hop":
        set_up = SetUp(folder, "tieline", group, "127.0.9.10:8080")
        site(set_up, "one", "127.0.9.10", service(f"  hosts: [127.0.9.1]\n  listen: {{enabled: true}}\n"))
        return set_up
    if group == "two loops":
        return two_loops(folder, "tieline", 2)
    if group == "three sites":
        set_up = SetUp(folder, "tieline", group, "127.0.9.13:8080")
        return chain(set_up, {"ingress": "127.0.9.13", "transit": "127.0.9.14", "egress": "127.0.9.15"})
    set_up = SetUp(folder, "tieline", group, "127.0.9.11:8080")
    return chain(set_up, {"ingress": "127.0.9.11", "egress": "127.0.9.12"})


def one_loop(folder, group):
    return two_loops(folder, "one loop", 1)


def two_loops(folder, name, loops):
    """Two sites, each proxy with so many loops, on two cores for both."""
    first = 50 + 2 * loops
    set_up = SetUp(folder, name, "two loops", f"127.0.9.{first}:8080")
    set_up.cores = TWO_CORES
    return chain(set_up, {"ingress": f"127.0.9.{first}", "egress": f"127.0.9.{first + 1}"}, loops)


def chain(set_up, sites, loops=1):
    """Sites by name and address, each with a Link to the next one; the last has the server, the first the clients."""
    names = list(sites)
    ids = {name: site(set_up, name, sites[name], service("  hosts: [127.0.9.1]\n") if name == names[-1] else None, loops) for name in names}
    for name, onward in zip(names, names[1:]):
        write(set_up, onward, "site", f"kind: Site\nmetadata: {{name: {onward}}}\nspec:\n"
              f"  linkAccess: {{type: External, hosts: [{sites[onward]}]}}\n  allow: [{{siteID: {ids[name]}, name: {name}}}]\n")
        write(set_up, name, "link", f"kind: Link\nmetadata: {{name: {onward}}}\nspec:\n"
              f"  endpoints: [{{host: {sites[onward]}, port: 5671}}]\n  remoteSiteID: {ids[onward]}\n")
    write(set_up, names[0], "service", service(""))
    return set_up


def service(rest):
    return ("kind: Service\nmetadata: {name: backend}\nspec:\n"
            f"  ports: [{{name: tcp, port: 8080, targetPort: 9000}}]\n{rest}")


def write(set_up, name, file, text):
    fresh = set_up.folder / name / f".{file}"
    fresh.write_text(f"apiVersion: {API}\n{text}")
    fresh.rename(set_up.folder / name / f"{file}.yaml")


def site(set_up, name, address, service_text=None, loops=1):
    """Starts a plain site; its SiteID."""
    (set_up.folder / name).mkdir()
    write(set_up, name, "site", f"kind: Site\nmetadata: {{name: {name}}}\nspec: {{}}\n")
    if service_text:
        write(set_up, name, "service", service_text)
    set_up.start(BIN / "tieline-proxy", "run", "--site-dir", name, "--bind", address, "--admin", f"{address}:5673", "--loops", loops)
    status = set_up.folder / name / "status" / f"site-{name}.json"
    return wait(f"site {name} has an identity",
                lambda: status.exists() and json.loads(status.read_text())["status"].get("siteID"), set_up)


HAPROXY = """global
  maxconn 6000
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
"""


def haproxy(folder, group):
    if group == "plain hop":
        set_up = SetUp(folder, "haproxy", group, "127.0.9.20:8080")
        set_up.start("haproxy", "-db", "-f", "cfg", config=("cfg", f"{HAPROXY}listen l\n  bind {set_up.address}\n  server s {SERVER}\n"))
        return set_up
    hops = ["127.0.9.25:8443", "127.0.9.26:8443"] if group == "three sites" else ["127.0.9.22:8443"]
    set_up = SetUp(folder, "haproxy", group, "127.0.9.24:8080" if group == "three sites" else "127.0.9.21:8080")
    tls = f"ssl verify required ca-file {folder}/tls/ca.crt crt {folder}/tls/both.pem"
    # Without `no-ssl-reuse` it resumes sessions; the other rows make full handshakes.
    ends = [set_up.address] + [f"{hop} {tls}" for hop in hops]
    onward = [f"{hop} {tls} no-ssl-reuse" for hop in hops] + [SERVER]
    for index, (here, there) in reversed(list(enumerate(zip(ends, onward)))):
        set_up.start("haproxy", "-db", "-f", f"cfg{index}", config=(
            f"cfg{index}", f"{HAPROXY}listen l\n  bind {here}\n  server s {there}\n"))
    return set_up


NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {0}/{1}.pid;
error_log {0}/log;
events {{ worker_connections 16000; }}
stream {{
  proxy_buffer_size 64k;
  tcp_nodelay on;
  server {{ {2} }}
}}
"""


def nginx(folder, group):
    def start(name, server):
        set_up.start("nginx", "-c", set_up.folder / name, "-p", set_up.folder, config=(name, NGINX.format(set_up.folder, name, server)))

    if group == "plain hop":
        set_up = SetUp(folder, "nginx", group, "127.0.9.30:8080")
        start("cfg", f"listen {set_up.address} backlog=4096; proxy_pass {SERVER};")
        return set_up
    set_up = SetUp(folder, "nginx", group, "127.0.9.31:8080")
    tls = f"{folder}/tls"
    start("in", f"listen 127.0.9.32:8443 ssl backlog=4096; ssl_protocols TLSv1.3; ssl_certificate {tls}/tls.crt; ssl_certificate_key {tls}/tls.key; "
          f"ssl_client_certificate {tls}/ca.crt; ssl_verify_client on; ssl_session_cache off; proxy_pass {SERVER};")
    start("out", f"listen {set_up.address} backlog=4096; proxy_pass 127.0.9.32:8443; proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse off; "
          f"proxy_ssl_certificate {tls}/tls.crt; proxy_ssl_certificate_key {tls}/tls.key; proxy_ssl_trusted_certificate {tls}/ca.crt; "
          "proxy_ssl_verify on; proxy_ssl_name bench;")
    return set_up


def pump(folder, group):
    set_up = SetUp(folder, "pump", group, "127.0.9.41:8080")
    set_up.start(TOOLS / "pump", "in", "127.0.9.42:8443", SERVER, folder / "tls")
    set_up.start(TOOLS / "pump", "out", set_up.address, "127.0.9.42:8443", folder / "tls")
    return set_up


GROUPS = {"plain hop": [direct, tieline, haproxy, nginx], "two sites": [tieline, haproxy, nginx, pump]}
# By `--more` only.
MORE = {"three sites": [tieline, haproxy], "two loops": [tieline, one_loop]}


def certificates(folder):
    """One authority and one P-256 pair, which both ends show."""
    tls = folder / "tls"
    tls.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    quiet = {"cwd": tls, "check": True, "stderr": subprocess.DEVNULL}
    subprocess.run(["openssl", "req", "-x509", *key, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt"], **quiet)
    (tls / "ext").write_text("subjectAltName=DNS:bench\n")
    subprocess.run(["openssl", "req", "-new", *key[:-2], "-subj", "/CN=bench", "-keyout", "tls.key", "-out", "tls.csr"], **quiet)
    subprocess.run(["openssl", "x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                    "-extfile", "ext", "-out", "tls.crt"], **quiet)
    (tls / "both.pem").write_text((tls / "tls.crt").read_text() + (tls / "tls.key").read_text())


@contextlib.contextmanager
def running(folder, tls, only, groups):
    """Fresh processes of every set-up: memory that was freed is reused, and would hide what a connection costs."""
    folder.mkdir()
    (folder / "tls").symlink_to(tls)
    with contextlib.ExitStack() as stack:
        set_ups = []
        for group, makers in groups.items():
            for make in makers:
                if only in make.__name__ or make in (direct, tieline, one_loop):
                    set_ups.append(make(folder, group))
                    stack.callback(set_ups[-1].stop)
        for set_up in set_ups:
            set_up.ready()
        yield set_ups
