"""The words of the curators' page, Chinese and English side by side."""

from __future__ import annotations

from appliance.runtime.languages import Language

WORDS: dict[str, tuple[str, str]] = {
    "title": ("关联", "Links"),
    "engine": ("底层关联服务引擎", "association engine"),
    "enter": ("进入", "Enter"),
    "leave": ("退出", "Leave"),
    "token": ("令牌", "Token"),
    "token_hint": (
        "令牌由管理员用 headgate link curator 姓名 生成，只显示一次。",
        "The administrator makes your token with 'headgate link curator NAME'; it is shown once.",
    ),
    "proposed": ("待定", "to decide"),
    "accepted": ("已接受", "accepted"),
    "rejected": ("已拒绝", "rejected"),
    "registered": ("已登记", "registered"),
    "all_types": ("所有类型", "all types"),
    "all_grounds": ("所有依据", "all grounds"),
    "identifier": ("共有标识", "shared identifier"),
    "stated": ("目录所载", "stated by the catalogue"),
    "name": ("题名相似", "alike names"),
    "least": ("分值不低于", "at least"),
    "search": ("题名或标识", "title or code"),
    "show": ("筛选", "Show"),
    "accept": ("接受", "Accept"),
    "reject": ("拒绝", "Reject"),
    "reopen": ("撤回", "Take back"),
    "accept_all": ("接受全部 {0} 条", "Accept all {0}"),
    "reject_all": ("拒绝全部 {0} 条", "Reject all {0}"),
    "sure": (
        "将{1}符合筛选条件的 {0} 条关联，其中前几条如下。",
        "This will {1} the {0} links that meet the filter. The first of them:",
    ),
    "do_it": ("确定", "Do it"),
    "back": ("返回", "Back"),
    "none": ("没有符合的关联。", "No such link."),
    "none_hint": (
        "导入目录并生成建议：headgate link import 文件，然后 headgate link propose",
        "Import a catalogue and propose: headgate link import FILE, then headgate link propose",
    ),
    "ours": ("本机构", "ours"),
    "unknown": ("目录中没有", "not in a catalogue here"),
    "kind": ("类型", "kind"),
    "year": ("年份", "year"),
    "names": ("责任者", "made by"),
    "identifiers": ("标识", "identifiers"),
    "catalogue": ("目录", "catalogue"),
    "number": ("编号", "number"),
    "why": ("理由", "Why"),
    "by": ("由", "by"),
    "note": ("备注（可不填）", "note (optional)"),
    "newer": ("上一页", "back"),
    "older": ("下一页", "more"),
    "keys": ("快捷键：J/K 上下，A 接受，R 拒绝", "keys: J/K down and up, A accept, R reject"),
    "not_done": ("没有完成：", "Not done: "),
    "catalogues": ("目录", "Catalogues"),
    "rows": ("行", "rows"),
    "faults": ("处错误", "faults"),
    "broken_off": ("未完成，请重新导入", "broken off: import it again"),
}


def word(key: str, language: Language, *blanks: object) -> str:
    """Return the word of ``key`` with its blanks filled."""
    return WORDS[key][0 if language == "zh" else 1].format(*blanks)
