"""What people read on a page, in Chinese and English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One state or reason; ``tone`` is ``good``, ``bad`` or ``old``."""

    zh: str
    en: str
    tone: str = "bad"

    def __str__(self) -> str:
        return f"{self.zh} · {self.en}"


STATES = {
    "registered": Word("已登记", "registered", "good"),
    "superseded": Word("已被取代", "superseded", "old"),
    "withdrawn": Word("已撤销", "withdrawn"),
    "unknown-code": Word("未登记", "not registered", "old"),
    "reserved": Word("已预留，尚未公布", "reserved, not published yet", "old"),
    "no-table": Word("本机暂无标识表", "no table here yet"),
    "not-a-code": Word("不是标识编码", "not an identifier"),
    "wrong-check-digit": Word("校验位不符", "wrong check digit"),
    "wrong-length": Word("长度不符", "wrong length"),
    "too-long": Word("过长", "too long"),
    "unknown-scheme": Word("未知的标识体系", "unknown scheme"),
    "ambiguous-code": Word("可能属于多种体系", "may be of several schemes", "old"),
    "zone-not-granted": Word("本网络未获授权", "not granted to this network"),
    "screen-not-granted": Word("此类屏幕未获授权", "not granted to these screens"),
    "territory-not-granted": Word("本地区未获授权", "not granted in this territory"),
    "not-yet": Word("尚未到公布时间", "not yet", "old"),
    "expired": Word("授权已到期", "expired"),
    "unreachable": Word("暂时无法查询登记中心", "the registry cannot be asked now", "old"),
    "corrupt": Word("记录已损坏", "damaged"),
}
OTHER = Word("无法解析", "cannot be resolved")
# Names of metadata that catalogues have in common; others are shown as they are.
FIELDS = {
    "title": "题名",
    "author": "作者",
    "creator": "创作者",
    "director": "导演",
    "contributor": "其他责任者",
    "publisher": "出版者",
    "year": "年份",
    "date": "日期",
    "language": "语种",
    "subject": "主题",
    "place": "地点",
    "format": "格式",
    "duration": "时长",
    "material": "材质",
    "collection": "馆藏",
}
