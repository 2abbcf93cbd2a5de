"""The association engine over a library's catalogue, beside comparing every title with every other."""

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

from rapidfuzz import process
from stdnum import ean

from gateway.linking.blocks import by_name
from gateway.linking.entries import Entry
from gateway.linking.judging import ALIKE, Thing, likeness
from gateway.resolver.codes import check_digit

ROWS = 100_000
SAMPLE = 2_000  # titles that are all compared with each other
WORDS = """
广西 壮族 瑶族 侗族 民歌 山水 桂林 漓江 柳州 南宁 北海 铜鼓 壮锦 花山 岩画 刘三姐 歌圩 戏曲
彩调 桂剧 渔鼓 民间 文学 集成 史料 选编 研究 图录 志稿 地方志 年鉴 纪事 口述 历史 抗战 长征
湘江 红色 革命 百色 起义 太平天国 石刻 碑拓 古籍 善本 族谱 家书 地图 舆图 摄影 影像 纪录
电影 剧本 故事 传说 童话 歌谣 谚语 谜语 舞蹈 音乐 器乐 唢呐 天琴 马骨胡 节日 三月三 盘王节
服饰 刺绣 建筑 风雨桥 鼓楼 村落 梯田 稻作 茶叶 米粉 药材 植物 动物 海洋 珍珠 红树林 喀斯特
洞穴 考古 遗址 陶器 青铜 瓷器 货币 印章 书法 绘画 年画 剪纸 雕刻 编织 教育 学校 书院 人物
传记 诗词 散文
""".split()  # noqa: SIM905 (a list of so many words is no page to read)
SURNAMES, GIVEN = "王李张刘陈杨黄赵吴周韦覃蒙莫陆罗梁农", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英文华"


def main() -> None:
    """Run the benchmark and print what was measured."""
    with tempfile.TemporaryDirectory(prefix="hgb-") as name:
        folder = Path(name)
        titles = write(folder / "catalogue.csv", ROWS)
        environment = {"HEADGATE_STATE": str(folder), "PATH": "/usr/bin:/bin"}
        imported = measured(environment, "import", str(folder / "catalogue.csv"))
        proposed = measured(environment, "propose")
        again = measured(environment, "propose")
    told = proposed[0]
    print(
        f"import of a catalogue of {ROWS:,} rows (CSV)          {imported[1]:6.1f} processor s  {imported[2]:5.0f} MiB at most"
    )
    print(
        f"propose: {told['new']:,} links from {told['pairs']:,} pairs  {proposed[1]:6.1f} processor s  {proposed[2]:5.0f} MiB at most"
    )
    print(
        f"propose again: {again[0]['new']} new                          {again[1]:6.1f} processor s  {again[2]:5.0f} MiB at most"
    )
    some = titles[:SAMPLE]
    began = time.process_time()
    process.cdist(some, some)
    every = (time.process_time() - began) * (ROWS / SAMPLE) ** 2
    print(
        f"peer: all titles with all (rapidfuzz.cdist, from {SAMPLE:,})  {every:6.0f} processor s, and a matrix of {ROWS**2 / 1e9:.0f} GB"
    )
    things = [Thing(n, Entry(str(n), None, title)) for n, title in enumerate(titles[: SAMPLE * 2])]
    wanted = {(a.number, b.number) for a, b in combinations(things[:SAMPLE], 2) if likeness(a, b) >= ALIKE}
    found = {tuple(sorted((a.number, b.number))) for a, b in by_name(things[:SAMPLE], lambda _text, _count: None)}
    print(
        f"of {len(wanted):,} alike pairs among {SAMPLE:,} titles the blocks find {len(wanted & found) / max(1, len(wanted)):.1%}"
    )


def write(path: Path, rows: int) -> list[str]:
    """Write a catalogue in which a fifth of the titles come again, in other spellings; return the titles."""
    made, titles = random.Random(7), list[str]()
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["编号", "标识", "题名", "类型", "年", "责任者", "isbn"])
        for number in range(rows):
            if titles and made.random() < 0.2:
                title = other(made, made.choice(titles))
            else:
                title = "".join(made.choices(WORDS, k=made.randint(2, 5)))
            titles.append(title)
            payload = f"999999{number:015}"
            digits = f"9787{made.randrange(10**8):08}"
            isbn = digits + ean.calc_check_digit(digits) if made.random() < 0.6 else ""
            who = "；".join(
                made.choice(SURNAMES) + "".join(made.choices(GIVEN, k=2)) for _ in range(made.randint(0, 2))
            )
            kind = made.choice(["图书", "图书", "图书", "电影", "图片", ""])
            code = f"{payload[:6]}-{payload[6:]}-{check_digit(payload)}"
            out.writerow([number, code, title, kind, made.choice(["", str(made.randint(1950, 2024))]), who, isbn])
    return titles


def other(made: random.Random, title: str) -> str:
    """Return the title as somebody else may write it."""
    match made.randrange(4):
        case 0:
            return f"《{title}》"
        case 1:
            return title
        case 2:
            at = made.randrange(len(title))
            return title[:at] + made.choice("的之与·") + title[at:]
        case _:
            return f"{title} 第{made.choice('一二三四五')}集"


def measured(environment: dict[str, str], *arguments: str) -> tuple[dict[str, int], float, float]:
    """Return what ``headgate link`` told, its processor seconds, and the most memory it had (MiB)."""
    script = (
        "import resource, sys; from gateway.linking.cli import commands; commands(standalone_mode=False);"
        "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_maxrss, used.ru_utime + used.ru_stime)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--json"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    told, used = done.stdout.strip().splitlines()
    memory, seconds = used.split()
    return json.loads(told), float(seconds), int(memory) / 1024


if __name__ == "__main__":
    main()
