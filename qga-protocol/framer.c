/*
 * The framer. A byte goes through the lexer, a whole token through the grammar; beside them braces
 * and brackets are counted, as qemu-ga counts them, because a message against the grammar still has
 * an end. Only a good message is kept; of a bad one no more than an error may quote.
 */
#include "qga-protocol/framer.h"

#include <string.h>

#include "qga-protocol/json-grammar.h"
#include "qga-protocol/json-lexer.h"

/* Bytes of a token that an error shows: as parse_error() in QEMU's qobject/json-parser.c does. */
#define SHOWN_MAX 1023
/* A buffer not larger than this is kept from message to message. */
#define KEPT_CAPACITY 2048

typedef enum {
    MODE_GOOD,  /* the message is kept */
    MODE_WRONG, /* against the grammar: told when it balances; only the current token is kept */
    MODE_SKIP,  /* over a limit: has been told */
} Mode;

struct QgaFramer {
    QgaLexState lex;
    char *text; /* the message so far, in MODE_GOOD; else the head of the current token */
    gsize length;
    gsize capacity; /* allocated, one more than may be used */
    gsize token_start;
    gboolean handed_out; /* the text was given away in a frame: forget it at the next feed */

    Mode mode;
    QgaGrammar grammar; /* meaningful in MODE_GOOD */
    guint n_tokens;
    gint64 braces; /* open ones, negative: too many closed; counted in every mode */
    gint64 brackets;
    char *wrong; /* in MODE_WRONG: what to tell */
    char *told;  /* the text of the last error frame */
};

G_STATIC_ASSERT(QGA_FRAMER_MAX_NESTING <= QGA_GRAMMAR_MAX_NESTING);

QgaFramer *qga_framer_new(void)
{
    QgaFramer *framer = g_new0(QgaFramer, 1);

    framer->lex = QGA_LEX_START;
    return framer;
}

void qga_framer_free(QgaFramer *framer)
{
    if (framer == NULL)
        return;
    g_free(framer->text);
    g_free(framer->wrong);
    g_free(framer->told);
    g_free(framer);
}

static void text_forget(QgaFramer *framer)
{
    framer->length = 0;
    framer->token_start = 0;
    if (framer->capacity > KEPT_CAPACITY) {
        g_clear_pointer(&framer->text, g_free);
        framer->capacity = 0;
    }
}

/* Ready for the next message; what the lexer is in the middle of stays. */
static void message_begin(QgaFramer *framer)
{
    framer->mode = MODE_GOOD;
    framer->grammar = (QgaGrammar){0};
    framer->n_tokens = 0;
    framer->braces = 0;
    framer->brackets = 0;
    g_clear_pointer(&framer->wrong, g_free);
}

void qga_framer_reset(QgaFramer *framer)
{
    message_begin(framer);
    text_forget(framer);
    framer->handed_out = FALSE;
    framer->lex = QGA_LEX_START;
}

gboolean qga_framer_is_open(const QgaFramer *framer)
{
    /* In recovery nothing is open: what is skipped ends by itself. */
    return framer->n_tokens > 0 || framer->mode != MODE_GOOD ||
           (framer->lex != QGA_LEX_START && framer->lex != QGA_LEX_RECOVERY);
}

gsize qga_framer_memory_bytes(const QgaFramer *framer)
{
    return sizeof *framer + framer->capacity + (framer->wrong ? strlen(framer->wrong) + 1 : 0) +
           (framer->told ? strlen(framer->told) + 1 : 0);
}

/* How many of N bytes more the text may take. */
static gsize text_room(const QgaFramer *framer, gsize n_bytes)
{
    gsize limit = framer->mode == MODE_GOOD ? QGA_FRAMER_MAX_BYTES : SHOWN_MAX;

    return MIN(n_bytes, limit - framer->length);
}

static void text_append(QgaFramer *framer, const guint8 *bytes, gsize n_bytes)
{
    if (framer->length + n_bytes + 1 > framer->capacity) {
        /* By a quarter, so that the buffer stays near the size of the message. */
        framer->capacity =
            MAX(framer->length + n_bytes + 1, MAX(512, framer->capacity + framer->capacity / 4));
        framer->capacity = MIN(framer->capacity, QGA_FRAMER_MAX_BYTES + 1);
        framer->text = g_realloc(framer->text, framer->capacity);
    }
    memcpy(framer->text + framer->length, bytes, n_bytes);
    framer->length += n_bytes;
    framer->text[framer->length] = '\0';
}

static void frame_error(QgaFramer *framer, QgaFrame *out, char *told)
{
    g_free(framer->told);
    framer->told = told;
    out->kind = QGA_FRAME_ERROR;
    out->text = told;
    out->n_bytes = strlen(told);
}

/* The message is over a limit: tells so, and skips what is left of it. */
static void over_limit(QgaFramer *framer, QgaFrame *out, const char *what)
{
    frame_error(framer, out, g_strdup_printf("JSON %s limit exceeded", what));
    framer->mode = MODE_SKIP;
    text_forget(framer);
}

static gboolean is_open(const QgaFramer *framer)
{
    return framer->braces >= 0 && framer->brackets >= 0 && framer->braces + framer->brackets > 0;
}

/* ---- tokens ---- */

/* The current token holds a byte that fits nowhere: one error, and nothing is left open. */
static void bad_token(QgaFramer *framer, QgaFrame *out)
{
    frame_error(framer, out,
                g_strdup_printf("JSON parse error, stray '%.*s'", SHOWN_MAX,
                                framer->text != NULL ? framer->text + framer->token_start : ""));
    message_begin(framer);
    text_forget(framer);
}

/* In MODE_GOOD: checks the token against limits and grammar. */
static void judge_token(QgaFramer *framer, QgaToken token, QgaFrame *out)
{
    if (++framer->n_tokens > QGA_FRAMER_MAX_TOKENS) {
        over_limit(framer, out, "token count");
    } else if (framer->braces + framer->brackets > QGA_FRAMER_MAX_NESTING) {
        over_limit(framer, out, "nesting depth");
    } else {
        char *wrong =
            qga_grammar_accept(&framer->grammar, token, framer->text + framer->token_start,
                               framer->length - framer->token_start);

        if (wrong != NULL) {
            framer->mode = MODE_WRONG;
            framer->wrong = g_strdup_printf("JSON parse error, %.*s", SHOWN_MAX, wrong);
            g_free(wrong);
        }
    }
}

/* A whole token is in the text. */
static void end_token(QgaFramer *framer, QgaToken token, QgaFrame *out)
{
    framer->braces += token == QGA_TOKEN_OPEN_BRACE;
    framer->braces -= token == QGA_TOKEN_CLOSE_BRACE;
    framer->brackets += token == QGA_TOKEN_OPEN_BRACKET;
    framer->brackets -= token == QGA_TOKEN_CLOSE_BRACKET;
    if (framer->mode == MODE_GOOD)
        judge_token(framer, token, out);

    framer->token_start = framer->length;
    if (framer->mode != MODE_GOOD)
        text_forget(framer);
    if (is_open(framer))
        return;

    if (framer->mode == MODE_GOOD) {
        out->kind = QGA_FRAME_MESSAGE;
        out->text = framer->text;
        out->n_bytes = framer->length;
        framer->handed_out = TRUE;
    } else if (framer->mode == MODE_WRONG) {
        frame_error(framer, out, g_steal_pointer(&framer->wrong));
    }
    message_begin(framer);
}

/* Appends what the current token took, as far as it is kept; over the limit it is an error. */
static void take_bytes(QgaFramer *framer, const guint8 *bytes, gsize n_bytes, QgaFrame *out)
{
    gsize n = text_room(framer, n_bytes);

    text_append(framer, bytes, n);
    if (n < n_bytes && framer->mode == MODE_GOOD) {
        over_limit(framer, out, "token size");
        text_append(framer, bytes + n, text_room(framer, n_bytes - n));
    }
}

gsize qga_framer_feed(QgaFramer *framer, const guint8 *bytes, gsize n_bytes, QgaFrame *out)
{
    gsize done = 0;

    *out = (QgaFrame){.kind = QGA_FRAME_NONE};
    if (framer->handed_out) {
        framer->handed_out = FALSE;
        text_forget(framer);
    }
    while (done < n_bytes && out->kind == QGA_FRAME_NONE) {
        QgaLexState before = framer->lex;
        QgaToken token = QGA_TOKEN_NONE;
        gsize n_taken = qga_lexer_plain_run(before, bytes + done, n_bytes - done);

        if (n_taken == 0) {
            gboolean taken;

            token = qga_lexer_step(&framer->lex, bytes[done], &taken);
            n_taken = taken ? 1 : 0;
        }
        /* White space and what is skipped after a bad byte belong to no token. */
        if (n_taken > 0 && before != QGA_LEX_RECOVERY &&
            !(before == QGA_LEX_START && framer->lex == QGA_LEX_START && token == QGA_TOKEN_NONE))
            take_bytes(framer, bytes + done, n_taken, out);
        done += n_taken;
        if (token == QGA_TOKEN_BAD)
            bad_token(framer, out);
        else if (token != QGA_TOKEN_NONE)
            end_token(framer, token, out);
    }
    return done;
}
