"""The words of the pages, in Chinese and English side by side."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]

WORDS: dict[str, tuple[str, str]] = {
    "title": ("总览 · Headgate 文化专网网关", "Overview · Headgate"),
    "brand_more": ("文化专网网关", "gateways of the culture private network"),
    "broker_down": ("消息代理未连接", "broker not connected"),
    "broker_hint": (
        "盒子的话现在到不了这里。请检查 Mosquitto 是否运行，以及控制器的证书：journalctl -u mosquitto -u headgate-controller",
        "What the boxes say does not arrive here. See: journalctl -u mosquitto -u headgate-controller",
    ),
    "boxes": ("网关", "Boxes"),
    "online_of": ("在线", "online"),
    "policies": ("策略一致", "Policies as asked"),
    "delivered": ("已交付", "Delivered"),
    "requests": ("次请求", "requests"),
    "hit_share": ("本地命中", "From the store"),
    "hit_more": ("的内容请求由本地库应答", "of content requests"),
    "records": ("已存记录", "Records stored"),
    "waiting": ("条在盒子上待传", "waiting on boxes"),
    "none_waiting": ("盒子上没有待传记录", "none waiting on boxes"),
    "identifiers": ("标识", "Identifiers"),
    "in_registry": ("已在册", "in the registry"),
    "no-port": ("端口缺失", "port missing"),
    "online": ("在线", "online"),
    "offline": ("离线", "offline"),
    "never": ("从未联系", "never heard"),
    "last_heard": ("最后联系", "last heard"),
    "up_for": ("已运行", "up"),
    "enforced": ("已执行", "enforced"),
    "pending": ("待确认", "awaiting confirmation"),
    "drift": ("内核有偏离", "kernel drifted"),
    "failed": ("执行失败", "failed"),
    "unknown": ("状态未知", "state unknown"),
    "wanted": ("要求的策略", "asked"),
    "is_enforced": ("执行的策略", "enforced"),
    "equal": ("一致", "equal"),
    "differs": ("不一致", "differs"),
    "unclear": ("尚不可比", "cannot be compared yet"),
    "since": ("已持续", "for"),
    "zones": ("网络区", "Zones"),
    "no_zones": ("守护进程还没有报告网络区。", "The guard has not reported any zone yet."),
    "delivers": ("交付内容", "Delivers"),
    "nothing_delivered": ("还没有交付记录。", "No delivery recorded yet."),
    "from_store": ("命中", "from store"),
    "spool": ("条记录待传", "records waiting"),
    "oldest": ("最早", "oldest"),
    "confirm_by": ("须在此前确认，否则自动回退：", "Confirm before, or it reverts by itself: "),
    "journals": ("裁决日志", "Journals"),
    "entries_seen": ("条记录已由本控制器见证", "entries countersigned here"),
    "journal_fault": ("日志可疑：", "Suspicious journal:"),
    "journal_hint": (
        "在弄清之前请视该网关为已被入侵：保留盒子上日志的副本，用 headgate journal verify 与这里的检查点（/api/journals）核对。",
        "Treat the box as intruded until it is clear: keep a copy of its journal, and verify it against the checkpoint of /api/journals.",
    ),
    "refusals": ("最近的拒绝", "Last refusals"),
    "no_refusals": (
        "没有拒绝记录。盒子拒绝的每一次穿越都会带着原因出现在这里。",
        "Nothing was refused. Every crossing that a box refuses appears here, with its reason.",
    ),
    "time": ("时间", "time"),
    "box": ("网关", "box"),
    "source": ("来源", "source"),
    "reason": ("原因", "reason"),
    "told": ("说明", "what"),
    "empty_title": ("还没有网关报到", "No box has reported yet"),
    "empty_1": (
        "把站点写入清单 inventory.yaml，并写好 sites/SITE/policy.yaml",
        "Add the site to inventory.yaml and write sites/SITE/policy.yaml",
    ),
    "empty_2": ("签发证书并部署：", "Give it a certificate and provision it:"),
    "empty_3": (
        "盒子连上消息代理后，会自己出现在这一页，无需刷新。",
        "Once the box reaches the broker it appears here by itself.",
    ),
    "never_hint": (
        "已为它准备策略，但它从未报到。请部署：headgate fleet rollout start，再查看盒子上的 journalctl -u headgate-telemetry",
        "A policy is ready for it, but it never reported. Provision it (headgate fleet rollout start), then see its headgate-telemetry.",
    ),
    "offline_hint": (
        "下面是它离线前最后的报告。请检查管理网链路和盒子上的 headgate-telemetry。",
        "Below is its last word. See the management link, and headgate-telemetry on the box.",
    ),
    "differs_hint": (
        "盒子执行的不是所要求的策略。请查看 headgate fleet plan，然后 headgate fleet rollout start。",
        "The box enforces another policy than was asked. See headgate fleet plan, then headgate fleet rollout start.",
    ),
    "drift_hint": (
        "内核与策略不符。请在盒子上运行 headgate box audit。",
        "The kernel is not as the policy says. Run headgate box audit on the box.",
    ),
    "failed_hint": (
        "守护进程未能执行策略，仍保持上一份有效策略。请在盒子上运行 headgate box status。",
        "The guard could not enforce the policy; the last good one stays. Run headgate box status on the box.",
    ),
    "live": ("实时", "live"),
    "stale": ("连接中断，正在重试", "connection lost, trying again"),
    "programs": ("程序接口", "for programs"),
    "seconds_ago": ("秒前", " s ago"),
    "minutes_ago": ("分钟前", " min ago"),
    "hours_ago": ("小时前", " h ago"),
    "days_ago": ("天前", " days ago"),
    "now": ("刚刚", "just now"),
    "seconds": ("秒", " s"),
    "days": ("天", " d"),
    "hours": ("小时", " h"),
    "minutes": ("分钟", " min"),
    "zone_culture": ("文化专网", "culture"),
    "zone_bigscreen": ("大屏", "big screen"),
    "zone_smallscreen": ("小屏", "small screen"),
    "zone_institution": ("机构", "institution"),
    "zone_management": ("管理", "management"),
}


def word(key: str, language: Language) -> str:
    """Return the word of ``key``; a key that is not known here (a zone of the operator's own) is its own word."""
    both = WORDS.get(key)
    if both is None:
        return key.removeprefix("zone_")
    return both[0 if language == "zh" else 1]
