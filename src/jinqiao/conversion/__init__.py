"""From a click to what became of it: one state machine an application, driven by postbacks.

In: click-outs (``ClickOut``), institutions' reports (``Postback`` records or a REPORTS table).
Out: ``Application``s with their state before and after, ``LimitMove``s for the catalog, OUTCOMES
rows through an outbox; refused reports kept with a reason.
Always: an application is a pure fold of its reports, the same for any order, splitting or
repetition; received = accepted + duplicate + rejected; an institution reports on its own clicks
only; every accepted report becomes exactly one outcome.
From: docs/how-to/send-postbacks.md; the corrections of Even Financial's analytics feed; the outbox
pattern.
"""

from jinqiao.conversion.applications import (
    Page,
    application,
    applications_of,
    mark_settled,
    of_institution,
    unsettled,
)
from jinqiao.conversion.clicks import (
    ClickOut,
    click,
    expire,
    holds_due,
    mark_left,
    mark_sold_out,
    record_click,
    record_clicks,
    sold_out,
)
from jinqiao.conversion.fold import fold
from jinqiao.conversion.late import late_reports, learn_late_reports
from jinqiao.conversion.outbox import OutcomeBatch, drain, mark_drained
from jinqiao.conversion.receive import (
    Change,
    Receipt,
    Rejected,
    keep_unreadable,
    receive,
    rejects,
    replay,
)
from jinqiao.conversion.signing import OpenedClick, open_click, sign_click

__all__ = [
    "Change",
    "ClickOut",
    "OpenedClick",
    "OutcomeBatch",
    "Page",
    "Receipt",
    "Rejected",
    "application",
    "applications_of",
    "click",
    "drain",
    "expire",
    "fold",
    "holds_due",
    "keep_unreadable",
    "late_reports",
    "learn_late_reports",
    "mark_drained",
    "mark_left",
    "mark_settled",
    "mark_sold_out",
    "of_institution",
    "open_click",
    "receive",
    "record_click",
    "record_clicks",
    "rejects",
    "replay",
    "sign_click",
    "sold_out",
    "unsettled",
]
