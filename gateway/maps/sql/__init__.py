"""``pgsql:file``, ``mysql:file``, ``sqlite:file``: asking SQL databases. Source: pgsql_table(5), mysql_table(5),
sqlite_table(5).
"""
