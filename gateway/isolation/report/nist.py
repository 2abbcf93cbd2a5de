"""NIST SP 800-53 rev. 5, AC-4 and its enhancements: what is met today, partly met, or not, and by which evidence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.isolation.report.grade import grade, holds, proved_zones
from gateway.isolation.report.model import Audit

Status = Literal["met", "partly", "not-met"]
Texts = tuple[str, str]  # Chinese, English


@dataclass(frozen=True)
class Control:
    """One enhancement of AC-4 (0: the control itself), its status and the evidence."""

    number: int
    title: Texts
    status: Status
    evidence: Texts
    anchor: str = ""


# What follows from how the product is built, whatever an audit finds: number -> (title, status, evidence). The conservative word is taken.
BUILT: dict[int, tuple[Texts, Status, Texts]] = {
    8: (
        ("安全策略过滤器", "Security policy filters"),
        "met",
        (
            "交换进程按车道、签名、标识范围、大小与授权区裁决每个对象，不合则拒绝",
            (
                "The exchange judges every object by lane, signature, identifier range, size and granted zone, and "
                "refuses the rest"
            ),
        ),
    ),
    12: (
        ("数据类型标识", "Data type identifiers"),
        "met",
        (
            "每条车道只过一种对象；发布物内各文件声明并签名的类型，由检查过滤器按内容核对",
            (
                "A lane carries one kind of object; the types that a release declares and signs are checked by "
                "content by the inspection filter"
            ),
        ),
    ),
    13: (
        ("分解为与策略相关的部分", "Decomposition into policy-relevant subcomponents"),
        "partly",
        (
            "发布物分解为清单、文件与四兆字节的分段，各按自己的摘要裁决；视频盒、播放列表、图像、文档再按其结构检查",
            (
                "A release is decomposed into manifest, files and pieces of 4 MiB, each judged by its digest; films, "
                "playlists, pictures and documents are looked into by their structure"
            ),
        ),
    ),
    14: (
        ("过滤器约束：完全枚举的格式", "Filter constraints: fully enumerated formats"),
        "partly",
        (
            "清单、标识表、记录按封闭的模式解析；没有检查器的媒体类型一律不放行；音视频码流本身不解码",
            (
                "Manifests, tables and records are parsed by closed schemas, a media type without an inspection "
                "never passes; coded pictures and sound are not decoded"
            ),
        ),
    ),
    15: (
        ("检测未经批准的信息", "Detection of unsanctioned information"),
        "partly",
        (
            "检查过滤器识别主动内容、多重格式、解压炸弹、指向发布物之外的引用与测试病毒；不作内容审查",
            (
                "The inspection filter finds active content, files of two formats, bombs, references that lead out, "
                "the test virus; what content says is not examined"
            ),
        ),
    ),
    17: (
        ("域的鉴别", "Domain authentication"),
        "met",
        (
            "来源按签名与标识范围鉴别为主体；去向由套接字决定，不由请求自称",
            (
                "A source is authenticated as a body by signature and identifier range; a destination by its socket, "
                "never by what it says"
            ),
        ),
    ),
    25: (("数据净化", "Data sanitization"), "not-met", ("内容不重新编码", "Content is not re-encoded")),
    27: (
        ("冗余且独立的过滤机制", "Redundant and independent filtering mechanisms"),
        "partly",
        (
            "两道过滤器：先核对签名、权利与摘要，再检查内容；各为一个进程、一个用户、无网络，互不共用代码，但同机同内核",
            (
                "Two filters: signature, right and digest first, then what the bytes are; each a process and user of "
                "its own without network, sharing no code but on one kernel"
            ),
        ),
    ),
    29: (
        ("过滤编排引擎", "Filter orchestration engines"),
        "partly",
        (
            "交换进程编排，过滤器裁决：先核对，后检查，最后入库；任何错误、崩溃或超时即拒绝",
            (
                "The exchange orchestrates and the filters decide: admission, inspection, then the store; any error, "
                "crash or delay is a refusal"
            ),
        ),
    ),
    30: (
        ("以多个进程过滤", "Filter mechanisms using multiple processes"),
        "met",
        (
            "核对、检查与搬运是不同的进程；每个对象由专用的检查进程处理，挂起即被终止",
            (
                "Admission, inspection and moving are separate processes; each object is inspected by a process of "
                "its own, which is ended when it hangs"
            ),
        ),
    ),
    31: (
        ("阻止失败内容的传递", "Failed content transfer prevention"),
        "met",
        (
            "核验失败的对象不进入存储，接收方得到带原因的拒绝",
            "An object that fails never enters the store; the receiver gets a refusal with its reason",
        ),
    ),
    32: (
        ("传递进程的要求", "Process requirements for information transfer"),
        "partly",
        (
            "搬运进程只在两道过滤器都放行全部字节后入库并交付；它自己不作放行的裁决",
            (
                "The process that moves stores and hands out only what both filters passed to the last byte, and "
                "passes nothing by its own judgement"
            ),
        ),
    ),
}


def controls(audit: Audit) -> tuple[Control, ...]:
    """Return AC-4 and the enhancements that concern a gateway, each with its status in this audit."""
    found = [_control(audit), _one_way(audit), _separate(audit), _pipeline(audit), _audited(audit)]
    found += [Control(number, title, status, words, "admitted") for number, (title, status, words) in BUILT.items()]
    return tuple(sorted(found, key=lambda control: control.number))


def _control(audit: Audit) -> Control:
    title = ("信息流控制", "Information flow enforcement")
    zones, number = len(audit.zones), proved_zones(audit)
    if zones and number == zones and all(statement.holds for statement in audit.statements):
        return Control(
            0,
            title,
            "met",
            (
                f"内核中的规则与策略对一切数据包等同：{number} 个网络区全部证明",
                f"The kernel's rules equal the policy over all packets: proved for all {number} zones",
            ),
            "proofs",
        )
    return Control(
        0,
        title,
        "not-met",
        (
            f"{zones} 个网络区中只证明了 {number} 个，或有声明不成立",
            f"Proved for {number} of {zones} zones only, or a statement does not hold",
        ),
        "proofs",
    )


def _one_way(audit: Audit) -> Control:
    title = ("单向流机制（硬件）", "One-way flow mechanisms (hardware)")
    if audit.box.form == "split-box":
        return Control(
            7,
            title,
            "partly",
            (
                "两台机器之间为单向链路；其物理单向性须在现场查验",
                "Two machines and a one-way link, whose physics must be inspected on site",
            ),
            "form",
        )
    return Control(
        7,
        title,
        "not-met",
        (
            "一台盒子没有单向硬件；车道的方向由软件执行",
            "One box has no one-way hardware; the direction of a lane is enforced by software",
        ),
        "form",
    )


def _separate(audit: Audit) -> Control:
    title = ("信息流的物理或逻辑分离", "Physical or logical separation of information flows")
    state = grade(audit).state
    shown = bool(audit.proofs) and all(holds(proof) for proof in audit.proofs)
    if state != "not-shown" and shown and audit.inspected is not None:
        how = (
            ("全部证据齐备", "with complete evidence")
            if state == "proved"
            else ("有保留事项", "with the reservations named")
        )
        return Control(
            21,
            title,
            "met" if state == "proved" else "partly",
            (
                f"逻辑分离：每区一个网络命名空间，没有进程、描述符或链路连接两区（{how[0]}）",
                f"Logical: a network namespace a zone; no process, descriptor or link joins two ({how[1]})",
            ),
            "bridges",
        )
    return Control(
        21, title, "not-met", ("本次审计未能证实分离", "The separation is not shown by this audit"), "verdict"
    )


def _pipeline(audit: Audit) -> Control:
    title = ("线性过滤管道：不可绕过、总被调用", "Linear filter pipelines: non-bypassable, always invoked")
    if audit.inspected is not None and not audit.findings and proved_zones(audit) == len(audit.zones):
        return Control(
            28,
            title,
            "partly",
            (
                "交换进程是唯一的通道：网络证明与搭桥审计都没有发现绕行；管道有两道过滤器，没有配置可以跳过",
                "The exchange is the only way: proofs and the search for bridges find no other; two filters in a line, none to be skipped",
            ),
            "bridges",
        )
    return Control(
        28, title, "not-met", ("未能证实没有绕行之路", "That nothing leads around the exchange is not shown"), "bridges"
    )


def _audited(audit: Audit) -> Control:
    title = ("过滤动作的审计", "Audit filtering actions")
    if audit.journal is not None and not audit.journal.faults:
        return Control(
            26,
            title,
            "met",
            (
                f"每个裁决都有记录；守护进程的日志有 {audit.journal.size} 条签名记录",
                f"Every decision is recorded; the guard's journal holds {audit.journal.size} signed entries",
            ),
            "journal",
        )
    return Control(26, title, "not-met", ("没有完好的日志可供核验", "There is no intact journal to check"), "journal")
