"""Lookup tables ``type:name``, the lists built of them, and the orders in which keys are asked for.

One file a type; kinds with more to them have a folder: ``database``, ``ldap``, ``pattern``, ``sql``. Tables answer
questions; they decide nothing.
"""

from gateway.maps.table import BlockingTable, MemoryTable, RemoteTable, Table
from gateway.maps.tables import TableFactory, Tables

__all__ = ["BlockingTable", "MemoryTable", "RemoteTable", "Table", "TableFactory", "Tables"]
