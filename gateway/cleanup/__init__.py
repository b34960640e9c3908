"""Cleanup: everything that happens to a message once, between its last octet and the spool.

Owns splitting content into head and body, the Received header, missing headers, applying Edits and access(5) actions,
canonical and virtual alias mapping, automatic copies, and the ``queue`` stage. Never judges a client, never delivers.
"""

from gateway.cleanup.cleanup import Cleanup, Submitter
from gateway.cleanup.cleanup_row import cleanup_config
from gateway.cleanup.collector import Collector
from gateway.cleanup.draft import Draft
from gateway.cleanup.internal_mail import InternalMail

__all__ = ["Cleanup", "Collector", "Draft", "InternalMail", "Submitter", "cleanup_config"]
