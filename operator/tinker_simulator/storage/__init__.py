"""What survives a kill: records in SQLite (write-ahead log), one repository per kind of record.

Everything is called from the event loop's thread; a statement takes microseconds, a transaction holds no await.
"""
