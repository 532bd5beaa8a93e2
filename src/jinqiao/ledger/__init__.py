"""Bills of banks and wallets: read whole, understood, and reconciled to the last minor unit.

In: exported bills (Alipay, WeChat, JD, Meituan, nine banks; CSV, XLS, XLSX; OFX, QIF, camt, MT940),
Berka's ledger. Out: rows of RAW_TRANSACTIONS, faults, balance checks. Always: every row is a
transaction or a fault, and transactions + faults = rows read; a payment that two bills tell of is
counted once; a counterparty is a keyed digest. From: the exports themselves (fixtures of
double-entry-generator), OFX 1.6 and 2.2, ISO 20022 camt.052 to 054, SWIFT MT940, ISO 18245 for
merchant codes, Hierholzer 1873 for the order of a day.
"""

from jinqiao.ledger.balance import AccountBalance, reconcile
from jinqiao.ledger.berka import berka_transactions, read_berka
from jinqiao.ledger.berka_faults import split_berka
from jinqiao.ledger.bill import BILL_ROWS, Bill, read_bill
from jinqiao.ledger.categories import categorise
from jinqiao.ledger.formats import FORMATS
from jinqiao.ledger.postings import BillHints, StatementBalance
from jinqiao.ledger.standards import STANDARDS
from jinqiao.ledger.transfers import mark_own_transfers, mark_wallet_mirrors

__all__ = [
    "BILL_ROWS",
    "FORMATS",
    "STANDARDS",
    "AccountBalance",
    "Bill",
    "BillHints",
    "StatementBalance",
    "berka_transactions",
    "categorise",
    "mark_own_transfers",
    "mark_wallet_mirrors",
    "read_berka",
    "read_bill",
    "reconcile",
    "split_berka",
]
