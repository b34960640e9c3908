"""``regexp:file`` and ``pcre:file``: tables of patterns, and how a large one stays fast. Source: regexp_table(5),
pcre_table(5).
"""
