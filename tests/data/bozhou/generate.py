#!/usr/bin/env python3
"""Writes inventory.csv, the inventory of Bozhou's units and application systems, from the names in systems/.

  generate.py            write inventory.csv beside this file
  generate.py --check    fail unless inventory.csv is what would be written

The same names always give the same bytes: sizes that are not stated come from a hash of the system's code.
"""

import csv
import hashlib
import io
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
INVENTORY = HERE / "inventory.csv"
UNITS, SYSTEMS = 54, 530
MAX_ACTIVE_PODS, MAX_STANDBY_PODS = 900, 150

HEADERS = [
    "单位代码", "单位名称", "单位英文名称", "单位层级", "上级单位",
    "系统名称", "系统英文名称", "系统代码", "等保级别", "环境",
    "CPU（每副本）", "内存（每副本）", "存储", "主用副本数", "备用级别", "备用副本数",
    "域名", "业务等级", "RTO", "RPO", "依赖系统",
]
LEVELS = {"City": "市", "County": "县", "Township": "乡", "Village": "村"}
COUNTIES = {
    "qiaocheng": ("谯城区", "Qiaocheng"), "guoyang": ("涡阳县", "Guoyang"),
    "mengcheng": ("蒙城县", "Mengcheng"), "lixin": ("利辛县", "Lixin"),
}
# By tier: pods at the active site, processors and memory each (one of), storage in Gi (one of), RTO and RPO.
TIERS = {
    0: (4, ["4核"], ["8Gi"], [500], "30秒", "0秒"),
    1: (3, ["2核"], ["4Gi", "8Gi"], [200, 300, 500], "5分钟", "30秒"),
    2: (2, ["1核"], ["2Gi", "4Gi"], [50, 100, 200], "4小时", "1小时"),
    3: (1, ["0.5核", "1核"], ["1Gi", "2Gi"], [20, 50, 100], "24小时", "24小时"),
}
# Host names that people know, instead of the ones made from the codes.
HOSTS = {
    ("office", "portal"): "www.bz.gov.example;bz.gov.example",
    ("data", "hall"): "zwfw.bz.gov.example;hall.bz.gov.example",
    ("data", "my-bozhou"): "my.bozhou.example",
    ("data", "payment"): "pay.bozhou.example;pay.bz.gov.example",
    ("drc", "credit-site"): "credit.bz.gov.example",
    ("hotline", "website"): "12345.bz.gov.example",
}


@dataclass
class System:
    code: str
    zh: str
    en: str
    tier: int
    test: bool
    public: bool
    hidden: bool
    hot: bool
    mlps3: bool
    options: dict
    dependencies: list

    @property
    def environment(self):
        return "test" if self.test else "prod"

    @property
    def replicas(self):
        return int(self.options.get("r", TIERS[self.tier][0]))

    @property
    def standby(self):
        """The standby class and the pods that run at the site that is not active."""
        if self.tier == 0 or self.hot:
            return "热备", self.replicas
        if self.tier == 1:
            return "温备", 2 if self.replicas > 3 else 1
        return "冷备", 0


@dataclass
class Unit:
    code: str
    level: str
    zh: str
    en: str
    parent: str
    systems: list = field(default_factory=list)


def fail(message):
    sys.exit(f"generate.py: {message}")


def read_system(line, zh="", en=""):
    cells = [cell.strip() for cell in line.split("|")]
    if len(cells) != 5:
        if len(cells) != 4:
            fail(f"'{line}' must have the form: code | Chinese name | English name | flags | dependencies")
        cells.append("")
    code, name_zh, name_en, flags, dependencies = cells
    words = flags.split()
    return System(
        code=code,
        zh=name_zh.format(zh=zh),
        en=name_en.format(en=en),
        tier=next((int(word) for word in words if word.isdigit()), 3),
        test="test" in words,
        public="pub" in words,
        hidden="none" in words,
        hot="hot" in words,
        mlps3="l3" in words,
        options=dict(word.split("=") for word in words if "=" in word),
        dependencies=dependencies.split(),
    )


def lines(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def read_units():
    units = []
    for path in sorted((HERE / "systems").glob("[0-9]-*.txt")):
        for line in lines(path):
            if line.startswith("@"):
                cells = [cell.strip() for cell in line[1:].split("|")]
                units.append(Unit(*cells[:4], parent=cells[4] if len(cells) > 4 else ""))
                if units[-1].code in COUNTIES:
                    zh, en = COUNTIES[units[-1].code]
                    units[-1].systems += [read_system(l, zh, en) for l in lines(HERE / "systems" / "county.txt")]
            else:
                units[-1].systems.append(read_system(line))
    return units


def pick(choices, *names):
    """One of the choices, always the same for the same names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return choices[digest[0] % len(choices)]


def hosts(unit, system):
    if system.hidden or system.test:
        return ""
    if (unit.code, system.code) in HOSTS:
        return HOSTS[unit.code, system.code]
    if not system.public:
        return f"{system.code}.{unit.code}.bozhou.example"
    if system.code in ("website", "portal"):
        return f"{unit.code}.bz.gov.example"
    if unit.code == "data":
        return f"{system.code}.bz.gov.example"
    return f"{system.code}.{unit.code}.bz.gov.example"


def row(unit, system):
    _, cpus, memories, storages, rto, rpo = TIERS[system.tier]
    standby_class, standby_pods = system.standby
    storage = system.options.get("s") or f"{pick(storages, unit.code, system.code, 'storage')}Gi"
    return [
        unit.code, unit.zh, unit.en, LEVELS[unit.level], unit.parent,
        system.zh, system.en, system.code,
        "三级" if system.mlps3 or system.tier <= 1 else "二级",
        "测试" if system.test else "生产",
        pick(cpus, unit.code, system.code, "cpu"), pick(memories, unit.code, system.code, "memory"), storage,
        system.replicas, standby_class, standby_pods,
        hosts(unit, system), system.tier, rto, rpo, ";".join(system.dependencies),
    ]


def check_names(units):
    label = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    seen = {}
    for unit in units:
        if not label.match(unit.code) or len(unit.code) > 20:
            fail(f"the unit's code '{unit.code}' must be a DNS label of at most 20 characters")
        for system in unit.systems:
            where = f"{unit.code}/{system.code}"
            if not label.match(system.code) or len(system.code) > 20:
                fail(f"{where}: the system's code must be a DNS label of at most 20 characters")
            for name in (where, system.zh, system.en):
                if name in seen:
                    fail(f"{where}: '{name}' is already {seen[name]}'s")
                seen[name] = where
            if not system.en.isascii() or system.zh.isascii():
                fail(f"{where}: the names are the wrong way round")
    for text in (unit.zh for unit in units), (unit.en for unit in units), (unit.code for unit in units):
        text = list(text)
        if len(set(text)) != len(text):
            fail("two units have one name")


def check_dependencies(units):
    tiers = {(u.code, s.code): s.tier for u in units for s in u.systems}
    needs = {}
    for unit in units:
        for system in unit.systems:
            refs = [tuple(d.split("/")) if "/" in d else (unit.code, d) for d in system.dependencies]
            for ref in refs:
                if ref not in tiers:
                    fail(f"{unit.code}/{system.code} depends on {'/'.join(ref)}, which does not exist")
                if tiers[ref] > system.tier:
                    fail(f"{unit.code}/{system.code} (tier {system.tier}) depends on {'/'.join(ref)} (tier {tiers[ref]})")
            needs[unit.code, system.code] = refs
    done, path = set(), []

    def visit(node):
        if node in path:
            fail("cycle of dependencies: " + " → ".join("/".join(n) for n in path[path.index(node):] + [node]))
        if node not in done:
            path.append(node)
            for ref in needs[node]:
                visit(ref)
            done.add(path.pop())

    for node in needs:
        visit(node)


def check_totals(units):
    systems = [system for unit in units for system in unit.systems]
    if len(units) != UNITS or len(systems) != SYSTEMS:
        fail(f"{len(units)} units and {len(systems)} systems; the city has {UNITS} and {SYSTEMS}")
    active, standby = sum(s.replicas for s in systems), sum(s.standby[1] for s in systems)
    if active > MAX_ACTIVE_PODS or standby > MAX_STANDBY_PODS:
        fail(f"{active} active and {standby} standby pods; at most {MAX_ACTIVE_PODS} and {MAX_STANDBY_PODS}")
    environments = {(u.code, s.environment) for u in units for s in u.systems}
    hosts_given = [h for u in units for s in u.systems for h in hosts(u, s).split(";") if h]
    if len(set(hosts_given)) != len(hosts_given):
        fail("two systems have one host name: " + ", ".join(h for h in set(hosts_given) if hosts_given.count(h) > 1))
    tiers = ", ".join(f"tier {t}: {sum(s.tier == t for s in systems)}" for t in TIERS)
    return (f"{len(units)} units, {len(environments)} environments, {len(systems)} systems ({tiers}), "
            f"{active} active and {standby} standby pods, {len(hosts_given)} host names")


def render(units):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADERS)
    writer.writerows(row(unit, system) for unit in units for system in unit.systems)
    # As Excel writes it: a byte order mark, and lines that end with CR LF.
    return ("\ufeff" + out.getvalue()).encode()


def main(arguments):
    if arguments not in ([], ["--check"]):
        fail("usage: generate.py [--check]")
    units = read_units()
    check_names(units)
    check_dependencies(units)
    totals = check_totals(units)
    wanted = render(units)
    if not arguments:
        INVENTORY.write_bytes(wanted)
    elif not INVENTORY.is_file() or INVENTORY.read_bytes() != wanted:
        fail("inventory.csv is not what systems/ gives: run tests/data/bozhou/generate.py and commit the result")
    print(totals)


if __name__ == "__main__":
    main(sys.argv[1:])
