"""The 37 ways across, by the numbers of docs/isolation.md: what each is, what closes it, and which evidence speaks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Evidence = Literal["proof", "probe", "bridges", "measures"]
Group = Literal["address", "packet", "link", "process", "host", "residual"]
PROOF, PROBE, BRIDGES, MEASURES = "proof", "probe", "bridges", "measures"


@dataclass(frozen=True)
class Way:
    """One way across; texts in Chinese and English."""

    number: int
    group: Group
    name: tuple[str, str]
    closed: tuple[str, str]
    shown: tuple[str, ...]  # the evidence that speaks of it: any of these shows it, and none may speak against it
    open: tuple[str, str] | None = None  # what software on one box cannot close of it


WAYS: tuple[Way, ...] = (
    Way(
        1,
        "address",
        ("询问另一区的地址（ARP）", "ARP for the other zone's address"),
        ("每区一个网络命名空间；arp_ignore=2", "a network namespace a zone; arp_ignore=2"),
        (PROBE,),
    ),
    Way(
        2,
        "address",
        ("伪造或主动 ARP", "False or gratuitous ARP"),
        ("端口处只收登记的 IP 与 MAC；邻居固定", "only pinned IP and MAC pairs at the port; neighbours pinned"),
        (PROBE, PROOF),
    ),
    Way(
        3,
        "address",
        ("弱主机模型：从本区访问盒子在另一区的地址", "Weak host: the box's address of another zone"),
        ("每区一个网络命名空间；默认丢弃", "a network namespace a zone; default drop"),
        (PROBE, PROOF),
    ),
    Way(
        4,
        "address",
        ("IPv6 路由通告、邻居发现、RDNSS", "IPv6 router advertisement, ND, RDNSS"),
        ("accept_ra=0；端口处按类型丢弃", "accept_ra=0; dropped by type at the port"),
        (PROBE, PROOF),
    ),
    Way(
        5,
        "packet",
        ("源路由、RH0、SRv6", "Source routes, RH0, SRv6"),
        (
            "带 IP 选项与扩展头的包在端口丢弃；accept_source_route=0",
            "options and extension headers dropped; accept_source_route=0",
        ),
        (PROBE, PROOF),
    ),
    Way(
        6,
        "packet",
        ("重叠或极小的分片", "Overlapping or tiny fragments"),
        ("一切分片在端口丢弃", "every fragment is dropped at the port"),
        (PROBE, PROOF),
    ),
    Way(
        7,
        "packet",
        ("VLAN 双重标签、QinQ、优先级标签", "Double VLAN tags, QinQ, priority tags"),
        ("端口处以太类型白名单；没有 VLAN 设备", "allow-list of ether types; no VLAN device"),
        (PROBE, PROOF, BRIDGES),
    ),
    Way(
        8,
        "packet",
        (
            "隧道：IPIP、GRE、VXLAN、Geneve、L2TP、WireGuard、ESP",
            "Tunnels: IPIP, GRE, VXLAN, Geneve, L2TP, WireGuard, ESP",
        ),
        ("协议白名单；链路种类白名单", "allow-lists of protocols and of kinds of link"),
        (PROBE, PROOF, BRIDGES, MEASURES),
    ),
    Way(
        9,
        "packet",
        ("ICMP 重定向、伪造的路径 MTU", "ICMP redirect, false path MTU"),
        ("accept_redirects=0；按类型丢弃", "accept_redirects=0; dropped by type"),
        (PROBE, PROOF),
    ),
    Way(
        10,
        "packet",
        ("广播、定向广播、组播、IGMP、mDNS、SSDP", "Broadcast, multicast, IGMP, mDNS, SSDP"),
        ("每区一个网络命名空间；没有组播路由", "a network namespace a zone; no multicast routing"),
        (PROBE, PROOF, BRIDGES),
    ),
    Way(
        11,
        "packet",
        ("伪造的 DHCP 服务器、以 DHCP 作隧道", "Rogue DHCP, DHCP as a tunnel"),
        ("区内没有 DHCP 客户端；端口默认丢弃", "no DHCP client in a zone; default drop"),
        (PROBE, PROOF),
    ),
    Way(
        12,
        "packet",
        ("DNS、NTP、ICMP 隧道", "DNS, NTP and ICMP tunnels"),
        (
            "没有递归解析路径；不答 ICMP；应答来自签名数据",
            "no recursive path; no ICMP answers; answers come from signed data",
        ),
        (PROBE, PROOF),
        ("获准的应用对话本身的隐藏编码", "what an admitted dialogue hides in its own words"),
    ),
    Way(
        13,
        "packet",
        ("连接跟踪助手（FTP、SIP、H.323）", "Connection-tracking helpers (FTP, SIP, H.323)"),
        ("规则中没有 ct helper 对象；没有期望连接", "no ct helper object; no expectation"),
        (PROBE, PROOF, BRIDGES),
    ),
    Way(
        14,
        "packet",
        ("TCP 异常握手、扫描、SYN 带数据、TFO", "Odd TCP handshakes, scans, data in SYN, TFO"),
        ("严格的连接状态；协议在盒子终止", "strict connection states; protocols end at the box"),
        (PROBE, PROOF),
    ),
    Way(
        15,
        "packet",
        ("MPTCP、SCTP、DCCP、UDP-Lite", "MPTCP, SCTP, DCCP, UDP-Lite"),
        ("协议白名单；net.mptcp.enabled=0", "allow-list of protocols; net.mptcp.enabled=0"),
        (PROBE, PROOF, MEASURES),
    ),
    Way(
        16,
        "link",
        ("跨区的 veth、macvlan、ipvlan、vxlan", "veth, macvlan, ipvlan or vxlan across zones"),
        (
            "绊线：陌生链路一出现即置为关闭；每秒审计",
            "trip-wire: a foreign link is set down as it appears; audit each second",
        ),
        (BRIDGES, MEASURES),
    ),
    Way(
        17,
        "link",
        ("网桥、绑定、team、OVS、混杂模式", "Bridge, bond, team, OVS; promiscuous ports"),
        ("链路种类白名单；没有主从关系", "allow-list of kinds of link; no master"),
        (BRIDGES, PROBE, MEASURES),
    ),
    Way(
        18,
        "link",
        ("tc mirred、nft fwd/dup、proxy_arp、策略路由、VRF", "tc mirred, nft fwd or dup, proxy_arp, ip rules, VRF"),
        ("规则语句白名单；没有过滤器与策略路由", "allow-list of statements; no filters, no rules"),
        (BRIDGES, PROOF),
    ),
    Way(
        19,
        "link",
        ("XDP devmap、AF_XDP、tc-BPF、sockmap、sk_lookup", "XDP devmap, AF_XDP, tc-BPF, sockmap, sk_lookup"),
        ("BPF 关闭；程序、映射、链接逐一清点", "BPF closed; programs, maps and links are counted one by one"),
        (BRIDGES, MEASURES),
    ),
    Way(
        20,
        "process",
        ("一个进程持有两区的套接字；线程身在另一区", "A process with sockets in two zones; a thread elsewhere"),
        ("每秒审计每个线程与描述符的命名空间", "each second: the namespace of every thread and descriptor"),
        (BRIDGES, MEASURES),
    ),
    Way(
        21,
        "process",
        ("他区进程持有 tun/tap", "A tun or tap held by a process of another zone"),
        (
            "守护进程没有设备文件与权能；审计描述符",
            "daemons have no device files, no capabilities; descriptors are audited",
        ),
        (BRIDGES, MEASURES),
    ),
    Way(
        22,
        "process",
        ("经 /proc 或传来的描述符进入他区命名空间", "setns through /proc or a passed descriptor"),
        ("守护进程没有 CAP_SYS_ADMIN；审计 net:[…] 描述符", "no CAP_SYS_ADMIN; descriptors of namespaces are audited"),
        (BRIDGES, MEASURES),
    ),
    Way(
        23,
        "process",
        ("经 Unix 套接字传递描述符", "Passing descriptors over Unix sockets"),
        ("SO_PASSRIGHTS=0", "SO_PASSRIGHTS=0"),
        (BRIDGES, MEASURES),
    ),
    Way(
        24,
        "process",
        ("pidfd_getfd、ptrace、/proc/PID/fd", "pidfd_getfd, ptrace, /proc/PID/fd"),
        (
            "每区一个用户；守护进程不可转储，看不见他人的进程",
            "a user a zone; daemons are not dumpable and see no other's processes",
        ),
        (BRIDGES, MEASURES),
    ),
    Way(
        25,
        "process",
        ("抽象 Unix 套接字", "Abstract Unix sockets"),
        ("内核按网络命名空间分开", "the kernel keeps them apart by network namespace"),
        (MEASURES,),
    ),
    Way(
        26,
        "process",
        (
            "路径套接字、FIFO、共享文件与内存、D-Bus、vsock",
            "Path sockets, FIFOs, shared files and memory, D-Bus, vsock",
        ),
        ("独立的挂载与 IPC 命名空间；限制地址族", "mount and IPC namespaces; address families restricted"),
        (BRIDGES, MEASURES),
    ),
    Way(
        27,
        "process",
        ("io_uring 绕过 seccomp", "io_uring past seccomp"),
        ("kernel.io_uring_disabled=2", "kernel.io_uring_disabled=2"),
        (BRIDGES, MEASURES),
    ),
    Way(
        28,
        "process",
        ("原始套接字与数据包套接字", "Raw and packet sockets"),
        ("没有 CAP_NET_RAW；审计套接字", "no CAP_NET_RAW; sockets are audited"),
        (BRIDGES, PROBE, MEASURES),
    ),
    Way(
        29,
        "host",
        ("非特权用户命名空间作跳板", "Unprivileged user namespaces as a launch pad"),
        ("user.max_user_namespaces=0", "user.max_user_namespaces=0"),
        (BRIDGES, MEASURES),
    ),
    Way(
        30,
        "host",
        ("区的命名空间消亡，网卡回到初始命名空间", "A zone's namespace dies; its port falls back"),
        (
            "初始命名空间默认丢弃、不转发、无端口；绑定挂载",
            "the initial namespace drops, forwards nothing, holds no port",
        ),
        (BRIDGES, PROOF, MEASURES),
    ),
    Way(
        31,
        "host",
        ("清空规则集、杀死所有者、换表、抢先的链", "Ruleset flushed, owner killed, table swapped"),
        ("表有所有者并持久；世代号；重新接管", "tables owned and persistent; generation watched; taken up again"),
        (PROOF, MEASURES),
    ),
    Way(
        32,
        "host",
        ("耗尽集合或 CPU", "Exhausting sets or the CPU"),
        ("只有散列集合；日志限速", "hash sets only; logs limited"),
        (PROOF,),
    ),
    Way(
        33,
        "host",
        ("时钟、域名、证书更新作侧信道", "Clock, names, certificate renewal as side channels"),
        (
            "盒子在区内只打开 reach 所列的连接；策略不列时钟与域名，就没有",
            "the box opens nothing in a zone but what reach names: no clock, no names unless listed",
        ),
        (PROBE,),
    ),
    Way(
        34,
        "residual",
        ("共享内核上的隐蔽时间与资源信道", "Covert timing and resource channels of one kernel"),
        ("一台盒子上无法关闭", "cannot be closed on one box"),
        (MEASURES,),
        ("CPU、缓存、内存与内核表由各区共用", "CPU, caches, memory and kernel tables serve all zones"),
    ),
    Way(
        35,
        "host",
        ("网卡固件：SR-IOV、NC-SI/BMC、LLDP", "NIC firmware: SR-IOV, NC-SI/BMC, LLDP"),
        ("各区用不同的物理网卡；清点 PCI 地址", "separate cards a zone; PCI addresses compared"),
        (BRIDGES, PROBE, MEASURES),
        ("网卡与交换机自身的固件", "the firmware of cards and switches themselves"),
    ),
    Way(
        36,
        "host",
        ("管理面：各区的 ssh/REST、日志外送、更新通道", "Management: ssh or REST in every zone, logs, updates"),
        (
            "管理是独立的一区；监听套接字与策略逐一核对",
            "management is a zone; listening sockets are held against the policy",
        ),
        (BRIDGES, PROBE, PROOF, MEASURES),
    ),
    Way(
        37,
        "host",
        ("内容：多态文件、压缩炸弹、解析器漏洞、隐写", "Content: polyglots, bombs, parser exploits, steganography"),
        (
            "只收签名对象，逐字节核对摘要与大小；交换进程没有网络",
            "only signed objects, every byte checked; the exchange has no network",
        ),
        (),
        ("由获准主体签名的恶意内容；隐写", "malice that an admitted body signed; steganography"),
    ),
)
BY_NUMBER = {way.number: way for way in WAYS}
