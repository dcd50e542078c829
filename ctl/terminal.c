#include "ctl/terminal.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MIN 40
#define COLUMNS_DEFAULT 80
#define COLUMNS_MAX 500

Terminal terminal_open(void)
{
    Terminal terminal = {.is_live = isatty(STDOUT_FILENO) == 1};
    const char *no_color = g_getenv("NO_COLOR"), *name = g_getenv("TERM");
    struct winsize size;

    if (!terminal.is_live)
        return terminal;
    terminal.has_cursor = g_strcmp0(name, "dumb") != 0;
    terminal.is_coloured = (!no_color || *no_color == '\0') && terminal.has_cursor;
    terminal.columns = COLUMNS_DEFAULT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.columns = size.ws_col;
    terminal.columns = CLAMP(terminal.columns, COLUMNS_MIN, COLUMNS_MAX);
    return terminal;
}

const char *terminal_on(const Terminal *terminal, Colour colour)
{
    static const char *const sequences[] = {
        [COLOUR_NONE] = "",           [COLOUR_BOLD] = "\033[1m",    [COLOUR_DIM] = "\033[2m",
        [COLOUR_GOOD] = "\033[32m",   [COLOUR_WARN] = "\033[33m",   [COLOUR_BAD] = "\033[31m",
        [COLOUR_KERNEL] = "\033[34m", [COLOUR_MOVABLE] = "\033[32m"};

    return terminal->is_coloured ? sequences[colour] : "";
}

const char *terminal_off(const Terminal *terminal)
{
    return terminal->is_coloured ? "\033[0m" : "";
}

void terminal_print(Terminal *terminal, Colour colour, const char *format, ...)
{
    va_list args;

    if (terminal->line_open)
        putchar('\n');
    terminal->line_open = FALSE;
    fputs(terminal_on(terminal, colour), stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    if (colour != COLOUR_NONE)
        fputs(terminal_off(terminal), stdout);
    putchar('\n');
    fflush(stdout);
}

void terminal_redraw(Terminal *terminal, const char *line)
{
    if (!terminal->has_cursor) {
        puts(line);
    } else {
        printf("\r\033[K%s", line);
        terminal->line_open = TRUE;
    }
    fflush(stdout);
}

void terminal_end_line(Terminal *terminal)
{
    if (terminal->line_open)
        putchar('\n');
    terminal->line_open = FALSE;
    fflush(stdout);
}

void terminal_clear(Terminal *terminal)
{
    if (terminal->has_cursor)
        fputs("\033[H\033[2J", stdout);
    terminal->line_open = FALSE;
}
