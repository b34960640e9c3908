"""``hash:``, ``btree:``, ``lmdb:``, ``cdb:``: tables in database files, and the source files they are built from.
Source: DATABASE_README; postmap(1), postalias(1).
"""
