"""The guided tour: each flow of the design walked with the real clients, each claim checked against what was seen.

``stage.py`` what the guides work with (screens, boxes, the operator) -> ``flow_*.py`` one guide a flow -> ``run`` prints the steps.
A guide is a generator of steps, so that each is shown when it is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from rich.console import Console

from appliance.runtime.errors import HeadgateError
from provisioning.lab.lab import Lab
from provisioning.lab.tour import (
    flow_change,
    flow_film,
    flow_identifier,
    flow_live,
    flow_policy,
    flow_record,
    flow_release,
    flow_tiers,
    flow_web,
)
from provisioning.lab.tour.stage import Stage, Step

FLOWS: dict[str, tuple[str, Callable[[Stage], Iterator[Step]]]] = {
    "policy": ("Policy → kernel 策略到内核", flow_policy.walk),
    "film": ("Screen → object 屏幕到内容", flow_film.walk),
    "release": ("Release → crossing, twice, and back 发布到撤回", flow_release.walk),
    "live": ("Live → screen 直播到屏幕", flow_live.walk),
    "web": ("Portal → screen 门户到屏幕", flow_web.walk),
    "tiers": ("Box → box 网关到网关", flow_tiers.walk),
    "identifier": ("Identifier → answer 标识到解析", flow_identifier.walk),
    "record": ("Record → controller 记录到控制中心", flow_record.walk),
    "change": ("Operator → box 运营者到网关", flow_change.walk),
}


def run(lab: Lab, *, as_json: bool = False, flows: tuple[str, ...] = ()) -> bool:
    """Walk ``flows`` (all of them by default), print each step, and return whether every claim held."""
    console = Console(highlight=False)
    stage = Stage(lab)
    held = total = 0
    for name in flows or tuple(FLOWS):
        title, walk = FLOWS[name]
        if not as_json:
            console.rule(f"[bold]{title}", align="left")
        for step in guided(name, walk(stage)):
            total += 1
            held += step.ok
            if as_json:
                print(json.dumps(step.told(), ensure_ascii=False), flush=True)  # noqa: T201 (the output for programs)
            else:
                console.print(*step.lines(), sep="\n")
    if not as_json:
        colour = "green" if held == total else "red"
        console.rule(f"[bold {colour}]{held} of {total} claims held", align="left")
    return held == total


def guided(name: str, steps: Iterator[Step]) -> Iterator[Step]:
    """Yield ``steps``; a guide that cannot go on is one more claim, which did not hold."""
    try:
        for step in steps:
            yield step.of(name)
    except HeadgateError as error:
        yield Step("the guide can go on", ok=False, seen={"error": str(error)[-2000:]}).of(name)
