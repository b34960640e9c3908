"""Parameters of database clients: what a table's file holds, or main.cf under ``<table>_<name>``.

Source: ldap_table(5), mysql_table(5), pgsql_table(5), sqlite_table(5), memcache_table(5), with their older interfaces.
"""

from __future__ import annotations

_SQL = "additional_conditions domain expansion_limit query result_format select_field table where_field"

_NAMES = {
    "ldap": """
        bind bind_dn bind_pw cache cache_expiry cache_size chase_referrals debuglevel dereference domain
        expansion_limit leaf_result_attribute query_filter recursion_limit result_attribute result_filter result_format
        sasl_authz_id sasl_mechs sasl_minssf sasl_realm scope search_base server_host server_port size_limit
        special_result_attribute start_tls terminal_result_attribute timeout tls_ca_cert_dir tls_ca_cert_file tls_cert
        tls_cipher_suite tls_key tls_random_file tls_require_cert version""",
    "memcache": """
        backup data_size_limit domain flags key_format line_size_limit max_try memcache retry_pause timeout
        ttl""",
    "mysql": f"""
        {_SQL} dbname hosts option_file option_group password require_result_set tls_CAfile tls_CApath
        tls_cert_file tls_ciphers tls_key_file tls_verify_cert user""",
    "pgsql": f"{_SQL} dbname hosts password select_function user",
    "sqlite": f"{_SQL} dbpath",
}
CLIENT_PARAMETERS: dict[str, frozenset[str]] = {kind: frozenset(names.split()) for kind, names in _NAMES.items()}
"""By table type."""
