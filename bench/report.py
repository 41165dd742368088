"""What came out: a table on the terminal, the same in Markdown, all samples in JSON, a plot in SVG."""

import html
import json

from measure import median, spread


class Result:
    """One row's samples: {subject: [sample or None for each round]}, and why subjects are missing."""

    def __init__(self, row, peers):
        self.row = row
        self.peers = peers          # names of the subjects that are peers of weir
        self.samples = {}
        self.missing = {}

    def figures(self, name):
        return [sample["figure"] for sample in self.samples.get(name, []) if sample]

    def subjects(self):
        return [name for name in self.samples if self.figures(name)]

    def value(self, name):
        """The figure of all rounds."""
        return self.row.choose(self.figures(name))

    def best_peer(self):
        present = [name for name in self.subjects() if name in self.peers]
        return min(present, key=self.value) if present else None

    def ratio(self, name, against):
        """Median of the ratios inside one round: what disturbs a whole round cancels out. Rows that
        choose otherwise compare what they chose."""
        if self.row.choose is not median:
            return self.value(name) / self.value(against) if self.value(against) > 0 else None
        ratios = [mine["figure"] / theirs["figure"]
                  for mine, theirs in zip(self.samples.get(name, []), self.samples.get(against, []))
                  if mine and theirs and theirs["figure"]]
        return median(ratios) if ratios else None

    def extra(self, name, key, choose=median):
        values = [sample[key] for sample in self.samples.get(name, []) if sample and key in sample]
        return choose(values) if values else None

    def verdicts(self):
        """[(text, met)] for each target that can be judged."""
        told = []
        for target in self.row.targets:
            if target.subject not in self.subjects():
                continue
            against = self.best_peer() if target.against == "best" else target.against
            if target.against and against not in self.subjects():
                continue
            if target.against:
                value = self.ratio(target.subject, against)
                if value is None:
                    continue
                name = "the best peer (%s)" % against if target.against == "best" else against
                text = "%s / %s = %.2f, target ≤ %.2f" % (target.subject, name, value, target.factor)
            else:
                value = self.value(target.subject)
                text = "%s: %s, target ≤ %s" % (target.subject, _number(value), _number(target.factor))
            told.append((text, value <= target.factor))
        return told


def _number(value):
    if value is None:
        return ""
    return "%.3g" % value if abs(value) < 100 else "{:,.0f}".format(value)


# Values that are printed beside the figure, where a sample has them.
EXTRAS = [
    ("per_second", "per second", median),
    ("per_cpu_second", "per CPU-second", median),
    ("p50", "p50 µs", median),
    ("p99", "p99 µs", median),
    ("p999", "p99.9 µs", median),
    ("cpu_us", "CPU µs/request", median),
    ("calm_p99", "p99 before, µs", median),
    ("storm_p99", "p99 in the storm, µs", median),
    ("low_us", "CPU µs before", median),
    ("high_us", "CPU µs after", median),
]


def row_table(result):
    """(header, rows of text) of one row."""
    extras = [(key, title, choose) for key, title, choose in EXTRAS
              if any(result.extra(name, key) is not None for name in result.subjects())]
    best = result.best_peer()
    header = ["", result.row.unit, "±", "to best peer"] + [title for _, title, _ in extras]
    lines = []
    for name in sorted(result.subjects(), key=result.value):
        ratio = result.ratio(name, best) if best else None
        noise = spread(result.figures(name))
        lines.append([name, _number(result.value(name)), "%.0f %%" % (noise * 100) if noise is not None else "",
                      "%.2f" % ratio if ratio else ""] +
                     [_number(result.extra(name, key, choose)) for key, _, choose in extras])
    return header, lines


def row_text(result):
    """One row for the terminal."""
    header, lines = row_table(result)
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    out = ["", "%s  [%s]" % (result.row.title, result.row.name)]
    for line in [header, *lines]:
        out.append("  " + "  ".join([line[0].ljust(widths[0])] +
                                    [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]).rstrip())
    out += ["  %s: %s" % (name, why) for name, why in result.missing.items()]
    out += ["  %s  %s" % ("met   " if met else "missed", text) for text, met in result.verdicts()]
    return "\n".join(out)


# --- files -------------------------------------------------------------------------------------------


def markdown(results, about):
    out = ["# weir beside its peers", "",
           "Made by `./dev bench%s` on %s." % (about["arguments"], about["date"]),
           "%s; %s; kernel %s; %s." % (about["cpu"], about["cores"], about["kernel"], about["openssl"]),
           "Subjects: %s." % ", ".join(" ".join(filter(None, pair)) for pair in about["versions"].items()),
           "Figures are medians of interleaved rounds, ratios are medians of ratios inside one round, ± is half "
           "the distance between the quartiles. The hypervisor took away up to %.1f %% of the time of a sample. "
           "How it is measured: bench/README.md." % (about["worst_steal"] * 100), ""]
    for result in results:
        header, lines = row_table(result)
        out += ["## %s" % result.row.title, "", _markdown_line(header), "|" + "---|" + "---:|" * (len(header) - 1)]
        out += [_markdown_line(line) for line in lines] + [""]
        out += ["- %s: %s" % (name, why) for name, why in result.missing.items()]
        out += ["- %s: **%s**" % (text, "met" if met else "missed") for text, met in result.verdicts()] + [""]
    return "\n".join(out)


def _markdown_line(cells):
    return "| " + " | ".join(cells) + " |"


def as_json(results, about):
    rows = [{"name": result.row.name, "title": result.row.title, "unit": result.row.unit,
             "figures": {name: result.value(name) for name in result.subjects()},
             "best_peer": result.best_peer(),
             "ratio_to_best_peer": {name: result.ratio(name, result.best_peer()) for name in result.subjects()},
             "targets": [{"text": text, "met": met} for text, met in result.verdicts()],
             "missing": result.missing, "samples": result.samples} for result in results]
    return json.dumps({"about": about, "rows": rows}, indent=1, ensure_ascii=False)


COLOURS = {"weir": "#0b6e99", "weir-h2up": "#4aa3c7", "relay": "#9a9a9a", "accept": "#9a9a9a", "direct": "#9a9a9a"}
PEER_COLOUR = "#d9a662"


def svg(results, about):
    """Bars, one block for each row, each block to its own scale: shorter is better."""
    left, bar_room, line, gap, top = 130, 420, 17, 34, 44
    height = top + sum(gap + line * len(result.subjects()) for result in results) + 20
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="760" height="%d" font-family="sans-serif" '
           'font-size="12">' % height,
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="20" font-size="15">weir beside its peers: shorter is better</text>',
           '<text x="10" y="36" fill="#666">%s</text>' % html.escape("%s, %s" % (about["date"], about["cpu"]))]
    y = top
    for result in results:
        names = sorted(result.subjects(), key=result.value)
        y += gap
        out.append('<text x="10" y="%d" font-weight="bold">%s</text>'
                   % (y - 8, html.escape("%s, %s" % (result.row.title, result.row.unit))))
        longest = max((abs(result.value(name)) for name in names), default=0) or 1
        for name in names:
            width = max(1, bar_room * max(0, result.value(name)) / longest)
            out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + 12, name))
            out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'
                       % (left, y + 2, width, line - 4, COLOURS.get(name, PEER_COLOUR)))
            out.append('<text x="%.1f" y="%d">%s</text>' % (left + width + 6, y + 12, _number(result.value(name))))
            y += line
    return "\n".join(out + ["</svg>", ""])


def write(directory, results, about):
    directory.mkdir(parents=True, exist_ok=True)
    stem = about["date"].replace(" ", "-").replace(":", "")
    for suffix, text in ((".json", as_json), (".md", markdown), (".svg", svg)):
        (directory / (stem + suffix)).write_text(text(results, about))
    return directory / stem
