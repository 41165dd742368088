#!/usr/bin/python3
"""Measures weir against other proxies. `./dev bench` builds what is needed and calls this; see README.md."""

import argparse
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

import loads
import peers
import report
import work
from bed import HERE, LOAD_CORE, PROXY_CORE, Bed, Unavailable


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure weir beside its peers.")
    parser.add_argument("--quick", action="store_true", help="the main rows, short: under two minutes")
    parser.add_argument("--only", metavar="NAME,...", help="rows and subjects to take, by name (see --list)")
    parser.add_argument("--rounds", type=int, help="interleaved rounds for each row (default 5; --quick: 2)")
    parser.add_argument("--seconds", type=float, help="length of a sample, about (default 2; --quick: 0.4)")
    parser.add_argument("--list", action="store_true", help="print the names of rows and subjects")
    parser.add_argument("--tools", default=os.environ.get("WEIR_BENCH_TOOLS", HERE.parent / "build"),
                        help="where weir and the bench_* programs were built (default build)")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where results go")
    return parser.parse_args()


def chosen(only):
    """Rows and subject classes that --only leaves. Naming rows alone takes all subjects, and the other way."""
    names = set(only.split(",")) if only else set()
    rows = [row for row in work.ROWS if row.name in names]
    subjects = [subject for subject in peers.ALL if subject.name in names]
    unknown = names - {row.name for row in rows} - {subject.name for subject in subjects}
    if unknown:
        sys.exit("no row or subject is called %s; see --list" % ", ".join(sorted(unknown)))
    return rows or work.ROWS, subjects or peers.ALL


class Bench:
    def __init__(self, bed, settings):
        self.bed, self.settings = bed, settings
        self.shared = {}        # subjects that are running, or None for those that cannot, by name
        self.reasons = {}

    def run_row(self, row, classes):
        result = report.Result(row, {one.name for one in classes if one.is_peer})
        subjects = []
        for one in classes:
            if not row.takes(one):
                continue
            try:
                subject = self.prepared(row, one)
                if row.start == "shared":
                    row.warm(subject, self.settings)
                subjects.append(subject)
                result.samples[subject.name] = []
            except (Unavailable, loads.Failed) as why:
                result.missing[one.name] = str(why)
        for _ in range(row.rounds(self.settings)):
            for subject in subjects:
                result.samples[subject.name].append(self.sample(row, subject, result))
        row.finish(result.samples)
        return result

    def prepared(self, row, subject_class):
        if row.start != "shared":
            return subject_class(self.bed)
        name = subject_class.name
        if name not in self.shared and name not in self.reasons:
            try:
                self.shared[name] = subject_class(self.bed).start()
            except Unavailable as why:
                self.reasons[name] = str(why)
        if name in self.reasons:
            raise Unavailable(self.reasons[name])
        return self.shared[name]

    def sample(self, row, subject, result):
        """A sample, or None: what failed is said, and is not a figure."""
        try:
            if row.start == "fresh":
                subject.start()
            return row.sample(subject, self.settings)
        except (Unavailable, loads.Failed, OSError) as why:
            result.missing[subject.name] = "a sample failed: %s" % why
            return None
        finally:
            if row.start == "fresh":
                subject.stop()


def about(results, started):
    with open("/proc/cpuinfo") as file:
        model = [line.partition(":")[2].strip() for line in file if line.startswith("model name")][:1] or ["?"]
    versions = {}
    for result in results:
        for name in result.subjects():
            versions.setdefault(name, None)
    steal = [sample.get("steal", 0) for result in results for samples in result.samples.values()
             for sample in samples if sample]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.localtime(started)),
        "seconds": round(time.time() - started),
        "arguments": options_given(),
        "cpu": model[0],
        "cores": "%d cores, proxy on %d, load and backends on %d" % (os.cpu_count(), PROXY_CORE, LOAD_CORE),
        "kernel": platform.release(),
        "openssl": subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split(" (")[0].strip(),
        "versions": versions,
        "worst_steal": max(steal, default=0),
    }


def options_given():
    """The command line without paths, which are of no use on other machines."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in ("--tools", "--results"):
            next(words, None)
        else:
            kept.append(" " + word)
    return "".join(kept)


def add_versions(versions, bed):
    for name in versions:
        versions[name] = peers.BY_NAME[name](bed).version()


def stop_on_signal(*_):
    raise KeyboardInterrupt


def main():
    options = arguments()
    rows, classes = chosen(options.only)
    if options.list:
        print("rows:", *(row.name for row in work.ROWS))
        print("subjects:", *(subject.name for subject in peers.ALL))
        return 0
    quick = options.quick
    settings = work.Settings(seconds=options.seconds or (0.4 if quick else 2),
                             rounds=options.rounds or (2 if quick else 5), quick=quick, small=quick)
    if quick and not options.only:
        rows = [row for row in rows if row.quick]
    signal.signal(signal.SIGTERM, stop_on_signal)
    signal.signal(signal.SIGHUP, stop_on_signal)

    started, results = time.time(), []
    bed = Bed(options.tools)
    try:
        bed.set_up()
        bench = Bench(bed, settings)
        for row in rows:
            result = bench.run_row(row, classes)
            if result.samples or result.missing:
                results.append(result)
                print(report.row_text(result), flush=True)
    except KeyboardInterrupt:
        print("\nstopped; what was measured so far is kept", file=sys.stderr)
    finally:
        facts = about(results, started)
        add_versions(facts["versions"], bed)
        bed.close()
    if results:
        stem = report.write(options.results, results, facts)
        print("\n%d s; written to %s.{json,md,svg}" % (facts["seconds"], os.path.relpath(stem)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
