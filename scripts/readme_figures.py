"""Write the tables of measured figures in README.md and README.zh-CN.md from benchmarks/results.

``python scripts/readme_figures.py``. A figure that no committed result holds is told as not
measured. tests/house/test_documents.py holds both pages equal to this.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

DEMO, BERKA = "make demo SERVE=0", "jinqiao import berka DIR --json"
MARKETING = "jinqiao import bank-marketing FILE --json"

HEADS = {"en": ("what", "figure", "command"), "zh": ("指标", "数值", "命令")}
NONE = {"en": "not measured", "zh": "未测"}


def rows(results: Path, language: str) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured, its figure, and the command that measures it."""

    def say(en: str, zh: str) -> str:
        return zh if language == "zh" else en

    def show(found: dict[str, Any], key: str, form: str = "{}") -> str:
        value = found.get(key)
        return NONE[language] if value is None else form.format(value)

    demo = _read(results / "demo.json").get("figures", {})
    ladder = demo.get("baselines_pct") or {}
    yield (
        say("value captured of the oracle's, generated market", "捕获神谕价值的比例（生成的市场）"),
        show(demo, "value_of_oracle_pct", "**{:.2f} %**"),
        DEMO,
    )
    names = ("random_eligible", "popularity", "highest_payout", "expected_payout", "chain_greedy")
    for name in names:
        text = say(f"the same, by `{name}`", f"同上，`{name}`")
        yield text, show(ladder, name, "{:.2f} %"), DEMO
    lift = None
    if demo.get("value_of_oracle_pct") and ladder.get("highest_payout"):
        lift = demo["value_of_oracle_pct"] / ladder["highest_payout"]
    yield (say("lift over showing everyone the best payer", "相对“给每个人展示佣金最高者”的倍数"),
           show({"lift": lift}, "lift", "{:.2f} ×"), DEMO)  # fmt: skip
    yield (say("widest gap of a day's plan to its bound", "每日计划与上界的最大差距"),
           show(demo, "plan_gap", "{:.1e}"), DEMO)  # fmt: skip
    yield (say("limits passed by a plan; units over-delivered", "计划超限；超发名额"),
           f"{show(demo, 'plan_violation_max', '{:g}')}; {show(demo, 'over_delivered_units')}",
           DEMO)  # fmt: skip
    yield (say("sum of the journal, minor units", "日记账合计（最小货币单位）"),
           show(demo, "journal_sum_minor"), DEMO)  # fmt: skip
    yield (say("start of the process to the first planned shelf", "从启动到第一个计划货架"),
           show(demo, "first_shelf_s", "{:.1f} s"), DEMO)  # fmt: skip
    yield say("the whole demonstration", "整个演示"), show(demo, "total_s", "{:.0f} s"), DEMO
    banks = _read(results / "banks.json")
    yield from _bank_rows(banks, language, say, show)
    yield from _match_rows(results / "match.json", say)


MATCH = (
    (
        (
            "every kind of row, K = 1, to a gap of 0.0002: solve",
            "every kind of row, K = 1, to a gap of 0.0002: gap",
        ),
        "a plan of 100,000 customers, every kind of row, one slot",
        "10 万客户、各类约束、一个位置的计划",
    ),
    (
        (
            "every kind of row, K = 3, to a gap of 0.0002: solve",
            "every kind of row, K = 3, to a gap of 0.0002: gap",
        ),
        "the same, three slots",
        "同上，三个位置",
    ),
    (
        ("base: the fastest peer's CPU ÷ ours, gap 0.0002",),
        "the fastest other solver's CPU time ÷ ours, 100,000 customers",
        "最快的其他求解器 CPU 时间 ÷ 本项目",
    ),
    (
        ("base, to a gap of 0.0001: solve@1,000,000", "base, to a gap of 0.0001: gap@1,000,000"),
        "a plan of 1,000,000 customers, 120 rows",
        "100 万客户、120 行约束",
    ),
    (
        ("base, to a gap of 0.0001: solve@10,000,000", "base, to a gap of 0.0001: gap@10,000,000"),
        "a plan of 10,000,000 customers",
        "1000 万客户",
    ),
    (
        (
            "1,000 products, 1,200 rows, to a gap of 0.0002: solve@1,000,000",
            "1,000 products, 1,200 rows, to a gap of 0.0002: gap@1,000,000",
        ),
        "a plan of 1,000,000 customers, 1,000 products, 1,200 rows",
        "100 万客户、1000 产品、1200 行",
    ),
    (
        (
            "in memory: wall@1,000,000,000",
            "in memory: peak memory@1,000,000,000",
            "in memory: gap@1,000,000,000",
        ),
        "a whole plan of 10⁹ variables in memory",
        "内存中 10⁹ 变量的整数计划",
    ),
    (
        ("from files: wall seconds", "from files: resident memory", "from files: gap, checked"),
        "a whole plan from files",
        "从文件求整数计划",
    ),
    (("next day, warm: passes",), "the next day's plan, from today's prices", "次日计划（热启动）"),
    (
        ("what-if on one row, median: passes ÷ full", "what-if on one row, worst: passes ÷ full"),
        "what-if on one limit, share of a full solve: median; worst",
        "单个限额的假设分析占全解的比例：中位；最差",
    ),
    (
        ("online, no drift: resolved", "online, drift 0.3: resolved"),
        "online, of the optimum in hindsight: no drift; drift 0.3",
        "线上相对事后最优：无漂移；漂移 0.3",
    ),
)
"""Lines of benchmarks/results/match.json shown together: figure, after @ how its size begins."""


def _match_rows(path: Path, say: Any) -> Iterator[tuple[str, str, str]]:
    lines = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    for figures, en, zh in MATCH:
        found = [_line(lines, figure) for figure in figures]
        if any(one is None for one in found):
            continue
        told = "; ".join(_told(one) for one in found if one)
        size = found[0]["size"] if figures[0].startswith("from files") and found[0] else ""
        name = say(en, zh) + (f" ({size})" if size else "")
        yield name, told, f"ONLY={found[0]['group']} make bench-match" if found[0] else ""


def _line(lines: list[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    figure, _, size = wanted.partition("@")
    for line in lines:
        fits = line["figure"] == figure and str(line["size"]).startswith(size)
        if fits and line["ours"] is not None:
            return line
    return None


def _told(line: dict[str, Any]) -> str:
    value, unit = line["ours"], line["unit"]
    if line["figure"].rsplit(": ", 1)[-1].startswith("gap"):
        return f"gap {value:.1e}"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    if line.get("peer_name") and unit == "×":
        return f"{text} × ({line['peer_name']})"
    return text if unit == "share" else f"{text} {unit}"


def _bank_rows(banks: dict[str, Any], language: str, say: Any, show: Any) -> Iterator[Any]:
    berka, marketing = banks.get("berka", {}), banks.get("bank_marketing", {})
    for key, en, zh in (
        ("bad_loan_auc", "AUC, a bad loan, Berka's bank (354 loans, 5×10-fold)",
         "AUC，不良贷款，Berka 银行（354 笔，5×10 折）"),
        ("loan_auc", "AUC, a later loan, the same bank", "AUC，之后贷款，同一银行"),
        ("card_auc", "AUC, a later card, the same bank", "AUC，之后办卡，同一银行"),
        ("insurance_auc", "AUC, insurance, a look-alike and no forecast",
         "AUC，保险（相似人群，非预测）"),
    ):  # fmt: skip
        yield say(en, zh), _with_interval(berka, key, show), BERKA
    for key, en, zh in (
        ("term_deposit_auc",
         "AUC, a term deposit, last fifth of the rows (the yes rate drifts from 2.8 % to 45.9 %)",
         "AUC，定期存款，最后五分之一（同意率由 2.8 % 漂移到 45.9 %）"),
        ("term_deposit_auc_rolling", "AUC, the same, rolled forward by 600 rows",
         "AUC，同上，每次向前 600 行"),
    ):  # fmt: skip
        yield say(en, zh), _with_interval(marketing, key, show), MARKETING


def _with_interval(found: dict[str, Any], key: str, show: Any) -> str:
    text, interval = show(found, key, "{:.3f}"), found.get(f"{key}_ci")
    if interval:
        text += f" ({interval[0]:.3f}–{interval[1]:.3f})"
    plain = found.get(f"{key}_logistic")
    return text if plain is None else f"{text}; logistic {plain:.3f}"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def table(results: Path, language: str) -> str:
    """Return the table as Markdown."""
    lines = ["| " + " | ".join(HEADS[language]) + " |", "|---|---:|---|"]
    lines += [f"| {what} | {figure} | `{how}` |" for what, figure, how in rows(results, language)]
    return "\n".join(lines)


def with_table(text: str, results: Path, language: str) -> str:
    """Return a page with its table made anew."""
    head, rest = text.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return f"{head}{BEGIN}\n{table(results, language)}\n{END}{tail}"


def main() -> None:
    """Write both pages."""
    for name, language in (("README.md", "en"), ("README.zh-CN.md", "zh")):
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = with_table(old, RESULTS, language)
        if new != old:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"written: {name}\n")


if __name__ == "__main__":
    main()
