"""The page at ``/``: says to a person with a browser that the box serves this zone."""

from __future__ import annotations

from html import escape

ZONES = {
    "culture": "文化专网", "bigscreen": "大屏", "smallscreen": "小屏", "institution": "机构", "management": "管理",
}  # fmt: skip


def health(site: str, zone: str) -> str:
    """Return the page, in Chinese and English."""
    site, name, zone = escape(site), escape(ZONES.get(zone, zone)), escape(zone)
    return f"""<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{site} · {name}</title>
<style>body{{font:16px/1.6 sans-serif;max-width:36em;margin:4em auto;padding:0 1em}}code{{background:#eee;padding:0 .3em}}</style>
<h1>{site}</h1>
<p>国家文化专网网关，正在为“{name}”（{zone}）网络提供内容。播放地址：<code>/r/标识符/文件</code></p>
<p lang="en">A gateway of the culture private network, serving the <b>{zone}</b> network. Content is at <code>/r/CODE/PATH</code>.</p>
</html>
"""
