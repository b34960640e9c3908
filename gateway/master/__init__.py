"""Processes from master.cf: start, watch, restart, reload, stop.

Owns listening sockets, directories, the pid lock, privileges and readiness. Never loads a plugin, opens a table or
speaks SMTP: all that happens in workers, after privileges are dropped.
"""
