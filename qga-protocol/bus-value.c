#include "qga-protocol/bus-value.h"

#include <errno.h>
#include <string.h>

#include "qga-protocol/errors.h"

/* ---- the writer's sink ---- */

/* Remembers the first error; nothing is done after it. */
#define TRY(self, call)                                                                            \
    do {                                                                                           \
        int result_ = (self)->result < 0 ? 0 : (call);                                             \
        if (result_ < 0)                                                                           \
            (self)->result = result_;                                                              \
    } while (0)

static gboolean is_in_object(const QgaBusWriter *self)
{
    return self->depth > 0 && (self->is_object >> (self->depth - 1) & 1);
}

static gboolean is_bare(const QgaBusWriter *self)
{
    return self->bare && self->depth == 0;
}

/* A value is whole: a dictionary's entry ends with it. */
static void end_value(QgaBusWriter *self)
{
    if (is_in_object(self))
        TRY(self, sd_bus_message_close_container(self->message));
}

static void sink_basic(QgaBusWriter *self, char type, const void *value)
{
    char signature[2] = {type, '\0'};

    TRY(self, is_bare(self) ? -EINVAL : 0);
    TRY(self, sd_bus_message_open_container(self->message, SD_BUS_TYPE_VARIANT, signature));
    TRY(self, sd_bus_message_append_basic(self->message, type, value));
    TRY(self, sd_bus_message_close_container(self->message));
    end_value(self);
}

static void sink_begin(gpointer target, gboolean is_object)
{
    QgaBusWriter *self = target;
    guint64 bit;

    TRY(self, self->depth >= QGA_BUS_MAX_NESTING || (is_bare(self) && !is_object) ? -EINVAL : 0);
    if (!is_bare(self))
        TRY(self, sd_bus_message_open_container(self->message, SD_BUS_TYPE_VARIANT,
                                                is_object ? "a{sv}" : "av"));
    TRY(self,
        sd_bus_message_open_container(self->message, SD_BUS_TYPE_ARRAY, is_object ? "{sv}" : "v"));
    if (self->result < 0)
        return;
    bit = G_GUINT64_CONSTANT(1) << self->depth++;
    self->is_object = is_object ? self->is_object | bit : self->is_object & ~bit;
}

static void sink_end(gpointer target)
{
    QgaBusWriter *self = target;

    if (self->result < 0)
        return;
    self->depth--;
    TRY(self, sd_bus_message_close_container(self->message));
    if (!is_bare(self))
        TRY(self, sd_bus_message_close_container(self->message));
    end_value(self);
}

static void sink_key(gpointer target, const char *key)
{
    QgaBusWriter *self = target;

    TRY(self, sd_bus_message_open_container(self->message, SD_BUS_TYPE_DICT_ENTRY, "sv"));
    TRY(self, sd_bus_message_append_basic(self->message, SD_BUS_TYPE_STRING, key));
}

static void sink_string(gpointer target, const char *value)
{
    sink_basic(target, SD_BUS_TYPE_STRING, value);
}

static void sink_int64(gpointer target, gint64 value)
{
    sink_basic(target, SD_BUS_TYPE_INT64, &value);
}

static void sink_uint64(gpointer target, guint64 value)
{
    sink_basic(target, SD_BUS_TYPE_UINT64, &value);
}

static void sink_real(gpointer target, double value)
{
    sink_basic(target, SD_BUS_TYPE_DOUBLE, &value);
}

static void sink_boolean(gpointer target, gboolean value)
{
    int truth = value != FALSE;

    sink_basic(target, SD_BUS_TYPE_BOOLEAN, &truth);
}

static void sink_null(gpointer target)
{
    QgaBusWriter *self = target;

    TRY(self, -EINVAL);
}

static const QgaWriterSink message_sink = {sink_begin,  sink_end,     sink_key,
                                           sink_string, sink_int64,   sink_uint64,
                                           sink_real,   sink_boolean, sink_null};

QgaWriter *qga_bus_writer_init(QgaBusWriter *self, sd_bus_message *message, gboolean bare)
{
    *self = (QgaBusWriter){.message = message, .bare = bare};
    qga_writer_init_sink(&self->writer, &message_sink, self);
    return &self->writer;
}

int qga_bus_writer_result(const QgaBusWriter *self)
{
    return self->result;
}

/* ---- D-Bus to a JSON tree ---- */

typedef struct {
    sd_bus_message *message;
    guint n_values; /* left */
    gsize n_bytes;  /* left */
    guint depth;
} Reader;

static JsonNode *read_any(Reader *reader, GError **error);

static gpointer fail(GError **error, const char *problem)
{
    g_set_error(error, QGA_ERROR, QGA_CLASS_GENERIC, "D-Bus value %s", problem);
    return NULL;
}

static gboolean take_string(Reader *reader, const char *text, GError **error)
{
    gsize n_bytes = strlen(text);

    if (n_bytes > reader->n_bytes)
        return fail(error, "has too many bytes") != NULL;
    reader->n_bytes -= n_bytes;
    return TRUE;
}

static JsonNode *new_string(Reader *reader, const char *text, GError **error)
{
    if (!take_string(reader, text, error))
        return NULL;
    return json_node_init_string(json_node_alloc(), text);
}

static JsonNode *new_int(gint64 value)
{
    return json_node_init_int(json_node_alloc(), value);
}

static JsonNode *read_basic(Reader *reader, char type, GError **error)
{
    union {
        guint8 y;
        gint16 n;
        guint16 q;
        gint32 i;
        guint32 u;
        gint64 x;
        guint64 t;
        int b;
        double d;
        const char *s;
    } value;

    if (type == SD_BUS_TYPE_UNIX_FD)
        return fail(error, "of type 'h' has no JSON value");
    if (sd_bus_message_read_basic(reader->message, type, &value) <= 0)
        return fail(error, "cannot be read");
    switch (type) {
    case SD_BUS_TYPE_BYTE:
        return new_int(value.y);
    case SD_BUS_TYPE_INT16:
        return new_int(value.n);
    case SD_BUS_TYPE_UINT16:
        return new_int(value.q);
    case SD_BUS_TYPE_INT32:
        return new_int(value.i);
    case SD_BUS_TYPE_UINT32:
        return new_int(value.u);
    case SD_BUS_TYPE_INT64:
        return new_int(value.x);
    case SD_BUS_TYPE_UINT64:
        return value.t <= G_MAXINT64 ? new_int((gint64)value.t)
                                     : fail(error, "is an integer above 2^63 - 1");
    case SD_BUS_TYPE_BOOLEAN:
        return json_node_init_boolean(json_node_alloc(), value.b != 0);
    case SD_BUS_TYPE_DOUBLE:
        return json_node_init_double(json_node_alloc(), value.d);
    case SD_BUS_TYPE_STRING:
    case SD_BUS_TYPE_OBJECT_PATH:
    case SD_BUS_TYPE_SIGNATURE:
        return new_string(reader, value.s, error);
    default:
        return fail(error, "has an unknown type");
    }
}

static gboolean read_entry(Reader *reader, JsonObject *object, GError **error)
{
    char type;
    const char *key;

    if (sd_bus_message_peek_type(reader->message, &type, NULL) <= 0 || strchr("sog", type) == NULL)
        return fail(error, "is a dictionary whose keys are no strings") != NULL;
    if (sd_bus_message_read_basic(reader->message, type, &key) <= 0)
        return fail(error, "cannot be read") != NULL;
    if (!take_string(reader, key, error))
        return FALSE;
    if (json_object_has_member(object, key))
        return fail(error, "is a dictionary with a key twice") != NULL;
    /* The key lies in the message, which lives longer than this. */
    JsonNode *value = read_any(reader, error);
    if (value != NULL)
        json_object_set_member(object, key, value);
    return value != NULL;
}

static JsonNode *read_dictionary(Reader *reader, GError **error)
{
    JsonObject *object = json_object_new();
    JsonNode *node;
    gboolean good = TRUE;
    int end;

    while (good && (end = sd_bus_message_at_end(reader->message, 0)) == 0) {
        if (sd_bus_message_enter_container(reader->message, SD_BUS_TYPE_DICT_ENTRY, NULL) <= 0)
            good = fail(error, "cannot be read") != NULL;
        good = good && read_entry(reader, object, error);
        if (good && sd_bus_message_exit_container(reader->message) < 0)
            good = fail(error, "cannot be read") != NULL;
    }
    if (good && end < 0)
        good = fail(error, "cannot be read") != NULL;
    node = good ? json_node_init_object(json_node_alloc(), object) : NULL;
    json_object_unref(object);
    return node;
}

static JsonNode *read_list(Reader *reader, GError **error)
{
    JsonArray *array = json_array_new();
    JsonNode *node = NULL;
    int end;

    while ((end = sd_bus_message_at_end(reader->message, 0)) == 0) {
        node = read_any(reader, error);
        if (node == NULL)
            break;
        json_array_add_element(array, node);
    }
    if (end < 0)
        node = fail(error, "cannot be read");
    else
        node = end > 0 ? json_node_init_array(json_node_alloc(), array) : NULL;
    json_array_unref(array);
    return node;
}

/* CONTENTS: the signature of what is in it. Copied, since entering may move what it points to. */
static JsonNode *read_container(Reader *reader, char type, const char *contents, GError **error)
{
    gboolean is_dictionary = type == SD_BUS_TYPE_ARRAY && contents[0] == '{';
    JsonNode *node;

    if (++reader->depth > QGA_BUS_MAX_NESTING)
        return fail(error, "is nested too deeply");
    if (sd_bus_message_enter_container(reader->message, type, contents) <= 0)
        return fail(error, "cannot be read");
    if (type == SD_BUS_TYPE_VARIANT)
        node = read_any(reader, error);
    else
        node = is_dictionary ? read_dictionary(reader, error) : read_list(reader, error);
    if (node != NULL && sd_bus_message_exit_container(reader->message) < 0) {
        json_node_unref(node);
        return fail(error, "cannot be read");
    }
    reader->depth--;
    return node;
}

static JsonNode *read_any(Reader *reader, GError **error)
{
    char type;
    const char *contents = NULL;

    if (reader->n_values == 0)
        return fail(error, "has too many values in it");
    reader->n_values--;
    if (sd_bus_message_peek_type(reader->message, &type, &contents) <= 0)
        return fail(error, "cannot be read");
    if (contents == NULL)
        return read_basic(reader, type, error);
    char *copy = g_strdup(contents);
    JsonNode *node = read_container(reader, type, copy, error);
    g_free(copy);
    return node;
}

JsonNode *qga_bus_read_value(sd_bus_message *message, guint max_values, gsize max_bytes,
                             GError **error)
{
    Reader reader = {.message = message, .n_values = max_values, .n_bytes = max_bytes};

    return read_any(&reader, error);
}

/* ---- names ---- */

char *qga_bus_member_name(const char *name, const char *prefix)
{
    GString *member = g_string_new(NULL);
    gboolean at_word = TRUE;

    if (g_str_has_prefix(name, prefix))
        name += strlen(prefix);
    for (; *name != '\0'; name++) {
        if (*name == '-' || *name == '_') {
            at_word = TRUE;
            continue;
        }
        g_string_append_c(member, at_word ? g_ascii_toupper(*name) : g_ascii_tolower(*name));
        at_word = FALSE;
    }
    return g_string_free(member, FALSE);
}
