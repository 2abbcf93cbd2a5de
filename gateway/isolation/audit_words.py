"""What an audit found (``audit.summary``) on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(told: dict[str, Any], console: Console) -> None:
    """Print zones, proofs, bridges, probes, measures, and every fault in a sentence."""
    table = Table("zone", "as the policy says", "proved over all packets", box=None)
    for zone, lines in told["zones"].items():
        proofs = [one for one in told["proofs"] if one["zone"] == zone]
        engines = ", ".join(
            f"[{'green' if one['equal'] else 'red'}]{one['engine']}[/] {one['seconds']:.2f} s" for one in proofs
        )
        table.add_row(zone, f"[red]{len(lines)} differences[/]" if lines else "[green]yes[/]", engines or "[red]no[/]")
    console.print(table)
    seen, joining = told["inspected"], sum(one["joins"] for one in told["findings"])
    console.print(
        f"bridges: {joining} in {seen['processes']} processes, {seen['descriptors']} descriptors, {seen['links']} links"
    )
    for one in told["findings"]:
        console.print(
            f"  way {one['way']} {one['name']}: {one['what']}", style="red" if one["joins"] else "yellow", markup=False
        )
    if told["probes"] is not None:
        results = {key: told["probes"][key] for key in ("passed", "failed", "blind")}
        console.print("probes: " + ", ".join(f"{count} {result}" for result, count in results.items()))
    lacking = [name for name, ok in told["measures"].items() if not ok]
    console.print(
        f"host: {len(told['measures']) - len(lacking)} of {len(told['measures'])} measures; lacking: {', '.join(lacking) or 'none'}"
    )
    for line in told["faults"]:
        console.print(line, style="red", markup=False)
    console.print(told["grade"], markup=False)
    if "report" in told:
        console.print(f"report ({told['report']['grade']}), sha256 {told['report']['sha256']}:")
        for path in told["report"]["files"]:
            console.print(f"  {path}", markup=False)
