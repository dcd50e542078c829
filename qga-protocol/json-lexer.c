/*
 * The lexer: one function a state, or a group of states that differ in what may follow only.
 */
#include "qga-protocol/json-lexer.h"

static gboolean is_digit(guint8 byte)
{
    return byte >= '0' && byte <= '9';
}

/* A byte that may stand in a string without a backslash; UTF-8 is judged later. */
static gboolean is_string_byte(guint8 byte)
{
    return byte >= 0x20 && byte < 0xFE;
}

/* Where lexing may begin again after a bad byte: at the bytes that QEMU's IN_RECOVERY stops at. */
static gboolean is_resync_byte(guint8 byte)
{
    switch (byte) {
    case '\t':
        return FALSE;
    case '{':
    case '}':
    case '[':
    case ']':
    case ':':
    case ',':
        return TRUE;
    default:
        return !is_string_byte(byte);
    }
}

static QgaToken bad(QgaLexState *state)
{
    *state = QGA_LEX_RECOVERY;
    return QGA_TOKEN_BAD;
}

static QgaToken whole(QgaLexState *state, QgaToken token)
{
    *state = QGA_LEX_START;
    return token;
}

static QgaToken go(QgaLexState *state, QgaLexState next)
{
    *state = next;
    return QGA_TOKEN_NONE;
}

static QgaToken step_start(QgaLexState *state, guint8 byte)
{
    switch (byte) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return QGA_TOKEN_NONE;
    case '{':
        return QGA_TOKEN_OPEN_BRACE;
    case '}':
        return QGA_TOKEN_CLOSE_BRACE;
    case '[':
        return QGA_TOKEN_OPEN_BRACKET;
    case ']':
        return QGA_TOKEN_CLOSE_BRACKET;
    case ':':
        return QGA_TOKEN_COLON;
    case ',':
        return QGA_TOKEN_COMMA;
    case '"':
        return go(state, QGA_LEX_STRING);
    case '\'':
        return go(state, QGA_LEX_APOSTROPHE);
    case '-':
        return go(state, QGA_LEX_SIGN);
    case '0':
        return go(state, QGA_LEX_ZERO);
    default:
        if (is_digit(byte))
            return go(state, QGA_LEX_DIGITS);
        if (byte >= 'a' && byte <= 'z')
            return go(state, QGA_LEX_KEYWORD);
        return bad(state);
    }
}

/* In a string whose quote is QUOTE; PLAIN and ESCAPE are its two states. */
static QgaToken step_string(QgaLexState *state, guint8 byte, guint8 quote, QgaLexState plain,
                            QgaLexState escape)
{
    if (!is_string_byte(byte))
        return bad(state);
    if (*state == escape)
        return go(state, plain);
    if (byte == quote)
        return whole(state, QGA_TOKEN_STRING);
    return byte == '\\' ? go(state, escape) : QGA_TOKEN_NONE;
}

/* In a state where a number may end: DIGITS_STATE takes digits (START: none may follow). */
static QgaToken step_number(QgaLexState *state, guint8 byte, QgaLexState digits_state,
                            gboolean may_have_point, gboolean may_have_exponent,
                            gboolean *out_taken)
{
    if (is_digit(byte))
        return digits_state != QGA_LEX_START ? go(state, digits_state) : bad(state);
    if (may_have_point && byte == '.')
        return go(state, QGA_LEX_POINT);
    if (may_have_exponent && (byte == 'e' || byte == 'E'))
        return go(state, QGA_LEX_EXPONENT);
    *out_taken = FALSE;
    return whole(state, QGA_TOKEN_NUMBER);
}

QgaToken qga_lexer_step(QgaLexState *state, guint8 byte, gboolean *out_taken)
{
    *out_taken = TRUE;
    switch (*state) {
    case QGA_LEX_START:
        return step_start(state, byte);
    case QGA_LEX_RECOVERY:
        if (is_resync_byte(byte)) {
            *out_taken = FALSE;
            *state = QGA_LEX_START;
        }
        return QGA_TOKEN_NONE;
    case QGA_LEX_STRING:
    case QGA_LEX_STRING_ESCAPE:
        return step_string(state, byte, '"', QGA_LEX_STRING, QGA_LEX_STRING_ESCAPE);
    case QGA_LEX_APOSTROPHE:
    case QGA_LEX_APOSTROPHE_ESCAPE:
        return step_string(state, byte, '\'', QGA_LEX_APOSTROPHE, QGA_LEX_APOSTROPHE_ESCAPE);
    case QGA_LEX_SIGN:
        if (byte == '0')
            return go(state, QGA_LEX_ZERO);
        return is_digit(byte) ? go(state, QGA_LEX_DIGITS) : bad(state);
    case QGA_LEX_ZERO:
        return step_number(state, byte, QGA_LEX_START, TRUE, FALSE, out_taken); /* as QEMU has it */
    case QGA_LEX_DIGITS:
        return step_number(state, byte, QGA_LEX_DIGITS, TRUE, TRUE, out_taken);
    case QGA_LEX_POINT:
        return is_digit(byte) ? go(state, QGA_LEX_FRACTION) : bad(state);
    case QGA_LEX_FRACTION:
        return step_number(state, byte, QGA_LEX_FRACTION, FALSE, TRUE, out_taken);
    case QGA_LEX_EXPONENT:
        if (byte == '+' || byte == '-')
            return go(state, QGA_LEX_EXPONENT_SIGN);
        return is_digit(byte) ? go(state, QGA_LEX_EXPONENT_DIGITS) : bad(state);
    case QGA_LEX_EXPONENT_SIGN:
        return is_digit(byte) ? go(state, QGA_LEX_EXPONENT_DIGITS) : bad(state);
    case QGA_LEX_EXPONENT_DIGITS:
        return step_number(state, byte, QGA_LEX_EXPONENT_DIGITS, FALSE, FALSE, out_taken);
    case QGA_LEX_KEYWORD:
        if (byte >= 'a' && byte <= 'z')
            return QGA_TOKEN_NONE;
        *out_taken = FALSE;
        return whole(state, QGA_TOKEN_KEYWORD);
    }
    return bad(state);
}

gsize qga_lexer_plain_run(QgaLexState state, const guint8 *bytes, gsize n_bytes)
{
    guint8 quote = state == QGA_LEX_STRING ? '"' : '\'';
    gsize n = 0;

    if (state != QGA_LEX_STRING && state != QGA_LEX_APOSTROPHE)
        return 0;
    while (n < n_bytes && is_string_byte(bytes[n]) && bytes[n] != quote && bytes[n] != '\\')
        n++;
    return n;
}

QgaToken qga_lexer_next(const char **at, const char *end, const char **out_begin)
{
    QgaLexState state = QGA_LEX_START;
    QgaToken token = QGA_TOKEN_NONE;
    gboolean taken;

    *out_begin = *at;
    while (*at < end && token == QGA_TOKEN_NONE) {
        token = qga_lexer_step(&state, (guint8) * *at, &taken);
        *at += taken ? 1 : 0;
        if (state == QGA_LEX_START && token == QGA_TOKEN_NONE)
            *out_begin = *at; /* white space */
        *at += qga_lexer_plain_run(state, (const guint8 *)*at, (gsize)(end - *at));
    }
    /* A number or a keyword may be ended by the end, as by a space. */
    if (token == QGA_TOKEN_NONE && state != QGA_LEX_START)
        token = qga_lexer_step(&state, ' ', &taken);
    return token == QGA_TOKEN_NONE && state != QGA_LEX_START ? QGA_TOKEN_BAD : token;
}
