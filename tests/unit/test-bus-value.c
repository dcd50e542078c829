/*
 * JSON to D-Bus and back: nothing is lost, and what a peer sends has limits.
 */
#include <errno.h>
#include <glib.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "qga-protocol/bus-value.h"
#include "qga-protocol/errors.h"
#include "qga-protocol/json-reader.h"
#include "qga-protocol/json-writer.h"

/* A message that belongs to no started bus: enough for marshalling. */
static sd_bus_message *new_message(sd_bus **bus)
{
    sd_bus_message *message = NULL;

    g_assert_cmpint(sd_bus_new(bus), >=, 0);
    g_assert_cmpint(sd_bus_set_address(*bus, "unix:path=/nowhere"), >=, 0);
    g_assert_cmpint(sd_bus_set_bus_client(*bus, 0), >=, 0);
    g_assert_cmpint(sd_bus_set_watch_bind(*bus, 1), >=, 0);
    g_assert_cmpint(sd_bus_start(*bus), >=, 0);
    g_assert_cmpint(sd_bus_message_new_signal(*bus, &message, "/", "a.b", "C"), >=, 0);
    return message;
}

static JsonNode *read_back(sd_bus_message *message, guint max_values, gsize max_bytes,
                           GError **error)
{
    g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
    g_assert_cmpint(sd_bus_message_rewind(message, 1), >=, 0);
    return qga_bus_read_value(message, max_values, max_bytes, error);
}

static int append(sd_bus_message *message, const char *json, gboolean bare)
{
    static const QgaJsonLimits limits = {1000, 1000, 64, 1000};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = qga_json_parse(json, strlen(json), &limits, NULL, &error);
    QgaBusWriter writer;

    g_assert_no_error(error);
    qga_writer_node(qga_bus_writer_init(&writer, message, bare), node);
    return qga_bus_writer_result(&writer);
}

static char *round_trip(const char *json, GError **error)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);
    char *text = NULL;

    g_assert_cmpint(append(message, json, FALSE), ==, 0);
    JsonNode *node = read_back(message, QGA_BUS_MAX_VALUES, QGA_BUS_MAX_BYTES, error);
    if (node) {
        text = json_to_string(node, FALSE);
        json_node_unref(node);
    }
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
    return text;
}

static void test_round_trip(void)
{
    static const char *const values[] = {
        "{}",
        "[]",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "\"\"",
        "\"a \\\"quoted\\\" \\\\ word\"",
        "[1,\"two\",[3],{\"four\":[]}]",
        "{\"job\":1,\"state\":\"ready\",\"devices\":[{\"id\":\"slot0\",\"reasons\":[]}]}"};

    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = round_trip(values[i], &error);
        g_assert_no_error(error);
        g_assert_cmpstr(text, ==, values[i]);
    }
}

static void test_spaces_of_the_writer(void)
{
    g_autofree char *text = round_trip("{\"a\": [1, 2], \"b\": {\"c\": true}}", NULL);

    g_assert_cmpstr(text, ==, "{\"a\":[1,2],\"b\":{\"c\":true}}");
}

static void test_null_has_no_value(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);

    g_assert_cmpint(append(message, "{\"a\":null,\"b\":[{}]}", TRUE), ==, -EINVAL);
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
    message = new_message(&bus);
    g_assert_cmpint(append(message, "[]", TRUE), ==, -EINVAL);
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
    message = new_message(&bus);
    g_assert_cmpint(append(message, "1", TRUE), ==, -EINVAL);
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
}

static void test_above_int64(void)
{
    g_autoptr(GError) error = NULL;
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);
    QgaBusWriter writer;

    qga_writer_uint(qga_bus_writer_init(&writer, message, FALSE), G_MAXUINT64);
    g_assert_cmpint(qga_bus_writer_result(&writer), ==, 0);
    g_assert_null(read_back(message, 10, 10, &error));
    g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
}

/* A name from the kernel may be no UTF-8, which D-Bus does not carry. */
static void test_bad_utf8(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);
    QgaBusWriter writer;

    qga_writer_string_bytes(qga_bus_writer_init(&writer, message, FALSE), "a\xFF\0b", 4);
    g_assert_cmpint(qga_bus_writer_result(&writer), ==, 0);
    g_autoptr(JsonNode) node = read_back(message, 10, 10, NULL);
    g_assert_cmpstr(json_node_get_string(node), ==,
                    "a\xEF\xBF\xBD\xEF\xBF\xBD"
                    "b");
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
}

/* Types that this program never writes, and a person with busctl does. */
static void test_foreign_types(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);

    g_assert_cmpint(sd_bus_message_append(message, "a{sv}", 4, "y", "y", 7, "as", "as", 2, "p", "q",
                                          "struct", "(uo)", 9, "/x", "dict", "a{su}", 1, "k", 3),
                    >=, 0);
    JsonNode *node = read_back(message, 100, 100, NULL);
    g_assert_nonnull(node);
    g_autofree char *text = json_to_string(node, FALSE);
    g_assert_cmpstr(text, ==,
                    "{\"y\":7,\"as\":[\"p\",\"q\"],\"struct\":[9,\"/x\"],\"dict\":{\"k\":3}}");
    json_node_unref(node);
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
}

static void expect_refused(sd_bus *bus, sd_bus_message *message, guint max_values, gsize max_bytes,
                           const char *word)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(read_back(message, max_values, max_bytes, &error));
    g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
    g_assert_nonnull(strstr(error->message, word));
    sd_bus_message_unref(message);
    sd_bus_unref(bus);
}

static void test_limits(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);

    g_assert_cmpint(sd_bus_message_append(message, "ax", 4, 1LL, 2LL, 3LL, 4LL), >=, 0);
    expect_refused(bus, message, 4, 100, "too many values");
    message = new_message(&bus);
    g_assert_cmpint(sd_bus_message_append(message, "as", 2, "12345", "67890"), >=, 0);
    expect_refused(bus, message, 10, 9, "too many bytes");
    message = new_message(&bus);
    g_assert_cmpint(sd_bus_message_append(message, "a{ss}", 2, "k", "1", "k", "2"), >=, 0);
    expect_refused(bus, message, 10, 9, "twice");
    message = new_message(&bus);
    g_assert_cmpint(sd_bus_message_append(message, "a{us}", 1, 5, "1"), >=, 0);
    expect_refused(bus, message, 10, 9, "keys");
    message = new_message(&bus);
    g_assert_cmpint(sd_bus_message_append(message, "h", 0), >=, 0);
    expect_refused(bus, message, 10, 9, "'h'");
}

static void test_nesting(void)
{
    sd_bus *bus = NULL;
    sd_bus_message *message = new_message(&bus);
    guint depth = QGA_BUS_MAX_NESTING / 2 + 1;

    for (guint i = 0; i < depth; i++) {
        g_assert_cmpint(sd_bus_message_open_container(message, 'v', "av"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(message, 'a', "v"), >=, 0);
    }
    for (guint i = 0; i < 2 * depth; i++)
        g_assert_cmpint(sd_bus_message_close_container(message), >=, 0);
    expect_refused(bus, message, 10000, 100, "deeply");
}

static void test_member_names(void)
{
    static const char *const names[][3] = {
        {"memory-get-status", "memory-", "GetStatus"},
        {"guest-get-memory-block-info", "memory-", "GuestGetMemoryBlockInfo"},
        {"MEMORY_UNPLUG_CHANGED", "MEMORY_", "UnplugChanged"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *member = qga_bus_member_name(names[i][0], names[i][1]);
        g_assert_cmpstr(member, ==, names[i][2]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus-value/round-trip", test_round_trip);
    g_test_add_func("/bus-value/spaces", test_spaces_of_the_writer);
    g_test_add_func("/bus-value/null", test_null_has_no_value);
    g_test_add_func("/bus-value/above-int64", test_above_int64);
    g_test_add_func("/bus-value/bad-utf8", test_bad_utf8);
    g_test_add_func("/bus-value/foreign-types", test_foreign_types);
    g_test_add_func("/bus-value/limits", test_limits);
    g_test_add_func("/bus-value/nesting", test_nesting);
    g_test_add_func("/bus-value/member-names", test_member_names);
    return g_test_run();
}
