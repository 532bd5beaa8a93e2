"""What each institution owes, to the cent: double-entry transfers, statements, reconciliation.

In: ``Application``s that changed, and the payout terms of the product version each was made under.
Out: ``Transfer``s, ``Statement``s, differences from an institution's own file.
Always: the journal sums to zero; nothing in it is changed, a correction is a new transfer; a close
posts the difference between what is due and what is posted, so the same facts give the same journal
whatever way they came, and closing twice changes nothing.
From: Pacioli's double entry; TigerBeetle's and Beancount's rules for immutable transfers;
docs/explanation/settlement.md.
"""

from jinqiao.settlement.close import Settled, settle
from jinqiao.settlement.journal import balance, journal_sum, owed, transfers_of
from jinqiao.settlement.reconcile import Difference, Reconciliation, reconcile
from jinqiao.settlement.statement import issue, statement, statement_csv, statements_of
from jinqiao.settlement.terms import PayoutTerms, tier_of

__all__ = [
    "Difference",
    "PayoutTerms",
    "Reconciliation",
    "Settled",
    "balance",
    "issue",
    "journal_sum",
    "owed",
    "reconcile",
    "settle",
    "statement",
    "statement_csv",
    "statements_of",
    "tier_of",
    "transfers_of",
]
