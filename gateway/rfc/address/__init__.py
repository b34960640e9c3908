"""Mail addresses as text: RFC 5321 and 5322 forms, and whatever else stands where an address should.

``tokens`` reads and prints, ``quoting`` turns the internal form (as tables have it) into the external one and back,
``header`` finds the addresses in a header's list. Nothing here knows a configuration, and nothing raises. The paths of
MAIL and RCPT have a parser of their own, which refuses: :mod:`gateway.rfc.rfc5321`.
"""
