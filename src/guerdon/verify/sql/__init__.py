"""Rewards for text-to-SQL, and the pieces that they are made of."""

from guerdon.verify.sql.completion import extract_sql, tag_count
from guerdon.verify.sql.database import Database, LimitReached, QueryError, UnusableDatabase
from guerdon.verify.sql.duckdb_database import DuckdbDatabase
from guerdon.verify.sql.execute import database_from_script, open_database, same_result
from guerdon.verify.sql.parse import identifiers, word_tokens
from guerdon.verify.sql.rewards import SqlExecution, SqlFormat, SqlNgram, SqlSchemaLinking, SqlSyntax
from guerdon.verify.sql.similarity import jaccard, ngram_set, recall
from guerdon.verify.sql.sqlite_database import SqliteDatabase

__all__ = [
    "Database",
    "DuckdbDatabase",
    "LimitReached",
    "QueryError",
    "SqlExecution",
    "SqlFormat",
    "SqlNgram",
    "SqlSchemaLinking",
    "SqlSyntax",
    "SqliteDatabase",
    "UnusableDatabase",
    "database_from_script",
    "extract_sql",
    "identifiers",
    "jaccard",
    "ngram_set",
    "open_database",
    "recall",
    "same_result",
    "tag_count",
    "word_tokens",
]
