"""What may be used, shown and sent: purposes, data routes, dated rules of a jurisdiction.

In: feature dictionaries, declared routes, a jurisdiction's rules, products and profiles. Out:
features that a purpose may use, decisions with reasons, suitability masks. Always: what is not
declared is denied; a rule without a value for a date is an error, never a guess; the vectorised
mask equals the single decision. From: each rule's own ``source`` and ``article``.
"""

from jinqiao.policy.jurisdiction import (
    RULES,
    check_pack,
    credit_cap_bps,
    private_lending_cap_bps,
    required_rule,
    retention_days,
)
from jinqiao.policy.purposes import check_derived, check_features, inherited_purposes
from jinqiao.policy.routes import (
    STANDARD_ROUTES,
    DeclaredRoute,
    Transfer,
    allowed_fields,
    check_transfer,
)
from jinqiao.policy.suitability import suitability, suitability_mask

__all__ = [
    "RULES",
    "STANDARD_ROUTES",
    "DeclaredRoute",
    "Transfer",
    "allowed_fields",
    "check_derived",
    "check_features",
    "check_pack",
    "check_transfer",
    "credit_cap_bps",
    "inherited_purposes",
    "private_lending_cap_bps",
    "required_rule",
    "retention_days",
    "suitability",
    "suitability_mask",
]
