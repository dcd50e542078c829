#include "ctl/table.h"

#include <string.h>

#include "ctl/text.h"

#define GAP 2

struct Table {
    const char *const *headings;
    guint columns;
    GPtrArray *cells; /* of char *, safe */
};

Table *table_new(const char *const *headings)
{
    Table *table = g_new0(Table, 1);

    table->headings = headings;
    table->columns = g_strv_length((char **)headings);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    return table;
}

void table_free(Table *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

void table_add(Table *table, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(table->cells, text_safe(text));
}

void table_add_size(Table *table, guint64 bytes)
{
    if (bytes == 0)
        g_ptr_array_add(table->cells, g_strdup("-"));
    else
        g_ptr_array_add(table->cells, text_size(bytes));
}

guint table_rows(const Table *table)
{
    return table->cells->len / table->columns;
}

static gboolean is_right(const Table *table, guint column)
{
    return table->headings[column][0] == '>';
}

static const char *heading(const Table *table, guint column)
{
    return table->headings[column] + (is_right(table, column) ? 1 : 0);
}

static void append_padded(GString *line, const char *text, guint width, gboolean right,
                          gboolean is_last)
{
    guint used = text_width(text);
    guint padding = width > used ? width - used : 0;

    if (right)
        g_string_append_printf(line, "%*s", (int)padding, "");
    g_string_append(line, text);
    if (!right && !is_last)
        g_string_append_printf(line, "%*s", (int)padding, "");
    if (!is_last)
        g_string_append_printf(line, "%*s", GAP, "");
}

static void print_row(const Table *table, const guint *widths, const char *const *cells,
                      Terminal *terminal, Colour colour)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint c = 0; c < table->columns; c++)
        append_padded(line, cells[c], widths[c], is_right(table, c), c + 1 == table->columns);
    if (terminal->columns > 0)
        text_cut(line, terminal->columns);
    terminal_print(terminal, colour, "%s", line->str);
}

void table_print(const Table *table, Terminal *terminal)
{
    g_autofree guint *widths = g_new0(guint, table->columns);
    g_autofree const char **headings = g_new0(const char *, table->columns);
    const char *const *cells = (const char *const *)table->cells->pdata;

    for (guint c = 0; c < table->columns; c++) {
        headings[c] = heading(table, c);
        widths[c] = text_width(headings[c]);
        for (guint r = 0; r < table_rows(table); r++)
            widths[c] = MAX(widths[c], text_width(cells[r * table->columns + c]));
    }
    print_row(table, widths, headings, terminal, COLOUR_BOLD);
    for (guint r = 0; r < table_rows(table); r++)
        print_row(table, widths, cells + r * table->columns, terminal, COLOUR_NONE);
}
