"""The small page a person sees who opens an identifier in a browser, in Chinese and English."""

from __future__ import annotations

from html import escape

STATUS = {
    200: ("已登记", "registered"),
    400: ("编码有误", "wrong code"),
    404: ("未登记", "not registered"),
    410: ("已撤销", "withdrawn"),
    503: ("暂无标识表", "no table yet"),
}
STYLE = "body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}dt{color:#666}code{overflow-wrap:anywhere}"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # Content-Security-Policy: the page loads nothing


def page(status: int, title: str, rows: list[tuple[str, str, str]], play: str | None = None) -> str:
    """Return HTML with the ``title``, what ``status`` means, ``rows`` of (Chinese, English, value), and a link to ``play``."""
    chinese, english = STATUS[status]
    told = "".join(
        f"<dt>{escape(zh)} · {escape(en)}</dt><dd><code>{escape(value)}</code></dd>" for zh, en, value in rows
    )
    link = f'<p><a href="{escape(play)}">播放 · Play</a></p>' if play else ""
    return (
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{chinese} · {english}</p>{link}<dl>{told}</dl></html>"
    )
