/*
 * libFuzzer: whole requests through a session with fake commands and the real schema. The first two
 * bytes of an input seed how the rest is cut, how slowly output is read, when late calls are
 * answered, events sent and the host replaced; all of it must leave lines that are replies, errors
 * or events, each whole.
 */
#include <string.h>

#include "../unit/session-fixture.h"
#include "qga-protocol/framer.h"
#include "qga-protocol/json-reader.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct {
    SessionFixture *f;
    guint32 random;
    guint n_answered;    /* of the fixture's late calls */
    guint n_orphaned;    /* of them: those of hosts that are gone */
    GString *output;     /* of one host, from where it began to read */
    gboolean may_be_cut; /* the line being read: guest-sync-delimited may have dropped its rest */
    gboolean sync_expected; /* a line was cut, so a reply with 0xFF must follow */
} Run;

static guint next_random(Run *run, guint below)
{
    run->random = run->random * 1664525 + 1013904223;
    return (run->random >> 16) % below;
}

/* Is TREE a reply or an event? */
static gboolean is_answer(JsonNode *tree)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(tree) ? json_node_get_object(tree) : NULL;

    return object != NULL && json_object_has_member(object, "return") +
                                     json_object_has_member(object, "error") +
                                     json_object_has_member(object, "event") ==
                                 1;
}

/* Is it a whole line of output (N bytes without the newline)? */
static gboolean is_line(const char *line, gsize n_bytes)
{
    QgaFramer *framer = qga_framer_new();
    gboolean ok = FALSE;
    QgaFrame frame;

    if (n_bytes > 0 && (guint8)line[0] == 0xFF) {
        line++;
        n_bytes--;
    }
    for (gsize i = 0; i < n_bytes; i++)
        g_assert(line[i] >= 0x20 && line[i] < 0x7F);
    qga_framer_feed(framer, (const guint8 *)line, n_bytes, &frame);
    if (frame.kind == QGA_FRAME_MESSAGE) {
        static const QgaJsonLimits limits = {QGA_FRAMER_MAX_BYTES, QGA_FRAMER_MAX_TOKENS,
                                             QGA_FRAMER_MAX_NESTING, QGA_FRAMER_MAX_BYTES};
        JsonNode *tree = qga_json_parse(frame.text, frame.n_bytes, &limits, NULL, NULL);

        ok = tree != NULL && is_answer(tree);
        g_clear_pointer(&tree, json_node_unref);
    } else if (frame.kind == QGA_FRAME_ERROR) {
        ok = g_str_has_suffix(frame.text,
                              "limit exceeded"); /* a reply may be larger than a request */
    }
    qga_framer_free(framer);
    return ok;
}

/* All lines that are complete, which are taken off. */
static void check_lines(Run *run)
{
    const char *line = run->output->str;
    const char *end = line + run->output->len;
    const char *newline;

    while ((newline = memchr(line, '\n', (gsize)(end - line))) != NULL) {
        if (!is_line(line, (gsize)(newline - line))) {
            g_assert(run->may_be_cut);
            run->sync_expected = TRUE;
        }
        if ((guint8)line[0] == 0xFF)
            run->sync_expected = FALSE;
        run->may_be_cut = FALSE;
        line = newline + 1;
    }
    g_string_erase(run->output, 0, line - run->output->str);
}

static void read_output(Run *run, gsize n_bytes)
{
    gsize before = run->output->len;
    const guint8 *bytes;
    gsize n;

    while (n_bytes > 0 && (n = qga_session_peek(run->f->session, &bytes)) > 0) {
        n = MIN(n, n_bytes);
        g_string_append_len(run->output, (const char *)bytes, (gssize)n);
        qga_session_consume(run->f->session, n);
        n_bytes -= n;
    }
    g_assert(qga_session_pending_output(run->f->session) <=
             QGA_SESSION_OUTPUT_LIMIT_BYTES + 1024 * 1024);
    if (run->output->len != before)
        check_lines(run);
}

static void answer_late(Run *run)
{
    QgaCall *call;

    if (run->n_answered == run->f->late->len)
        return;
    g_assert(qga_call_is_orphaned(run->f->late->pdata[run->n_answered]) ==
             (run->n_answered < run->n_orphaned));
    call = run->f->late->pdata[run->n_answered++];
    if (next_random(run, 2))
        qga_call_return_empty(call);
    else
        qga_call_fail(call, QGA_CLASS_GENERIC, "no %u", run->n_answered);
}

static void send_event(Run *run)
{
    QgaWriter *writer = qga_session_begin_event(run->f->session, "MEMORY_ADDED", 1);

    if (writer != NULL) {
        qga_writer_null(writer);
        qga_session_end_event(run->f->session);
    }
}

/* Something else than feeding. */
static void happen(Run *run)
{
    switch (next_random(run, 16)) {
    case 0:
        qga_session_reset(run->f->session);
        run->n_orphaned = run->f->late->len;
        g_string_truncate(run->output, 0);
        run->may_be_cut = run->sync_expected = FALSE;
        g_assert(qga_session_pending_output(run->f->session) == 0);
        break;
    case 1:
    case 2:
        send_event(run);
        break;
    case 3:
    case 4:
    case 5:
        answer_late(run);
        break;
    default:
        read_output(run, next_random(run, 300));
    }
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static SessionFixture fixture; /* what is in it takes longer to make than to use */
    Run run = {0};
    gsize done = 2;

    if (size < 2)
        return 0;
    if (fixture.dispatch == NULL) {
        session_fixture_set_up(&fixture, NULL);
        fixture.n_large = 2000;
    }
    run.f = &fixture;
    run.random = (guint32)(data[0] << 8 | data[1]);
    run.output = g_string_new(NULL);
    while (done < size) {
        gsize n_max = 1 + next_random(&run, 64);
        gsize n = MIN(size - done, n_max);
        gboolean was_partial = run.output->len > 0;
        gsize taken = qga_session_feed(run.f->session, data + done, n);

        run.may_be_cut = run.may_be_cut || was_partial;
        g_assert(taken == n || !qga_session_wants_input(run.f->session));
        done += taken;
        happen(&run);
        if (!qga_session_wants_input(run.f->session)) {
            answer_late(&run);
            read_output(&run, G_MAXSIZE);
        }
    }
    while (run.n_answered < run.f->late->len)
        answer_late(&run);
    read_output(&run, G_MAXSIZE);
    g_assert(run.output->len == 0 && !run.sync_expected);
    g_assert(qga_session_wants_input(run.f->session));
    g_string_free(run.output, TRUE);
    qga_session_reset(fixture.session);
    g_ptr_array_set_size(fixture.late, 0);
    return 0;
}
