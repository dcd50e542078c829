/*
 * The terminal that standard output is, or is not: width, colours, and a line that is drawn over.
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean is_live;     /* standard output is a terminal */
    gboolean has_cursor;  /* and that can be moved: not a dumb one */
    gboolean is_coloured; /* live, and NO_COLOR is not set */
    guint columns;        /* 0: not a terminal, so lines may be as long as they like */
    gboolean line_open;   /* the last thing written was terminal_redraw()'s */
} Terminal;

typedef enum {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_GOOD,
    COLOUR_WARN,
    COLOUR_BAD,
    COLOUR_KERNEL,
    COLOUR_MOVABLE
} Colour;

Terminal terminal_open(void);

/* The escape sequence that turns COLOUR on ("" where there are no colours), and all off. */
const char *terminal_on(const Terminal *terminal, Colour colour);
const char *terminal_off(const Terminal *terminal);

/* A line of its own; ends one that is being redrawn. The text is the program's own or text_safe().
 */
void terminal_print(Terminal *terminal, Colour colour, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* LINE in place of the last one that was redrawn; on anything but a terminal a line of its own. */
void terminal_redraw(Terminal *terminal, const char *line);
/* Leaves a line that is being redrawn as it is. */
void terminal_end_line(Terminal *terminal);
/* Clears the screen and goes to its top, on a terminal. */
void terminal_clear(Terminal *terminal);
