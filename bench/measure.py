"""Looking at processes from outside: CPU time, memory, and how quiet the machine was meanwhile."""

import os
import statistics


def tree(pid):
    """`pid` and all its descendants."""
    found = [pid]
    for one in found:
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task)) as file:
                    found += [int(child) for child in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def cpu_files(pid):
    """The files whose first numbers, in ns, add up to the CPU time of the tree of `pid`: one a thread.

    It is the sum that /proc/PID/stat shows as utime + stime, there in steps of 10 ms.
    """
    files = []
    for one in tree(pid):
        try:
            files += ["/proc/%d/task/%s/schedstat" % (one, task) for task in os.listdir("/proc/%d/task" % one)]
        except FileNotFoundError:
            pass
    return files


def cpu_seconds(pid):
    """CPU time, user and system, that the tree of `pid` has used."""
    total = 0
    for name in cpu_files(pid):
        try:
            with open(name) as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that ended just now
    return total / 1e9


def resident_bytes(pid):
    """Resident memory of the tree; pages shared between its processes count once in each."""
    total = 0
    for one in tree(pid):
        with open("/proc/%d/smaps_rollup" % one) as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))
    return total


def open_descriptors(pid):
    return sum(len(os.listdir("/proc/%d/fd" % one)) for one in tree(pid))


class Quiet:
    """The stolen and the idle share of the machine's time in a with block."""

    def __enter__(self):
        self.before = self._ticks()
        return self

    def __exit__(self, *_):
        spent = [after - before for before, after in zip(self.before, self._ticks())]
        total = sum(spent[:8]) or 1
        self.steal = spent[7] / total
        self.idle = (spent[3] + spent[4]) / total

    @staticmethod
    def _ticks():
        with open("/proc/stat") as file:
            return [int(word) for word in file.readline().split()[1:]]


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the distance between the quartiles, relative to the median: how much to believe."""
    if len(values) < 3 or not median(values):
        return None
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / abs(median(values))
