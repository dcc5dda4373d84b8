#!/usr/bin/env python3
"""Writes the Grafana dashboards: one file each beside this one, to import by hand, and the same without blanks for the chart.

  generate.py            write them
  generate.py --check    fail unless they are what would be written

What is on them is in panels.py; here is how that becomes Grafana's JSON (schema version 39, Grafana 11). Needs Python alone.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is left beside it
from panels import DASHBOARDS  # noqa: E402

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "charts" / "tandem" / "files" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

# What a variable asks for. `site` is the site that was scraped: the label `dc`, which the scrape adds.
VARIABLES = {
    "site": ("Site", "label_values(tandem_fenced, dc)", True),
    "unit": ("Unit", "label_values(tandem_unit_budget, unit)", False),
    "group": ("Failover group", "label_values(tandem_group_epoch, group)", True),
}


def variable(name):
    label, query, many = VARIABLES[name]
    every = {"text": ["All"], "value": ["$__all"]}
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "hide": 0, "multi": many, "includeAll": many,
        # Where one Prometheus sees one site, its series may have no `dc` at all.
        "allValue": ".*" if many else None, "current": every if many else {}, "options": [], "skipUrlSync": False,
    }


def target(index, query, instant):
    one = {"refId": chr(ord("A") + index), "datasource": SOURCE, "editorMode": "code", "expr": query.expr,
           "legendFormat": query.legend, "instant": instant, "range": not instant}
    return one | ({"format": "table"} if query.table else {})


def thresholds(panel):
    """Colours from a value on; the first stands for whatever is below."""
    steps = [{"color": colour, "value": value} for value, colour in panel.colours]
    return {"mode": "absolute", "steps": steps}


def mappings(panel):
    if not panel.words:
        return []
    options = {str(value): {"text": text, "color": colour, "index": index}
               for index, (value, text, colour) in enumerate(panel.words)}
    return [{"type": "value", "options": options}]


def looks(panel):
    """Options, and the defaults of fields, by type of panel."""
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "timeseries":
        custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if panel.stacked else 8, "showPoints": "never",
                  "spanNulls": False, "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}, {"custom": custom, "min": 0}
    if panel.kind == "stat":
        # Who it is, for those that have no number to show.
        text = "name" if panel.names else "auto"
        return {"reduceOptions": reduce, "colorMode": "background", "graphMode": "none", "textMode": text,
                "justifyMode": "auto", "orientation": "auto", "wideLayout": True}, {}
    if panel.kind == "state-timeline":
        return {"legend": legend, "tooltip": {"mode": "single", "sort": "none"}, "mergeValues": True, "showValue": "auto",
                "alignValue": "left", "rowHeight": 0.8}, {"custom": {"fillOpacity": 80, "lineWidth": 0}}
    if panel.kind == "bargauge":
        return {"reduceOptions": reduce, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True,
                "valueMode": "color", "namePlacement": "auto", "sizing": "auto", "minVizHeight": 16, "minVizWidth": 8,
                "maxVizHeight": 300}, {"min": 0} | ({"max": 1} if panel.unit == "percentunit" else {})
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}, \
            {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}}
    raise SystemExit(f"error: {panel.title}: no panel is a {panel.kind}")


def drawn(number, panel, place):
    options, defaults = looks(panel)
    instant = panel.kind in ("stat", "bargauge", "table")
    defaults = defaults | {"unit": panel.unit, "mappings": mappings(panel), "thresholds": thresholds(panel),
                           "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"}}
    result = {
        "id": number, "type": panel.kind, "title": panel.title, "description": f"{panel.says}\n\n{panel.chinese}",
        "datasource": SOURCE, "gridPos": place, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": [target(index, query, instant) for index, query in enumerate(panel.queries)],
    }
    if panel.kind == "table":
        hidden = {"Time": True, "__name__": True, "job": True, "endpoint": True, "namespace": True, "service": True}
        hidden |= {name: True for name in panel.hidden}
        result["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": {}}}]
    return result


def laid_out(rows):
    """Panels from left to right below the title of their row; a line is as high as its highest panel."""
    number, top, result = 0, 0, []
    for row in rows:
        number += 1
        result.append({"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}})
        top += 1
        left = high = 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top, high = 0, top + high, 0
            number += 1
            result.append(drawn(number, panel, {"x": left, "y": top, "w": panel.width, "h": panel.height}))
            left, high = left + panel.width, max(high, panel.height)
        top += high
    return result


def dashboard(one):
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0,
              "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "", "skipUrlSync": False}
    return {
        "uid": f"tandem-{one.name}", "title": f"Tandem / {one.title}", "description": f"{one.says}\n\n{one.chinese}",
        "tags": ["tandem"], "schemaVersion": 39, "version": 1, "editable": True, "graphTooltip": 1, "timezone": "browser",
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timepicker": {}, "weekStart": "", "fiscalYearStartMonth": 0,
        "liveNow": False, "id": None,
        "templating": {"list": [source, *map(variable, one.variables)]},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Tandem", "tags": ["tandem"], "asDropdown": True, "includeVars": True,
                   "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}],
        "panels": laid_out(one.rows),
    }


def wanted():
    files = {}
    for one in DASHBOARDS:
        made = dashboard(one)
        files[HERE / f"{one.name}.json"] = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        files[CHART / f"{one.name}.json"] = json.dumps(made, separators=(",", ":"), ensure_ascii=False) + "\n"
    return files


def main(arguments):
    if arguments not in ([], ["--check"]):
        raise SystemExit("usage: generate.py [--check]")
    files = wanted()
    there = {path for folder in (HERE, CHART) for path in folder.glob("*.json")}
    stale = sorted(path for path in files if not path.is_file() or path.read_text() != files[path]) + sorted(there - set(files))
    if arguments:
        if stale:
            names = ", ".join(str(path.relative_to(HERE.parent)) for path in stale)
            raise SystemExit(f"error: not what dashboards/panels.py gives: {names}\n"
                             "  mend it: run dashboards/generate.py and commit what it wrote")
        return
    for path in there - set(files):
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
