/*
 * The framer. A byte goes through the lexer, a whole token through the grammar; beside them braces
 * and brackets are counted, as qemu-ga counts them, because a message against the grammar still has
 * an end. Only a good message is kept; of a bad one no more than an error may quote.
 */
#include "qga-protocol/framer.h"

#include <string.h>

#include "qga-protocol/json-grammar.h"
#include "qga-protocol/json-lexer.h"
#include "qga-protocol/json-string.h"

/* Bytes of a token that an error shows: as parse_error() in QEMU's qobject/json-parser.c does. */
#define SHOWN_MAX 1023
/* A part of a message that is passed on is handed out when its last token has this many bytes. */
#define PART_BYTES 32768
/* Of "execute" and of "id": longer ones are not told. */
#define NAME_MAX_BYTES 1024
#define ID_MAX_BYTES (64 * 1024)

/* A buffer not larger than this is kept from message to message. */
#define KEPT_CAPACITY 2048

typedef enum {
    MODE_GOOD, /* the message is kept */
    MODE_SKIP, /* it is wrong, which has been told */
} Mode;

/* Which member of the outermost object is being read. */
typedef enum { MEMBER_OTHER, MEMBER_EXECUTE, MEMBER_ID } Member;

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
    gboolean passing;
    gsize n_space;    /* white space in the text */
    const char *over; /* the limit that a message in parts is over, else NULL */
    gsize n_parted;   /* bytes handed out in parts */
    gboolean is_cut;  /* the beginning of the current token is in a part */
    Member member;
    char *execute;
    char *id;
    gsize id_n_bytes;
    gsize id_start; /* in MEMBER_ID, once its value has begun */

    char *told; /* the text of the last error frame */
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
    g_free(framer->execute);
    g_free(framer->id);
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
    framer->n_space = 0;
    framer->over = NULL;
    framer->n_parted = 0;
    framer->is_cut = FALSE;
    framer->member = MEMBER_OTHER;
}

/* Not before the frame of the last message has been used. */
static void names_forget(QgaFramer *framer)
{
    g_clear_pointer(&framer->execute, g_free);
    g_clear_pointer(&framer->id, g_free);
    framer->id_n_bytes = 0;
}

void qga_framer_set_passing(QgaFramer *framer, gboolean passing)
{
    framer->passing = passing;
}

void qga_framer_reset(QgaFramer *framer)
{
    message_begin(framer);
    names_forget(framer);
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
    return sizeof *framer + framer->capacity + (framer->told ? strlen(framer->told) + 1 : 0);
}

/* How many of N bytes more the text may take. */
static gsize text_room(const QgaFramer *framer, gsize n_bytes)
{
    gsize limit = framer->mode == MODE_GOOD ? QGA_FRAMER_MAX_BYTES : SHOWN_MAX;

    if (framer->passing && framer->mode == MODE_GOOD)
        return n_bytes; /* what is over the limit becomes a part */
    return MIN(n_bytes, limit - framer->length);
}

static void text_append(QgaFramer *framer, const guint8 *bytes, gsize n_bytes)
{
    if (framer->length + n_bytes + 1 > framer->capacity) {
        /* By a quarter, so that the buffer stays near the size of the message. */
        framer->capacity =
            MAX(framer->length + n_bytes + 1, MAX(512, framer->capacity + framer->capacity / 4));
        if (!framer->passing)
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

/* Tells what is wrong with the message, and skips what is left of it. */
static void give_up(QgaFramer *framer, QgaFrame *out, char *told)
{
    frame_error(framer, out, told);
    framer->mode = MODE_SKIP;
    text_forget(framer);
}

static void over_limit(QgaFramer *framer, QgaFrame *out, const char *what)
{
    give_up(framer, out, g_strdup_printf("JSON %s limit exceeded", what));
}

static gboolean is_open(const QgaFramer *framer)
{
    return framer->braces >= 0 && framer->brackets >= 0 && framer->braces + framer->brackets > 0;
}

/* ---- tokens ---- */

/* The current token holds a byte that fits nowhere: nothing is left open, and one error is told of
 * all. */
static void bad_token(QgaFramer *framer, QgaFrame *out)
{
    if (framer->mode == MODE_GOOD)
        frame_error(
            framer, out,
            g_strdup_printf("JSON parse error, stray '%.*s'", SHOWN_MAX,
                            framer->text != NULL ? framer->text + framer->token_start : ""));
    message_begin(framer);
    text_forget(framer);
}

/* Which member of the outermost object KEY (N bytes, with its quotes) begins. */
static Member member_of_key(const char *key, gsize n_bytes)
{
    g_autofree char *name = n_bytes <= NAME_MAX_BYTES ? qga_json_string_decode(key, n_bytes) : NULL;

    if (g_strcmp0(name, "execute") == 0)
        return MEMBER_EXECUTE;
    return g_strcmp0(name, "id") == 0 ? MEMBER_ID : MEMBER_OTHER;
}

/* The token is fine. BEFORE: the grammar before it. */
static void note_names(QgaFramer *framer, QgaToken token, const QgaGrammar *before)
{
    const char *text = framer->text + framer->token_start;
    gsize n_bytes = framer->length - framer->token_start;
    gboolean is_member = before->depth == 1 && (before->is_object & 1) && !framer->is_cut;

    if (is_member && token == QGA_TOKEN_STRING && before->expect != QGA_EXPECT_VALUE) {
        framer->member = member_of_key(text, n_bytes);
        framer->id_start = G_MAXSIZE;
    } else if (is_member && before->expect == QGA_EXPECT_VALUE) {
        if (framer->member == MEMBER_EXECUTE && token == QGA_TOKEN_STRING &&
            framer->execute == NULL && n_bytes <= NAME_MAX_BYTES)
            framer->execute = qga_json_string_decode(text, n_bytes);
        framer->id_start = framer->token_start;
    }
    /* The whole of an id is in the text, unless a part was handed out meanwhile. */
    if (framer->member == MEMBER_ID && framer->grammar.depth == 1 &&
        framer->grammar.expect == QGA_EXPECT_COMMA_OR_CLOSE) {
        if (framer->id_start < framer->length && framer->id == NULL &&
            framer->length - framer->id_start <= ID_MAX_BYTES) {
            framer->id_n_bytes = framer->length - framer->id_start;
            framer->id = g_strndup(framer->text + framer->id_start, framer->id_n_bytes);
        }
        framer->member = MEMBER_OTHER;
    }
}

/* What the grammar says of the token. One whose beginning was handed out is not looked into: whom
 * it was passed to does that. */
static char *judge_grammar(QgaFramer *framer, QgaToken token)
{
    if (framer->is_cut && token == QGA_TOKEN_STRING)
        return qga_grammar_accept(&framer->grammar, token, "\"\"", 2);
    return qga_grammar_accept(&framer->grammar, token, framer->text + framer->token_start,
                              framer->length - framer->token_start);
}

/* In MODE_GOOD: checks the token against limits and grammar. */
static void judge_token(QgaFramer *framer, QgaToken token, QgaFrame *out)
{
    QgaGrammar before = framer->grammar;
    g_autofree char *wrong = NULL;

    framer->n_tokens++;
    if (framer->n_tokens >
        (framer->passing ? QGA_FRAMER_MAX_PASSED_TOKENS : QGA_FRAMER_MAX_TOKENS)) {
        over_limit(framer, out, "token count");
        return;
    }
    if (framer->braces + framer->brackets > QGA_FRAMER_MAX_NESTING) {
        over_limit(framer, out, "nesting depth");
        return;
    }
    if (framer->n_tokens > QGA_FRAMER_MAX_TOKENS && framer->over == NULL)
        framer->over = "token count";
    wrong = judge_grammar(framer, token);
    if (wrong != NULL)
        give_up(framer, out, g_strdup_printf("JSON parse error, %.*s", SHOWN_MAX, wrong));
    else if (framer->passing)
        note_names(framer, token, &before);
}

static void hand_out(QgaFramer *framer, QgaFrame *out, QgaFrameKind kind)
{
    out->kind = kind;
    out->text = framer->text;
    out->n_bytes = framer->length;
    out->over = framer->over;
    out->execute = framer->execute;
    out->id = framer->id;
    out->id_n_bytes = framer->id_n_bytes;
    framer->handed_out = TRUE;
}

/* Whether the message is over a limit, and enough of it is here to be handed out. */
static gboolean is_part(QgaFramer *framer)
{
    gboolean is_full = framer->length > QGA_FRAMER_MAX_BYTES + framer->n_space;

    if (!framer->passing || framer->mode != MODE_GOOD || framer->handed_out)
        return FALSE;
    if (framer->over == NULL && is_full)
        framer->over = "token size";
    return framer->over != NULL &&
           (is_full || framer->n_parted == 0 || framer->length - framer->token_start >= PART_BYTES);
}

static void hand_out_part(QgaFramer *framer, QgaFrame *out)
{
    if (framer->n_parted + framer->length > QGA_FRAMER_MAX_PASSED_BYTES) {
        over_limit(framer, out, "token size");
        return;
    }
    framer->n_parted += framer->length;
    framer->is_cut = framer->lex != QGA_LEX_START;
    framer->id_start = G_MAXSIZE;
    hand_out(framer, out, QGA_FRAME_PART);
}

void qga_framer_refuse(QgaFramer *framer, QgaFrame *out)
{
    g_assert(framer->over != NULL);
    *out = (QgaFrame){.kind = QGA_FRAME_ERROR};
    framer->handed_out = FALSE;
    over_limit(framer, out, framer->over);
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
    framer->is_cut = FALSE;
    if (framer->mode != MODE_GOOD)
        text_forget(framer);
    if (is_open(framer))
        return;

    if (framer->mode == MODE_GOOD)
        hand_out(framer, out, QGA_FRAME_MESSAGE);
    else
        names_forget(framer);
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

/* White space inside a message, if it is to be kept. */
static void take_space(QgaFramer *framer, guint8 byte)
{
    if (!framer->passing || framer->mode != MODE_GOOD || framer->n_tokens == 0 ||
        framer->n_space == QGA_FRAMER_MAX_SPACE_BYTES)
        return;
    text_append(framer, &byte, 1);
    framer->n_space++;
    framer->token_start = framer->length;
}

/* What was handed out is done with. */
static void frame_forget(QgaFramer *framer)
{
    if (framer->handed_out)
        text_forget(framer);
    framer->handed_out = FALSE;
    if (framer->n_tokens == 0)
        names_forget(framer);
}

gsize qga_framer_feed(QgaFramer *framer, const guint8 *bytes, gsize n_bytes, QgaFrame *out)
{
    gsize done = 0;

    *out = (QgaFrame){.kind = QGA_FRAME_NONE};
    frame_forget(framer);
    while (done < n_bytes && out->kind == QGA_FRAME_NONE) {
        QgaLexState before = framer->lex;
        QgaToken token = QGA_TOKEN_NONE;
        gsize n_taken = qga_lexer_plain_run(before, bytes + done, MIN(n_bytes - done, PART_BYTES));

        if (n_taken == 0) {
            gboolean taken;

            token = qga_lexer_step(&framer->lex, bytes[done], &taken);
            n_taken = taken ? 1 : 0;
        }
        /* White space and what is skipped after a bad byte belong to no token. */
        if (n_taken > 0 && before == QGA_LEX_START && framer->lex == QGA_LEX_START &&
            token == QGA_TOKEN_NONE)
            take_space(framer, bytes[done]);
        else if (n_taken > 0 && before != QGA_LEX_RECOVERY)
            take_bytes(framer, bytes + done, n_taken, out);
        done += n_taken;
        if (token == QGA_TOKEN_BAD)
            bad_token(framer, out);
        else if (token != QGA_TOKEN_NONE)
            end_token(framer, token, out);
        if (out->kind == QGA_FRAME_NONE && is_part(framer))
            hand_out_part(framer, out);
    }
    return done;
}
