/*
 * The schema's tables: what a check says of arguments, by a toy that has each kind of type, and
 * that the real one holds every command there is to be. tests/protocol/test_schema.py has bad
 * schemas.
 */
#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/schema.h"
#include "tests/unit/toy-schema.h"

static void test_real(void)
{
    static const char *const names[] = {"guest-sync",
                                        "guest-sync-delimited",
                                        "guest-ping",
                                        "guest-info",
                                        "guest-get-memory-blocks",
                                        "guest-set-memory-blocks",
                                        "guest-get-memory-block-info",
                                        "memory-get-status",
                                        "memory-set-target",
                                        "memory-get-devices",
                                        "memory-get-map",
                                        "memory-check-unplug",
                                        "memory-plan-unplug",
                                        "memory-prepare-unplug",
                                        "memory-query-unplug",
                                        "memory-cancel-unplug",
                                        "memory-get-policy",
                                        "memory-set-policy",
                                        "memory-set-events"};
    const QgaCommand *command = memplug_schema.commands;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++, command++) {
        g_assert_cmpstr(command->name, ==, names[i]);
        g_assert_true(qga_schema_find(&memplug_schema, names[i]) == command);
        g_assert_cmpint(command->is_opt_in, ==, strcmp(names[i], "memory-set-policy") == 0);
    }
    g_assert_null(command->name);
    g_assert_null(qga_schema_find(&memplug_schema, "guest-exec"));
    g_assert_cmpuint(g_strv_length((char **)memplug_schema.events), ==, 7);
}

static JsonNode *parse(const char *text)
{
    GError *error = NULL;
    JsonNode *node = json_from_string(text, &error);

    g_assert_no_error(error);
    return node;
}

#define TYPE(name, expected) "Invalid parameter type for '" name "', expected: " expected
#define MISSING(name) "Parameter '" name "' is missing"
#define UNEXPECTED(name) "Parameter '" name "' is unexpected"

static void test_arguments(void)
{
    static const struct {
        const char *arguments;
        const char *message; /* NULL: fine */
    } rows[] = {
        {"{\"s\":\"\"}", NULL},
        {"{\"s\":\"a\",\"i\":-1,\"u\":0,\"z\":9223372036854775807,\"n\":1.5,\"b\":false,\"a\":null,"
         "\"e\":\"blue\",\"p\":{\"x\":1,\"in\":{\"x\":2}},\"l\":[],\"w\":[{\"x\":1}]}",
         NULL},
        {"{\"s\":\"\",\"n\":1,\"w\":{\"x\":1}}", NULL},
        {"{}", MISSING("s")},
        {"{\"q\":1}", MISSING("s")},
        {"{\"s\":\"\",\"q\":1}", UNEXPECTED("q")},
        {"{\"s\":null}", TYPE("s", "string")},
        {"{\"s\":1,\"i\":\"\"}", TYPE("s", "string")},
        {"{\"s\":\"\",\"i\":1.0}", TYPE("i", "integer")},
        {"{\"s\":\"\",\"i\":\"1\"}", TYPE("i", "integer")},
        {"{\"s\":\"\",\"i\":null}", TYPE("i", "integer")},
        {"{\"s\":\"\",\"i\":true}", TYPE("i", "integer")},
        {"{\"s\":\"\",\"i\":[1]}", TYPE("i", "integer")},
        {"{\"s\":\"\",\"u\":-1}", "Parameter 'u' expects uint64"},
        {"{\"s\":\"\",\"z\":-1}", "Parameter 'z' expects uint64"},
        {"{\"s\":\"\",\"l\":[{\"x\":1}],\"u\":1.5}", "Parameter 'u' expects uint64"},
        {"{\"s\":\"\",\"n\":\"1\"}", TYPE("n", "number")},
        {"{\"s\":\"\",\"b\":0}", TYPE("b", "boolean")},
        {"{\"s\":\"\",\"e\":\"green\"}", "Parameter 'e' does not accept value 'green'"},
        {"{\"s\":\"\",\"e\":1}", TYPE("e", "string")},
        {"{\"s\":\"\",\"p\":[]}", TYPE("p", "object")},
        {"{\"s\":\"\",\"p\":{}}", MISSING("p.x")},
        {"{\"s\":\"\",\"p\":{\"x\":1,\"q\":1}}", UNEXPECTED("p.q")},
        {"{\"s\":\"\",\"p\":{\"x\":1,\"in\":{\"x\":[]}}}", TYPE("p.in.x", "integer")},
        {"{\"s\":\"\",\"l\":{}}", TYPE("l", "array")},
        {"{\"s\":\"\",\"l\":[1]}", TYPE("l[0]", "object")},
        {"{\"s\":\"\",\"l\":[{\"x\":1},{}]}", MISSING("l[1].x")},
        {"{\"s\":\"\",\"l\":[{\"x\":1},{\"x\":1,\"z\":1}]}", UNEXPECTED("l[1].z")},
        {"{\"s\":\"\",\"w\":1}", TYPE("w", "Either")},
    };
    const QgaCommand *command = qga_schema_find(&toy_schema, "t");
    GError *error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        JsonNode *node = parse(rows[i].arguments);
        gboolean ok = qga_schema_check(command, json_node_get_object(node), &error);

        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, rows[i].message);
        g_assert_cmpint(ok, ==, rows[i].message == NULL);
        g_clear_error(&error);
        json_node_unref(node);
    }
}

static void test_real_arguments(void)
{
    static const struct {
        const char *command;
        const char *arguments;
        const char *message;
    } rows[] = {
        {"guest-sync", "{}", MISSING("id")},
        {"guest-ping", "{\"x\":1}", UNEXPECTED("x")},
        {"guest-set-memory-blocks", "{\"mem-blks\":[{\"phys-index\":1}]}",
         MISSING("mem-blks[0].online")},
        {"guest-set-memory-blocks",
         "{\"mem-blks\":[{\"phys-index\":1,\"online\":true,\"can-offline\":true}]}", NULL},
        {"memory-prepare-unplug", "{\"devices\":[{\"slot\":1},{\"id\":\"slot0\"}],\"lease-ms\":5}",
         NULL},
        {"memory-prepare-unplug", "{\"devices\":[{\"slot\":1,\"bytes\":1}]}",
         UNEXPECTED("devices[0].bytes")},
        {"memory-check-unplug", "{\"devices\":[{\"id\":\"virtio0\",\"bytes\":1}]}", NULL},
        {"memory-query-unplug", "{}", NULL},
        {"memory-cancel-unplug", "{}", MISSING("job")},
        {"memory-set-policy", "{\"policy\":\"always\"}",
         "Parameter 'policy' does not accept value 'always'"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        JsonNode *node = parse(rows[i].arguments);
        GError *error = NULL;

        qga_schema_check(qga_schema_find(&memplug_schema, rows[i].command),
                         json_node_get_object(node), &error);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, rows[i].message);
        g_clear_error(&error);
        json_node_unref(node);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/real", test_real);
    g_test_add_func("/schema/arguments", test_arguments);
    g_test_add_func("/schema/real-arguments", test_real_arguments);
    return g_test_run();
}
