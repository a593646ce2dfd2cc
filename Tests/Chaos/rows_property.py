"""B6: the same random conversations over TCP and through one, two and three proxies; what both ends see is the same."""
import json
import os
import random
import subprocess
import time

from lab import TOOLS, Lab
from table import row

LANES = 16  # of script.c
FIRST_PORT, SERVERS = 8100, 9100
HOME = "10.77.0.254"  # the lab's own address, where the driver runs


def conversations(scale, disturb):
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 31))
    first, count = (int(os.environ["CHAOS_SCRIPT"]), 1) if "CHAOS_SCRIPT" in os.environ else (0, scale(100_000, 2_000))
    print(f"   CHAOS_SEED={seed} has these scripts again, with CHAOS_SCRIPT=K only that one", flush=True)
    with Lab() as lab:
        i, j, t, e = sites = [lab.site(name) for name in "ijte"]
        for each in sites:
            each.boot()
        ids = {each: each.identity for each in sites}
        t.configure(allow=[{"siteID": ids[j]}])
        e.configure(allow=[{"siteID": ids[i]}, {"siteID": ids[t]}])
        for each in sites:
            for number in range(LANES):
                each.write("Service", f"s{number}", {
                    "ports": [{"name": "tcp", "port": FIRST_PORT + number, "targetPort": SERVERS + number}],
                    "listen": {"enabled": True}, **({"hosts": [HOME]} if each is e else {})})
        for a, b in ((i, e), (j, t), (t, e)):
            a.write("Link", b.name, {"endpoints": [{"host": b.address, "port": 5671}], "remoteSiteID": ids[b], "cost": 1})
        ways = [f"direct={HOME}:{SERVERS}", *(f"{name}={site.address}:{FIRST_PORT}" for name, site in (("one", e), ("two", i), ("three", j)))]
        told = lab.folder / "scripts"
        with open(told, "w") as file:
            driver = subprocess.Popen([str(word) for word in (TOOLS / "script", HOME, SERVERS, seed, first, count, *ways)],
                                      stdin=subprocess.PIPE, stdout=file)
        lab.processes.append(driver)
        for each in (i, j, e):
            for number in range(LANES):
                each.up(service=f"s{number}")
        driver.stdin.close()
        cuts = disturb(driver, (i, j, t), random.Random(seed))
        driver.wait(7200)
        *differences, last = told.read_text().splitlines()
        for line in differences[:40]:
            print(f"   {line}", flush=True)
        seen = json.loads(last)
        return (f"{seen['differences']} differences in {seen['scripts']} scripts, {seen['compared']} comparisons"
                f"{f', {cuts} lanes cut' if cuts else ''}, {seen['seconds']:.0f} s, seed {seed}", seen["differences"] == 0)


@row("B6", "random scripts of reads, writes, half-closes, resets, delays: direct TCP against one, two and three proxies",
     "0 differences in 100,000 scripts (2,000 quick)")
def untouched(scale):
    return conversations(scale, lambda *_: 0)


def cut_lanes(driver, sites, choice):
    """Kills the socket of a random lane of a random site, a few a second, until the driver ends; never the last one, without which
    new clients are refused."""
    count, last = 0, {}
    while driver.poll() is None:
        site = choice.choice(sites)
        lanes = site.run("ss", "-Htn", "state", "established", "dport = :5671").split("\n")
        lanes = [line.split() for line in lanes if line]
        # One that was cut is dialed again within a moment, and has its handshake before it.
        if len(lanes) > 1 and time.monotonic() - last.get(site, 0) > 1.5:
            port = choice.choice(lanes)[2].rsplit(":", 1)[1]
            site.kill_sockets("sport", "=", f":{port}")
            last[site] = time.monotonic()
            count += 1
        time.sleep(choice.uniform(0.1, 0.4))
    return count


@row("R6", "the same while lanes are cut at random", "0 differences in 100,000 scripts (2,000 quick)")
def disturbed(scale):
    return conversations(scale, cut_lanes)
