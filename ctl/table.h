/*
 * Tables: columns as wide as what is in them, the last one cut where the terminal ends.
 */
#pragma once

#include "ctl/terminal.h"

typedef struct Table Table;

/* HEADINGS: one for each column, NULL-terminated, static; a '>' in front aligns to the right. */
Table *table_new(const char *const *headings);
void table_free(Table *table); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* The next cell, row by row, made safe for a terminal. */
void table_add(Table *table, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same for a size in bytes. */
void table_add_size(Table *table, guint64 bytes);

guint table_rows(const Table *table);
void table_print(const Table *table, Terminal *terminal);
