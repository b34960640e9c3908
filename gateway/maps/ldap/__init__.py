"""``ldap:file``: asking an LDAP directory. Source: ldap_table(5)."""
