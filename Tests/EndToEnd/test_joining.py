"""Plain sites that join by tokens, and what is told where they cannot; proxies that are killed at any moment of it."""
import contextlib
import fcntl
import json
import random
import subprocess
import time
import urllib.request

from cluster import BIN, check, wait
from kills import CONFIGURATIONS, PORT, PROGRAM, Gate, at_each_step
from network import API
from plain_sites import PlainSites
from traffic import finish

PREFIX = "127.82.1"
SOON = 30


def tieline(*arguments, stdin=None):
    done = subprocess.run([str(BIN / "tieline"), *arguments], input=stdin, text=True, capture_output=True, timeout=30)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr.strip())
    return done.stdout


def open_to_links(sites, name, spec=""):
    sites.write(name, "site", f"kind: Site\nmetadata: {{name: {name}}}\nspec:\n"
                f"  linkAccess: {{type: External, hosts: [{sites.address(name)}]}}\n{spec}")
    wait(f"{name} can be dialed", lambda: sites.status(name, "site", name).get("endpoints"), SOON)


def folder(sites, name):
    return str(sites.folder / name)


def issue(sites, name, uses=1, expires="1h"):
    return tieline("token", "issue", "--site-dir", folder(sites, name), "--uses", str(uses), "--expires", expires)


def keep(sites, name, token, link):
    """Keeps the token, and returns the Link."""
    return tieline("token", "redeem", "-", "--site-dir", folder(sites, name), "--name", link, stdin=token)


def declare(sites, name, link, made):
    sites.write(name, f"link-{link}", made.removeprefix(f"apiVersion: {API}\n"))


def redeem(sites, name, token, link="host"):
    declare(sites, name, link, keep(sites, name, token, link))


def connected(sites, name, link="host"):
    return next((one for one in sites.status(name, "link", link).get("conditions", []) if one["type"] == "Connected"), {})


def joined(sites, name, link="host", seconds=SOON):
    return wait(f"{name} is linked", lambda: connected(sites, name, link).get("status") == "True", seconds)


def told(sites, name, words, reason="NotAllowed", link="host"):
    seen = lambda: (found := connected(sites, name, link)) and words in found.get("message", "") and found
    found = wait(f"{name} is told: {words}", seen, SOON)
    check(found["reason"] == reason, f"{found}")
    print(f"   {found['reason']}: {found['message']}")


def grants(sites, name):
    return {file.stem: json.loads(file.read_text()) for file in (sites.folder / name / "grants").glob("*.json")}


def siteid(sites, name):
    return sites.status(name, "site", name)["siteID"]


def admitted(sites, name):
    return sorted(one["siteID"] for entry in grants(sites, name).values() for one in entry["admitted"])


def restart(sites, name):
    sites.stop(name)
    sites.start(name)


def test_plain_sites_issue_and_redeem_tokens(_):
    with PlainSites(PREFIX, "host", "guest", "other", links={}) as sites:
        open_to_links(sites, "host")
        token = issue(sites, "host")
        secret = next(line.split()[-1] for line in token.splitlines() if line.strip().startswith('"secret"') or line.strip().startswith("secret:"))
        file = next((sites.folder / "host" / "grants").glob("*.json"))
        check(secret.strip('",') not in file.read_text(), "the issuer keeps a digest only")
        check(file.stat().st_mode & 0o777 == 0o600, f"nobody else reads it: {file.stat().st_mode:o}")
        redeem(sites, "guest", token)
        joined(sites, "guest")
        check(admitted(sites, "host") == [siteid(sites, "guest")], f"{grants(sites, 'host')}")
        redeem(sites, "other", token)
        told(sites, "other", "was used by")
        # Whoever came stays, without the token, whatever starts anew.
        restart(sites, "host")
        restart(sites, "guest")
        for file in (sites.folder / "guest" / "tokens").glob("*.json"):
            file.unlink()
        joined(sites, "guest")
        # Out again, for good: neither the token nor another start brings it back.
        cut = tieline("link", "revoke", siteid(sites, "guest"), "--site-dir", folder(sites, "host"), "--apply")
        began = time.monotonic()
        wait("the guest is cut off", lambda: connected(sites, "guest").get("reason") == "NotAllowed", 20)
        print(f"   cut off {time.monotonic() - began:.1f} s after: {cut.strip().splitlines()[-1]}")
        redeem(sites, "guest", token)
        told(sites, "guest", "before it was cut off")
        told(sites, "other", "was used by")


def test_what_is_wrong_with_a_token_is_told(_):
    with PlainSites(PREFIX, "host", "guest", "other", links={}) as sites:
        for name in ("host", "other"):
            open_to_links(sites, name)
        # It expires between the two commands: nobody has claimed it by then.
        late = issue(sites, "host", expires="2s")
        made = keep(sites, "guest", late, "late")
        wait("it is too late", lambda: "expired at" in refusal("token", "redeem", "-", stdin=late), 20)
        declare(sites, "guest", "late", made)
        told(sites, "guest", "expired at", link="late")
        check("and it is" in connected(sites, "guest", "late")["message"], "both clocks are shown")
        # Withdrawn: its file is gone.
        token = issue(sites, "host")
        made = keep(sites, "guest", token, "gone")
        for file in (sites.folder / "host" / "grants").glob("*.json"):
            file.unlink()
        (sites.folder / "guest" / "link-late.yaml").unlink()
        declare(sites, "guest", "gone", made)
        told(sites, "guest", "none of this site's", link="gone")
        # The token itself is missing here.
        for file in (sites.folder / "guest" / "tokens").glob("*.json"):
            file.unlink()
        told(sites, "guest", "there is no token", link="gone")
        (sites.folder / "guest" / "link-gone.yaml").unlink()
        # Nobody there; and another site there.
        for link, name, reason in (("nowhere", "guest", "Unreachable"), ("wrong", "other", "SiteIDMismatch")):
            declare(sites, "guest", link, keep(sites, "guest", token, link).replace(sites.address("host"), sites.address(name)))
            told(sites, "guest", "", reason, link)
            (sites.folder / "guest" / f"link-{link}.yaml").unlink()


def refusal(*arguments, stdin=None):
    return subprocess.run([str(BIN / "tieline"), *arguments], input=stdin, text=True, capture_output=True, timeout=30).stderr


STEPS = {  # what is seen once each has been done
    "issued": lambda sites: grants(sites, "host"),
    "redeemed": lambda sites: list((sites.folder / "guest" / "tokens").glob("*.json")),
    "declared": lambda sites: connected(sites, "guest"),
    "claimed": lambda sites: "is good" in connected(sites, "guest").get("message", "") or admitted(sites, "host"),
    "admitted": lambda sites: admitted(sites, "host"),
    "linked": lambda sites: connected(sites, "guest").get("status") == "True",
}


def test_no_kill_at_any_step_burns_a_token(_):
    """Each site is killed with SIGKILL once each step is seen, and at random moments while three sites come by a token for one."""
    with PlainSites(PREFIX, "host", "guest", "other", "third", links={}) as sites:
        open_to_links(sites, "host")
        for victim in ("host", "guest"):
            for step, seen in STEPS.items():
                began = time.monotonic()
                goes_on(sites, victim, step, seen)
                print(f"   {victim} killed when it was {step}: linked after {time.monotonic() - began:.1f} s")
        token, dice = issue(sites, "host"), random.Random(7)
        for name in ("guest", "other", "third"):
            redeem(sites, name, token)
        for _ in range(8):
            time.sleep(dice.random())
            restart(sites, dice.choice(("host", "guest", "other", "third")))
        linked = lambda: [name for name in ("guest", "other", "third") if connected(sites, name).get("status") == "True"]
        wait("one of them is let in", linked, 60)
        refused = lambda: [name for name in ("guest", "other", "third") if "was used by" in connected(sites, name).get("message", "")]
        wait("the others are told that it is used up", lambda: len(refused()) == 2, 60)
        check(len(linked()) == 1 and [siteid(sites, linked()[0])] == admitted(sites, "host"), f"exactly one: {grants(sites, 'host')}")


def goes_on(sites, victim, step, seen):
    """A site comes by a token of its own; `victim` is killed after the step. What is repeated changes nothing; then it is cut off again."""
    steps = list(STEPS)
    token = issue(sites, "host")
    after(sites, victim, step == "issued", seen)
    made = keep(sites, "guest", token, "host")
    after(sites, victim, step == "redeemed", seen)
    declare(sites, "guest", "host", made)
    after(sites, victim, steps.index(step) > 1, seen)
    keep(sites, "guest", token, "host")
    joined(sites, "guest", seconds=60)
    check(admitted(sites, "host") == [siteid(sites, "guest")], f"it came once: {grants(sites, 'host')}")
    (sites.folder / "guest" / "link-host.yaml").unlink()
    for place, kind in (("guest", "tokens"), ("host", "grants")):
        for file in (sites.folder / place / kind).glob("*.json"):
            file.unlink()
    wait("nothing is left of it", lambda: not connected(sites, "guest"), 20)


def after(sites, victim, is_due, seen):
    if is_due:
        wait("the step is done", lambda: seen(sites), SOON, every=0.01)
        restart(sites, victim)


class HostSites:
    """Plain sites on loopback addresses; the gate has one of its own."""
    PLACE = f"{PREFIX}.9"

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.sites = stack.enter_context(PlainSites(PREFIX, "host", "guest", "other", links={}))
            self.sites.write("host", "site", f"kind: Site\nmetadata: {{name: host}}\nspec:\n  linkAccess: {{type: External, hosts: [{self.PLACE}]}}\n")
            wait("it can be dialed", lambda: self.sites.status("host", "site", "host").get("endpoints"))
            process = subprocess.Popen([*PROGRAM, self.PLACE, PORT, self.sites.address("host"), PORT], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            stack.callback(finish, process)
            self.gate, self.ids, self.stack = Gate(process), self.sites.ids, stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def issue(self):
        return issue(self.sites, "host")

    def configurations(self):
        with urllib.request.urlopen(f"http://{self.sites.address('host')}:5673/metrics", timeout=5) as answer:
            return next(float(line.split()[-1]) for line in answer.read().decode().splitlines() if line.startswith(CONFIGURATIONS))

    def join(self, role, token):
        redeem(self.sites, role, token)

    def connected(self, role):
        return connected(self.sites, role)

    def admitted(self):
        return admitted(self.sites, "host")

    def claims(self):
        key = (self.sites.folder / "host" / "identity" / "snapshot.key").read_text().strip()
        asked = urllib.request.Request(f"http://{self.sites.address('host')}:5673/v1/snapshot", headers={"Authorization": f"Bearer {key}"})
        with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=5) as answer:
            return [one["site"]["id"] for one in json.load(answer).get("claims", [])]
        return None

    def kill(self, role):
        self.sites.stop(role)

    def start(self, role):
        self.sites.start(role)

    def settle(self):
        """They are there."""

    @contextlib.contextmanager
    def nothing_written(self):
        with open(self.sites.folder / "host" / "grants" / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def clean(self):
        for role in ("guest", "other"):
            (self.sites.folder / role / "link-host.yaml").unlink()
        for place, kind in (("guest", "tokens"), ("other", "tokens"), ("host", "grants")):
            for file in (self.sites.folder / place / kind).glob("*.json"):
                file.unlink()
        left = lambda: [*self.claims(), *(self.connected(role) for role in ("guest", "other") if self.connected(role))]
        wait("nothing is left of it", lambda: not left())
        files = [file.name for role in self.sites.names for kind in ("tokens", "grants") for file in (self.sites.folder / role / kind).glob("*")]
        check(set(files) <= {".lock"}, f"no file is left: {files}")


def test_kills_at_each_step_burn_no_token(_):
    with HostSites() as sites:
        at_each_step(sites)
