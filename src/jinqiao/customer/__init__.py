"""Customers: every identifier resolved to one subject, subjects to one person, and their consent.

In: identifiers, links between them, merges by hand, grants and withdrawals. Out: subject ids,
CUSTOMER_MAP, CONSENT_STATE, sealed memos, exports. Always: a merge can be undone and leaves the map
as it was; weak keys merge nobody; what is erased cannot be opened or found again; the statement
made last decides, in any order of arrival. From: deterministic record linkage (Fellegi and Sunter
1969, agreement on a strong key), union-find (Tarjan 1975), AES-GCM (NIST SP 800-38D), PIPL 2021.
"""

from jinqiao.customer.consent import (
    Said,
    consent_allows,
    consent_state,
    consents,
    grant,
    record_consents,
    record_consents_table,
    withdraw,
)
from jinqiao.customer.erasure import Erased, erase, export
from jinqiao.customer.identity import link, resolve, resolve_owners
from jinqiao.customer.merging import customer_map, customer_of, members, merge, unmerge
from jinqiao.customer.sealing import open_memos, seal_memos
from jinqiao.customer.vault import Vault
from jinqiao.customer.wording import publish_texts, shipped_texts

__all__ = [
    "Erased",
    "Said",
    "Vault",
    "consent_allows",
    "consent_state",
    "consents",
    "customer_map",
    "customer_of",
    "erase",
    "export",
    "grant",
    "link",
    "members",
    "merge",
    "open_memos",
    "publish_texts",
    "record_consents",
    "record_consents_table",
    "resolve",
    "resolve_owners",
    "seal_memos",
    "shipped_texts",
    "unmerge",
    "withdraw",
]
