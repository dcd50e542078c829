/*
 * The schema: what it accepts as a schema, what it says of arguments, and that the real one holds
 * every command there is to be.
 */
#include <string.h>

#include "qga-protocol/errors.h"
#include "qga-protocol/schema.h"

extern const char memplug_schema_json[];

static QgaSchema *real_schema(void)
{
    GError *error = NULL;
    QgaSchema *schema = qga_schema_new(memplug_schema_json, strlen(memplug_schema_json), &error);

    g_assert_no_error(error);
    return schema;
}

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
    QgaSchema *schema = real_schema();

    g_assert_cmpuint(g_strv_length((char **)qga_schema_commands(schema)), ==, G_N_ELEMENTS(names));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_true(qga_schema_has_command(schema, names[i]));
        g_assert_cmpstr(qga_schema_commands(schema)[i], ==, names[i]);
        g_assert_cmpint(qga_schema_has_feature(schema, names[i], "opt-in"), ==,
                        strcmp(names[i], "memory-set-policy") == 0);
    }
    g_assert_false(qga_schema_has_command(schema, "guest-exec"));
    g_assert_false(qga_schema_has_feature(schema, "guest-exec", "opt-in"));
    g_assert_cmpuint(g_strv_length((char **)qga_schema_events(schema)), ==, 6);
    qga_schema_free(schema);
    qga_schema_free(NULL);
}

static void test_bad_schemas(void)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"", "JSON parse error, the text ends early"},
        {"[{]", "JSON parse error, expecting value"},
        {"[1,]", "JSON parse error, expecting value"},
        {"{}", "schema: '?': not an array"},
        {"[1]", "schema: '?': an entry is not an object"},
        {"[{}]", "schema: '?': neither command, struct, enum, alternate nor event"},
        {"[{'command':'a','command':'b'}]", "JSON parse error, duplicate key"},
        {"[{'command':'a'},{'command':'a'}]", "schema: 'a': defined twice"},
        {"[{'struct':'str','data':{}}]", "schema: 'str': defined twice"},
        {"[{'struct':'S','data':{'a':'nope'}}]", "schema: 'S': unknown type"},
        {"[{'struct':'S','data':{'a':1}}]",
         "schema: 'S': a type is a name or an array of one name"},
        {"[{'struct':'S','data':{'a':[]}}]", "schema: 'S': an array type has one element"},
        {"[{'struct':'S','data':[]}]", "schema: 'S': data is not an object"},
        {"[{'enum':'E','data':[1]}]", "schema: 'E': not an array of words"},
        {"[{'command':'a','features':'b'}]", "schema: 'a': not an array of words"},
        {"[{'command':'a','returns':'nope'}]", "schema: 'a': unknown type"},
        {"[{'command':1}]", "schema: 'command': the name is not a string"},
        {"[{'enum':null,'data':[]}]", "schema: 'enum': the name is not a string"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        GError *error = NULL;
        QgaSchema *schema = qga_schema_new(rows[i].text, strlen(rows[i].text), &error);

        g_assert_null(schema);
        g_assert_error(error, QGA_ERROR, QGA_CLASS_GENERIC);
        g_assert_cmpstr(error->message, ==, rows[i].message);
        g_error_free(error);
    }
}

static const char toy[] =
    "[{'command':'t','data':{'s':'str','*i':'int','*u':'uint64','*z':'size','*n':'number',"
    "  '*b':'bool','*a':'any','*e':'Color','*p':'Point','*l':['Point'],'*w':'Either'},"
    "  'returns':['Point']},"
    " {'struct':'Point','data':{'x':'int','*y':'int','*in':'Point'}},"
    " {'enum':'Color','data':['red','blue']},"
    " {'alternate':'Either','data':{'one':'Point','all':['Point']}},"
    " {'command':'none'},"
    " {'event':'E','data':{'x':'int'}},{'event':'F'}]";

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
    GError *error = NULL;
    QgaSchema *schema = qga_schema_new(toy, strlen(toy), &error);

    g_assert_no_error(error);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        JsonNode *node = parse(rows[i].arguments);
        gboolean ok = qga_schema_check(schema, "t", json_node_get_object(node), &error);

        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, rows[i].message);
        g_assert_cmpint(ok, ==, rows[i].message == NULL);
        g_clear_error(&error);
        json_node_unref(node);
    }
    qga_schema_free(schema);
}

static void test_returns_and_events(void)
{
    GError *error = NULL;
    QgaSchema *schema = qga_schema_new(toy, strlen(toy), &error);
    JsonNode *points = parse("[{\"x\":1},{\"x\":2}]");
    JsonNode *point = parse("{\"x\":1}");
    JsonNode *empty = parse("{}");

    g_assert_true(qga_schema_check_return(schema, "t", points, NULL));
    g_assert_false(qga_schema_check_return(schema, "t", point, &error));
    g_assert_cmpstr(error->message, ==, TYPE("<anonymous>", "array"));
    g_clear_error(&error);
    g_assert_true(qga_schema_check_return(schema, "none", empty, NULL));
    g_assert_false(qga_schema_check_return(schema, "none", point, NULL));
    g_assert_false(qga_schema_check_return(schema, "none", points, NULL));

    g_assert_true(qga_schema_check_event(schema, "E", point, NULL));
    g_assert_false(qga_schema_check_event(schema, "E", empty, NULL));
    g_assert_false(qga_schema_check_event(schema, "E", points, NULL));
    g_assert_false(qga_schema_check_event(schema, "E", NULL, NULL));
    g_assert_true(qga_schema_check_event(schema, "F", NULL, NULL));
    g_assert_false(qga_schema_check_event(schema, "G", NULL, NULL));
    json_node_unref(points);
    json_node_unref(point);
    json_node_unref(empty);
    qga_schema_free(schema);
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
    QgaSchema *schema = real_schema();

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        JsonNode *node = parse(rows[i].arguments);
        GError *error = NULL;

        qga_schema_check(schema, rows[i].command, json_node_get_object(node), &error);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, rows[i].message);
        g_clear_error(&error);
        json_node_unref(node);
    }
    qga_schema_free(schema);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/real", test_real);
    g_test_add_func("/schema/bad-schemas", test_bad_schemas);
    g_test_add_func("/schema/arguments", test_arguments);
    g_test_add_func("/schema/returns-and-events", test_returns_and_events);
    g_test_add_func("/schema/real-arguments", test_real_arguments);
    return g_test_run();
}
