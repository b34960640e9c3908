"""Inbound shells: smtpd, pickup.

A shell moves octets between a transport and a sans-I/O session, keeps the deadlines, and asks policy. It never parses,
and policy never writes to the wire.
"""
