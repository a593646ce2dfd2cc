"""`Service.proxyProtocol`: a server learns who its client is, over any number of sites. HAProxy, whose protocol it is, reads the header."""
import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile

from cluster import check, wait
from plain_sites import PlainSites

PREFIX = "127.79.0"
SERVER = f"{PREFIX}.9"


@contextlib.contextmanager
def haproxy(port):
    """Answers each request with the client and the destination that the header named; refuses connections without one."""
    with tempfile.TemporaryDirectory(prefix="tieline-haproxy-") as folder:
        config, log = pathlib.Path(folder, "cfg"), pathlib.Path(folder, "log")
        config.write_text(f"""
global
  log stderr format raw local0
defaults
  mode http
  log global
  timeout client 20s
frontend f
  bind {SERVER}:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"
""")
        with open(log, "w") as errors:
            process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=errors, stdout=errors)
        try:
            wait("haproxy listens", lambda: connects((SERVER, port)), 10)
            yield log
        finally:
            process.kill()
            process.wait()


def connects(place):
    try:
        socket.create_connection(place, 2).close()
        return True
    except OSError:
        return False


def seen(place):
    """What the server saw of a client, and what the client knows of itself; None where it does not answer."""
    try:
        with socket.create_connection(place, 5) as client:
            client.settimeout(5)
            own = "%s:%d" % client.getsockname()
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while data := client.recv(4096):
                answer += data
    except OSError:
        return None
    body = answer.decode().partition("\r\n\r\n")[2].split()
    return (body[0], own) if body else None


def test_the_true_client_reaches_the_server(_):
    check(shutil.which("haproxy"), "haproxy is needed: hack/install-deps.sh")
    with PlainSites(PREFIX, "near", "middle", "far") as sites:
        provided = f"  hosts: [{SERVER}]\n  listen: {{enabled: true}}\n  proxyProtocol: true\n"
        sites.service("near", "web", 7300, "")
        with haproxy(7300) as log:
            sites.service("far", "web", 7300, provided)
            for site in ("far", "near"):
                place = (sites.address(site), 7300)
                wait(f"clients at {site} are served", lambda: seen(place), 30)
                for _ in range(20):
                    told, own = seen(place)
                    check(told == own, f"the server of a client at {site}, which is {own}, was told {told}")
            print(f"   over two links the server sees {seen((sites.address('near'), 7300))[0]}")
        # The server is gone, then back: the looks after it carry a header, too, or HAProxy would complain of each.
        wait("it is missed", lambda: seen((sites.address("near"), 7300)) is None, 20)
        with haproxy(7300) as log:
            wait("it is used again", lambda: seen((sites.address("near"), 7300)), 30)
            complaints = [line for line in log.read_text().splitlines() if "PROXY" in line]
            # One is the look of this test, which sends none.
            check(len(complaints) <= 1, f"HAProxy was sent no header: {complaints}")
        # Without the field it is not: the header is an error, or a request, to a server that expects none.
        sites.service("far", "web", 7300, provided.replace("true\n", "false\n"))
        with haproxy(7300):
            wait("without the field the server is told nothing", lambda: seen((sites.address("far"), 7300)) is None, 20)
