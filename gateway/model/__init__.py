"""Values every room shares: addresses, envelopes, verdicts, edits, replies, delivery results, errors.

Owns no behaviour beyond printing and checking itself; never imports another room, asyncio, a socket or a clock.
"""
