#include "qga-protocol/bus-value.h"

#include <errno.h>
#include <string.h>

#include "qga-protocol/errors.h"

/* ---- JSON text to D-Bus ---- */

/* The writer's spaces between tokens. */
static char next_token(QgaJsonCursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == ','))
        cursor->at++;
    return cursor->at < cursor->end ? *cursor->at : '\0';
}

static int append_basic(sd_bus_message *message, char type, const void *value)
{
    char signature[2] = {type, '\0'};
    int r = sd_bus_message_open_container(message, SD_BUS_TYPE_VARIANT, signature);

    if (r >= 0)
        r = sd_bus_message_append_basic(message, type, value);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int append_string(sd_bus_message *message, QgaJsonCursor *cursor)
{
    char *text = qga_json_read_string(cursor);
    int r = append_basic(message, SD_BUS_TYPE_STRING, text);

    g_free(text);
    return r;
}

static int append_number(sd_bus_message *message, QgaJsonCursor *cursor)
{
    const char *begin = cursor->at;
    gint64 signed_value;
    guint64 unsigned_value;
    double real;
    int r;

    while (cursor->at < cursor->end && strchr("+-.eE0123456789", *cursor->at) != NULL)
        cursor->at++;
    if (cursor->at == begin)
        return -EINVAL;
    char *digits = g_strndup(begin, (gsize)(cursor->at - begin));
    if (g_ascii_string_to_signed(digits, 10, G_MININT64, G_MAXINT64, &signed_value, NULL)) {
        r = append_basic(message, SD_BUS_TYPE_INT64, &signed_value);
    } else if (g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT64, &unsigned_value, NULL)) {
        r = append_basic(message, SD_BUS_TYPE_UINT64, &unsigned_value);
    } else {
        real = g_ascii_strtod(digits, NULL);
        r = append_basic(message, SD_BUS_TYPE_DOUBLE, &real);
    }
    g_free(digits);
    return r;
}

static int append_array(sd_bus_message *message, QgaJsonCursor *cursor)
{
    int r = sd_bus_message_open_container(message, SD_BUS_TYPE_VARIANT, "av");

    if (r >= 0)
        r = sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "v");
    cursor->at++;
    while (r >= 0 && next_token(cursor) != ']')
        r = qga_bus_append_variant(message, cursor);
    cursor->at++;
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int append_member(sd_bus_message *message, QgaJsonCursor *cursor)
{
    int r = sd_bus_message_open_container(message, SD_BUS_TYPE_DICT_ENTRY, "sv");
    char *key = qga_json_read_string(cursor);

    if (r >= 0)
        r = sd_bus_message_append_basic(message, SD_BUS_TYPE_STRING, key);
    g_free(key);
    cursor->at++; /* the colon */
    if (r >= 0)
        r = qga_bus_append_variant(message, cursor);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

int qga_bus_append_dictionary(sd_bus_message *message, QgaJsonCursor *cursor)
{
    if (next_token(cursor) != '{')
        return -EINVAL;
    int r = sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "{sv}");
    cursor->at++;
    while (r >= 0 && next_token(cursor) != '}')
        r = append_member(message, cursor);
    cursor->at++;
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int append_object(sd_bus_message *message, QgaJsonCursor *cursor)
{
    int r = sd_bus_message_open_container(message, SD_BUS_TYPE_VARIANT, "a{sv}");

    if (r >= 0)
        r = qga_bus_append_dictionary(message, cursor);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

int qga_bus_append_variant(sd_bus_message *message, QgaJsonCursor *cursor)
{
    int truth;

    switch (next_token(cursor)) {
    case '{':
        return append_object(message, cursor);
    case '[':
        return append_array(message, cursor);
    case '"':
        return append_string(message, cursor);
    case 't':
    case 'f':
        truth = *cursor->at == 't';
        cursor->at += strlen(truth ? "true" : "false");
        return append_basic(message, SD_BUS_TYPE_BOOLEAN, &truth);
    default:
        return append_number(message, cursor); /* null too, which is no number */
    }
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
