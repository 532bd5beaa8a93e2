"""Who is asking, and what they may do: keys, sessions, tokens, signatures, limits on asking.

``principal_of`` turns a request's authority into a ``Principal``; ``authorise`` holds the one table
of every action. An id in a URL is never authority. Secrets lie in records as keyed digests, or
sealed where they must be read back; the three root keys lie in the workspace's ``keys/``.
"""

from jinqiao.flow.access.answers import Answer, answer_once, drop_answers
from jinqiao.flow.access.buckets import RateLimits, Taken
from jinqiao.flow.access.keyring import Keyring
from jinqiao.flow.access.keys import IssuedKey, create_key, list_keys, revoke_key, rotate_key
from jinqiao.flow.access.principal import (
    ACTIONS,
    NOBODY,
    Principal,
    Resource,
    Role,
    authorise,
    may,
)
from jinqiao.flow.access.tokens import (
    IssuedToken,
    issue_session,
    issue_token,
    open_session,
    principal_of,
)
from jinqiao.flow.access.webhooks import (
    add_webhook_secret,
    list_webhook_secrets,
    revoke_webhook_secret,
    sign_webhook,
    verify_webhook,
)

__all__ = [
    "ACTIONS",
    "NOBODY",
    "Answer",
    "IssuedKey",
    "IssuedToken",
    "Keyring",
    "Principal",
    "RateLimits",
    "Resource",
    "Role",
    "Taken",
    "add_webhook_secret",
    "answer_once",
    "authorise",
    "create_key",
    "drop_answers",
    "issue_session",
    "issue_token",
    "list_keys",
    "list_webhook_secrets",
    "may",
    "open_session",
    "principal_of",
    "revoke_key",
    "revoke_webhook_secret",
    "rotate_key",
    "sign_webhook",
    "verify_webhook",
]
