"""Draws the dashboards with matplotlib from kept answers: draw.py FOLDER-WITH-ANSWERS FOLDER-FOR-PICTURES. See scripts/draw-dashboards.

Panels that show one moment show the moment at which most was wrong; a dotted line marks it on those that show time.
"""

import io
import json
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402
from PIL import Image  # noqa: E402

HERE = Path(__file__).resolve().parent
INCHES_WIDE, INCHES_A_ROW, LINES = 17.0, 0.33, 12
COLOURS = {"green": "#56a64b", "red": "#e02f44", "orange": "#ff9830", "blue": "#5794f2", "transparent": "#eceef1"}
NOTE = "Drawn from what the Prometheus of a lab answered during a failover, not by Grafana. Minutes since the beginning; the dotted line: one moment."


def shown(value, unit):
    """A value as people read it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "bytes":
        for name in ("B", "KiB", "MiB", "GiB", "TiB"):
            if abs(value) < 1024 or name == "TiB":
                return f"{value:.4g} {name}"
            value /= 1024
    if unit == "s":
        if abs(value) >= 2 * 86400:
            return f"{value / 86400:.3g} d"
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"
    return f"{value:.4g}" + {"ops": "/s", "reqps": "/s"}.get(unit, "")


def named(legend, labels):
    if not legend:
        return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend).strip() or "all"


def series_of(panel, answers):
    """Each series of a panel: its name, its labels and its points."""
    for target in panel["targets"]:
        answer = answers.pop(0)
        assert answer["expr"] == target["expr"], f"{panel['title']}: the answers are of other dashboards; keep them anew"
        for series in answer["series"]:
            yield named(target["legendFormat"], series["labels"]), series["labels"], series["points"]


def at_moment(points, moment):
    """The value then, where there was one within three seconds."""
    near = [(abs(time - moment), value) for time, value in points if abs(time - moment) <= 3]
    return min(near)[1] if near else None


def colour(panel, value):
    result = "blue"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            result = step["color"]
    return COLOURS[result]


def word(panel, value):
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        option = mapping["options"].get(f"{value:g}")
        if option:
            return option["text"], COLOURS[option["color"]]
    return f"{value:g}", COLOURS["blue"]


def draw_time(axes, panel, found, kept):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    minutes = lambda points: [(time - kept["start"]) / 60 for time, _ in points]  # noqa: E731
    # Those that were never anything but 0 say nothing once there are many.
    moved = [one for one in found if any(value for _, value in one[2])]
    drawn = (found if len(found) <= LINES else moved)[:LINES]
    if stacked and drawn:
        # Where a series has no point it is nothing, and not what lies between its neighbours.
        seconds = range(int(kept["end"] - kept["start"]) + 1)
        placed = [{round(time - kept["start"]): value for time, value in points} for _, _, points in drawn]
        rows = [[points.get(second, 0) for second in seconds] for points in placed]
        axes.stackplot([second / 60 for second in seconds], rows, labels=[name for name, _, _ in drawn], alpha=0.6)
    else:
        for name, _, points in drawn:
            axes.plot(minutes(points), [value for _, value in points], label=name, linewidth=1.1)
    axes.set_xlim(0, (kept["end"] - kept["start"]) / 60)
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 1e-6:
        axes.set_ylim(0, 1)
    axes.axvline((kept["at"] - kept["start"]) / 60, color="#888", linestyle=":", linewidth=0.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    axes.tick_params(labelsize=6, length=2)
    axes.grid(color="#e5e7eb", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if drawn:
        axes.legend(fontsize=5.5, loc="upper left", ncols=2 if len(drawn) > 4 else 1, framealpha=0.75, borderpad=0.3, labelspacing=0.2)


def draw_states(axes, panel, found, kept):
    for row, (name, _, points) in enumerate(found[:LINES]):
        begun = None
        for (time, value), after in zip(points, [*points[1:], (None, None)]):
            begun = time if begun is None else begun
            if after[1] != value or after[0] - time > 4:
                until = time + 1 if after[0] is None else min(after[0], time + 4)
                text, tint = word(panel, value)
                axes.add_patch(Rectangle(((begun - kept["start"]) / 60, row - 0.38), (until - begun) / 60, 0.76, color=tint, linewidth=0))
                if until - begun > 0.12 * (kept["end"] - kept["start"]):
                    axes.text((begun + until - 2 * kept["start"]) / 120, row, text, fontsize=6, ha="center", va="center")
                begun = None
    axes.set_yticks(range(len(found[:LINES])), [name for name, _, _ in found[:LINES]], fontsize=6)
    axes.set_ylim(len(found[:LINES]) - 0.4, -0.6)
    axes.set_xlim(0, (kept["end"] - kept["start"]) / 60)
    axes.axvline((kept["at"] - kept["start"]) / 60, color="#888", linestyle=":", linewidth=0.8)
    axes.tick_params(labelsize=6, length=2)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def moment_of(found, kept):
    values = [(name, labels, at_moment(points, kept["at"])) for name, labels, points in found]
    return [one for one in values if one[2] is not None]


def draw_stat(axes, panel, found, kept):
    axes.axis("off")
    values = moment_of(found, kept)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    share = 1 / max(1, len(values))
    for place, (name, _, value) in enumerate(values):
        axes.add_patch(Rectangle((place * share, 0), share * 0.98, 1, color=colour(panel, value), transform=axes.transAxes))
        text = name if panel["options"]["textMode"] == "name" else shown(value, unit)
        text += f"\n{name}" if len(values) > 1 and text != name else ""
        axes.text((place + 0.49) * share, 0.5, text, fontsize=15, color="white", ha="center", va="center", transform=axes.transAxes)
    if not values:
        axes.text(0.5, 0.5, "–", fontsize=15, color="#888", ha="center", va="center", transform=axes.transAxes)


def draw_bars(axes, panel, found, kept):
    values = sorted(moment_of(found, kept), key=lambda one: -one[2])[:LINES]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.barh(range(len(values)), [value for _, _, value in values], color=[colour(panel, value) for _, _, value in values], height=0.7)
    most = max([value for _, _, value in values], default=1) or 1
    axes.set_xlim(0, 1.15 * (max(1, most) if unit == "percentunit" else most))
    for row, (_, _, value) in enumerate(values):
        axes.text(value, row, f" {shown(value, unit)}", fontsize=6, va="center")
    axes.set_yticks(range(len(values)), [name for name, _, _ in values], fontsize=6)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def draw_table(axes, panel, found, kept):
    axes.axis("off")
    hidden = panel["transformations"][0]["options"]["excludeByName"]
    rows = [labels for _, labels, _ in moment_of(found, kept)]
    columns = sorted({name for labels in rows for name in labels if name not in hidden})
    if not rows:
        axes.text(0.5, 0.5, "nothing", fontsize=9, color="#888", ha="center", va="center", transform=axes.transAxes)
        return
    cells = [[labels.get(name, "") for name in columns] for labels in rows]
    table = axes.table(cellText=cells, colLabels=columns, loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    table.auto_set_column_width(range(len(columns)))


DRAW = {"timeseries": draw_time, "state-timeline": draw_states, "stat": draw_stat, "bargauge": draw_bars, "table": draw_table}


def picture(dashboard, kept):
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 2
    figure = pyplot.figure(figsize=(INCHES_WIDE, rows * INCHES_A_ROW), facecolor="white")
    figure.text(0.008, 1 - 0.8 / rows, dashboard["title"], fontsize=15, weight="bold", va="center")
    figure.text(0.992, 1 - 0.8 / rows, NOTE, fontsize=7.5, color="#555", va="center", ha="right")
    answers = list(kept["queries"])
    for panel in panels:
        place = panel["gridPos"]
        left, wide = place["x"] / 24, place["w"] / 24
        top, high = 1 - (place["y"] + 1.6) / rows, place["h"] / rows
        if panel["type"] == "row":
            figure.text(0.008, top - high / 2, panel["title"], fontsize=10, weight="bold", color="#374151", va="center")
            continue
        figure.text(left + 0.008, top - 0.42 / rows, panel["title"], fontsize=8, va="center")
        found = list(series_of(panel, answers))
        names = panel["type"] in ("state-timeline", "bargauge")
        inner = (left + (0.09 if names else 0.032 if panel["type"] == "timeseries" else 0.008), top - high + (0.75 / rows),
                 wide - (0.1 if names else 0.042 if panel["type"] == "timeseries" else 0.016), high - 1.65 / rows)
        DRAW[panel["type"]](figure.add_axes(inner), panel, found, kept)
    assert not answers, "the answers are of other dashboards; keep them anew"
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=88)
    pyplot.close(figure)
    return Image.open(drawn).convert("RGB").quantize(96)


def main(answers, pictures):
    Path(pictures).mkdir(parents=True, exist_ok=True)
    for file in sorted(HERE.glob("*.json")):
        kept = json.loads((Path(answers) / file.name).read_text())
        path = Path(pictures) / f"{file.stem}.png"
        picture(json.loads(file.read_text()), kept).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
