#!/usr/bin/env python3
"""Kills the controller around each of its writes, and compares what becomes of it with runs without faults.

    kill-after-write.py [--sample [--seed N]] [--clusters N] [WORKLOAD[:WRITE[:before|after]]...]

WORKLOAD: create, scale, rename, cost, delete, recreate, rotate, renew, identity, forget, clash, targets, link, join (default: all).
Of each, the writes of two fault-free runs are counted, Events among them; then, for each write in turn, the controller is
SIGKILLed before the answer reaches it, and in another run right after. The end state must be that of the fault-free runs:
spec and conditions; which objects, addresses and keys are as before and which are new; gateways that were replaced or
restarted; the Events told, none lost and none twice; and nothing deleted, or made, that was not there. What differs between
two fault-free runs is not compared. A run holds only if its kill was met; one that met none made fewer writes,
which is told for the last two of a workload; for any other write it is tried again, and then failed.

Runs share a cluster, each with its own namespaces: they are prepared together, killed one after another, and looked at again
when the last one is through. With --clusters N (2) so many clusters share the work: a run waits more than it computes. With
--sample `create` and two other workloads go on side by side in one cluster, and the controller dies at the first or the last
write of each, and at another one; N draws all that. All with a real API server, real gateways, and the rights that the
controller has when it is installed. TIELINE_BIN names the folder of the programs (default: the release build), TIELINE_KILL_LOG
where what the controllers say is to be written. The last line says `N runs held, M failed`.
"""
import argparse
import concurrent.futures
import pathlib
import random
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "Tests" / "EndToEnd"), str(ROOT / "hack" / "kill")]

from cluster import check, end_with_clusters  # noqa: E402
from runs import ATTEMPTS, Run, in_lane  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

BATCH = 8
WIDTH = 12
SIDES = ("before", "after")
# What --sample draws from: after a kill `recreate` waits for half a minute, and `targets` needs an old Service.
QUICK = sorted(WORKLOADS.keys() - {"create", "recreate", "targets"})


class Results:
    """What became of the runs; printed as they end."""

    def __init__(self):
        self.held, self.failed, self.unmet = 0, 0, 0

    def take(self, run, reference):
        """Returns the run that takes its place; None: it is done."""
        if not run.wrong and run.met:
            self.held += 1
            print(f"held {run} ({run.seconds:.1f} s)", flush=True)
        elif run.wrong:
            self.failed += 1
            print(f"FAILED {run}: {'; '.join(run.wrong[:6])}", flush=True)
            for method, path, status in run.writes:
                print(f"    {status} {method} {path}", flush=True)
        elif run.at > reference.certain:
            self.unmet += 1
            print(f"met no kill: {run}; it made fewer writes", flush=True)
        elif run.attempt < ATTEMPTS:
            return run.again()
        else:
            self.failed += 1
            print(f"FAILED {run}: {ATTEMPTS} runs met no kill", flush=True)
        return None

    def end(self):
        if self.unmet:
            print(f"{self.unmet} runs made fewer writes than a fault-free one, and met no kill")
        print(f"{self.held} runs held, {self.failed} failed")
        return 1 if self.failed or not self.held else 0


class Work:
    """The runs that nobody has begun, what they are compared with, and what became of the others."""

    def __init__(self, options):
        self.options, self.lock, self.todo = options, threading.Lock(), []
        self.references, self.results = concurrent.futures.Future(), Results()

    def lane(self, number):
        """One cluster. The first one makes the references for all."""
        try:
            in_lane(number, 1, lambda lane: self.share(lane, number == 0))
        except BaseException as error:
            if number == 0 and not self.references.done():
                self.references.set_exception(error)
            raise

    def share(self, lane, is_first):
        if is_first:
            self.plan(lane)
        references = self.references.result()
        while runs := self.next():
            lane.prepare(runs)
            self.batch(lane, runs, references)
            lane.clean(runs)

    def batch(self, lane, runs, references):
        lane.batch(runs, references, lambda run: self.take(run, references[run.workload.name]))

    def next(self):
        with self.lock:
            runs, self.todo = self.todo[:BATCH], self.todo[BATCH:]
            return runs

    def take(self, run, reference):
        with self.lock:
            if another := self.results.take(run, reference):
                self.todo.append(another)

    def plan(self, lane):
        """All kills of the chosen workloads."""
        chosen = [name.split(":") for name in self.options.workloads or WORKLOADS]
        runs = [Run(name) for name in dict.fromkeys(words[0] for words in chosen) for _ in range(2)]
        lane.prepare(runs)
        references = lane.references(runs)
        lane.clean(runs)
        report(references)
        self.todo = [Run(name, at, when) for name, *rest in chosen for at, when in kills(rest, references[name])]
        self.references.set_result(references)

    def sample(self, lane):
        """All at once: the runs without a fault and then the others, prepared together."""
        dice = random.Random(self.options.seed)
        names = [name.split(":")[0] for name in self.options.workloads] or ["create", *sorted(dice.sample(QUICK, 2))]
        pairs = [Run(name) for name in names for _ in range(2)]
        runs = {name: [Run(name), Run(name)] for name in names}
        every = [run for those in runs.values() for run in those]
        lane.prepare(pairs + every)
        references = lane.references(pairs)
        report(references)
        for name, those in runs.items():
            fewest = references[name].fewest
            first = (dice.choice((1, fewest)), dice.choice(SIDES))
            others = [(at, when) for at in range(1, fewest + 1) for when in SIDES if (at, when) != first]
            for run, kill in zip(those, (first, dice.choice(others))):
                run.at, run.when = kill
        self.batch(lane, every, references)
        self.references.set_result(references)
        self.share(lane, False)


def report(references):
    for name, reference in references.items():
        check(reference.fewest, f"{name} writes nothing")
        print(f"-- {name}: {reference.count} writes, {len(reference.deleted)} deletions", flush=True)


def kills(words, reference):
    """At which writes, and on which side of the answer, a workload meets its kills."""
    writes = [int(words[0])] if words else range(1, reference.count + 1)
    return [(at, when) for at in writes for when in (words[1:] or SIDES)]


def workload(text):
    name, *rest = text.split(":")
    if name not in WORKLOADS or len(rest) > 2 or rest[:1] and not rest[0].isdigit() or rest[1:] and rest[1] not in SIDES:
        raise argparse.ArgumentTypeError(f"{text} is no WORKLOAD[:WRITE[:before|after]]")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--clusters", type=int, default=2)
    parser.add_argument("workloads", nargs="*", type=workload)
    options = parser.parse_args()
    end_with_clusters()
    work = Work(options)
    if options.sample:
        print(f"-- seed {options.seed}", flush=True)
        in_lane(0, WIDTH, work.sample)
    else:
        with concurrent.futures.ThreadPoolExecutor(options.clusters) as pool:
            for lane in [pool.submit(work.lane, number) for number in range(options.clusters)]:
                lane.result()
    return work.results.end()


if __name__ == "__main__":
    sys.exit(main())
