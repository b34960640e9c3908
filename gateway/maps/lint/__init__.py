"""Looks for faults in tables that opening them does not find, and names file and line.

Every table that main.cf or master.cf names is opened; then its files are looked at (who may write them, who may not
read them, what is older than its source), its source is read (lines that are no records, keys that stand twice, keys
that are never asked for), and its rules are compared (rules that an earlier one leaves nothing to).
Only what is certain is told.
"""

from gateway.maps.lint.findings import Finding, Report, Severity
from gateway.maps.lint.tables import lint_configuration_files, lint_tables
from gateway.maps.lint.uses import Lookup, Use, table_uses

__all__ = ["Finding", "Lookup", "Report", "Severity", "Use", "lint_configuration_files", "lint_tables", "table_uses"]
