"""Plain sites on loopback addresses of their own: a proxy each, linked in a chain."""
import contextlib
import json
import pathlib
import subprocess
import tempfile

from cluster import BIN, wait
from network import API


class PlainSites:
    """Sites `names[0]`, `names[1]`, ..., each linked to the next, or as `links` says: {(near, far): cost}; site n has the address `PREFIX.n+1`."""

    def __init__(self, prefix, *names, programs=BIN, links=None):
        self.prefix, self.names, self.programs = prefix, names, programs
        self.links = {pair: 1 for pair in zip(names, names[1:])} if links is None else links
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="tieline-sites-")))
        self.processes, self.ids = {}, {}

    def address(self, name):
        return f"{self.prefix}.{self.names.index(name) + 1}"

    def write(self, name, file, text):
        fresh = self.folder / name / f".{file}"
        fresh.write_text(f"apiVersion: {API}\n{text}")
        fresh.rename(self.folder / name / f"{file}.yaml")

    def service(self, site, name, port, rest):
        self.write(site, f"service-{name}", f"kind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{name: tcp, port: {port}}}]\n{rest}")

    def link(self, near, far, rest=""):
        """Writes that Link; `rest` are further lines of its spec."""
        self.write(near, f"link-{far}", f"kind: Link\nmetadata: {{name: {far}}}\nspec:\n  endpoints: [{{host: {self.address(far)}, port: 5671}}]\n"
                   f"  remoteSiteID: {self.ids[far]}\n  cost: {self.links[near, far]}\n{rest}")

    def status(self, site, kind, name):
        file = self.folder / site / "status" / f"{kind}-{name}.json"
        return json.loads(file.read_text())["status"] if file.exists() else {}

    def start(self, name, *prefix, programs=None):
        """Runs the site's proxy, one of `programs`; `prefix` are words before the command."""
        address = self.address(name)
        with open(self.folder / f"{name}.log", "a") as log:
            self.processes[name] = subprocess.Popen(
                [*prefix, str((programs or self.programs) / "tieline-proxy"), "run", "--site-dir", str(self.folder / name), "--bind", address,
                 "--admin", f"{address}:5673", "--loops", "1"], stderr=log)

    def stop(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            # Nobody else ends what has been started by then.
            self.__exit__()
            raise
        return self

    def begin(self):
        for name in self.names:
            (self.folder / name).mkdir()
            self.write(name, "site", f"kind: Site\nmetadata: {{name: {name}}}\nspec: {{}}\n")
            self.start(name)
        for name in self.names:
            self.ids[name] = wait(f"{name} has an identity", lambda: self.status(name, "site", name).get("siteID"), 20)
        for near, far in self.links:
            allowed = ", ".join(f"{{siteID: {self.ids[one]}, name: {one}}}" for one, other in self.links if other == far)
            self.write(far, "site", f"kind: Site\nmetadata: {{name: {far}}}\nspec:\n"
                       f"  linkAccess: {{type: External, hosts: [{self.address(far)}]}}\n  allow: [{allowed}]\n")
            self.link(near, far)
        for near, far in self.links:
            def connected():
                conditions = self.status(near, "link", far).get("conditions", [])
                return any(c["type"] == "Connected" and c["status"] == "True" for c in conditions)
            wait(f"{near} is linked to {far}", connected, 30)

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.stack.close()
