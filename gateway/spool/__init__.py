"""The spool: what was acknowledged with 250 is here until every recipient is done.

Owns the durable queue: one SQLite database (write-ahead log, ``synchronous=FULL``, group commit) that belongs to one
process, body files beside it, and the UNIX-socket protocol by which the other processes hand in mail. Never parses or
changes a message, never decides where it goes. How it works and why: docs/spool.md.
"""

from gateway.spool.interface import ALL, QueueState, Spool, Submitter
from gateway.spool.reader import StoreReader
from gateway.spool.store import Store

__all__ = ["ALL", "QueueState", "Spool", "Store", "StoreReader", "Submitter"]
