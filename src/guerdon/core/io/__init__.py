"""Reading what people have, and writing results as tables."""

from guerdon.core.io.formats import FORMATS, Format, FormatError
from guerdon.core.io.reader import Samples, iter_read, read
from guerdon.core.io.records import sample_record, write_samples
from guerdon.core.io.rejects import Reject, read_rejects, write_rejects
from guerdon.core.io.table import from_table, read_table, table_metadata, to_table, write_table

__all__ = [
    "FORMATS",
    "Format",
    "FormatError",
    "Reject",
    "Samples",
    "from_table",
    "iter_read",
    "read",
    "read_rejects",
    "read_table",
    "sample_record",
    "table_metadata",
    "to_table",
    "write_rejects",
    "write_samples",
    "write_table",
]
