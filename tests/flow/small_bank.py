"""A small generated bank in the form of Berka's public .asc files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HEADS: Mapping[str, tuple[str, ...]] = {
    "account": ("account_id", "district_id", "frequency", "date"),
    "client": ("client_id", "birth_number", "district_id"),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "card": ("card_id", "disp_id", "type", "issued"),
    "loan": ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"),
    "order": ("order_id", "account_id", "bank_to", "account_to", "amount", "k_symbol"),
    "trans": (
        "trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol",
        "bank", "account",
    ),
}  # fmt: skip
_EARLY = (930110, 930310, 930610, 931010, 940110, 940310)
_LATE = (960110, 960410, 960710, 960910, 961110, 961210)


@dataclass
class SmallBank:
    """Rows of each table; ``write`` makes the files."""

    tables: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {name: [] for name in HEADS}
    )

    def write(self, folder: Path, leave_out: tuple[str, ...] = ()) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            if name not in leave_out:
                lines = [";".join(f'"{head}"' for head in HEADS[name])]
                lines += [";".join(_cell(cell) for cell in row) for row in rows]
                (folder / f"{name}.asc").write_text("\n".join(lines) + "\n", encoding="latin-1")
        return folder

    def move(self, account: int, day: int, amount: float, left: float, k_symbol: str = "") -> None:
        kind, operation = ("PRIJEM", "VKLAD") if amount > 0 else ("VYDAJ", "VYBER")
        number = len(self.tables["trans"]) + 1
        row = (number, account, day, kind, operation, abs(amount), left, k_symbol, "", "")
        self.tables["trans"].append(row)


def _cell(cell: Any) -> str:
    return f'"{cell}"' if isinstance(cell, str) else str(cell)


def small_bank(seed: int = 1, people: int = 64) -> SmallBank:
    """Return ``people`` accounts of 1993 and as many of 1996 with a loan in 1997.

    Who earns more borrows more often, takes a card and pays a premium; who runs low defaults.
    """
    rng = np.random.default_rng(seed)
    bank = SmallBank()
    for account in range(1, 2 * people + 1):
        early = account <= people
        rich = float(rng.normal())
        days = _EARLY if early else _LATE
        bank.tables["account"].append((account, 1, "POPLATEK MESICNE", days[0]))
        bank.tables["client"].append((account, 700101 + 5000 * (account % 2), 1))
        bank.tables["disp"].append((account, account, account, "OWNER"))
        balance = 0.0
        for day in days:
            income = round(6000 + 2000 * rich + 500 * float(rng.normal()), 1)
            balance = round(balance + max(income, 500.0), 1)
            bank.move(account, day, max(income, 500.0), balance)
            spent = round(min(balance + 200, 4500 + 800 * float(rng.normal())), 1)
            balance = round(balance - spent, 1)
            bank.move(account, day + 3, -spent, balance, "SIPO")
        if early and rich + 0.5 * rng.normal() > 0.4:
            balance = round(balance - 300, 1)
            bank.move(account, 940325, -300.0, balance, "POJISTNE")
        if early and rich + rng.normal() > 0.5:
            bank.tables["card"].append((account, account, "classic", "950607 00:00:00"))
        if not early or rich + rng.normal() > 0.5:
            bad = not early and rich + 0.4 * rng.normal() < -0.5
            loan = (account, account, 960105 if early else 970115, 24000, 12, 2000.0)
            bank.tables["loan"].append((*loan, "B" if bad else "A"))
            bank.tables["order"].append((account, account, "AB", 1, 2000.0, "UVER"))
    return bank
