"""The words of the field as frozen records. Standard library only.

In: nothing. Out: records that rooms hand to each other through ``flow``. Always: a record never
changes, money has a currency, an instant has a zone. From: docs/glossary.md.
"""
