/*
 * A session with a few fake commands, for the tests of sessions. Nothing here checks anything.
 */
#pragma once

#include "qga-protocol/basic-commands.h"
#include "qga-protocol/session.h"

typedef struct {
    QgaDispatch *dispatch;
    QgaBasicCommands *basic;
    QgaSession *session;
    GPtrArray *late; /* of QgaCall, kept by memory-get-status and memory-set-policy */
    guint n_wakeups;
    guint n_large; /* numbers of 8 digits in a reply of guest-get-memory-blocks */
} SessionFixture;

void session_fixture_set_up(SessionFixture *f, gconstpointer data);
void session_fixture_tear_down(SessionFixture *f, gconstpointer data);

/* A test case on a fixture of its own. */
#define SESSION_TEST(name, function)                                                               \
    g_test_add("/session/" name, SessionFixture, NULL, session_fixture_set_up, function,           \
               session_fixture_tear_down)

/* Takes N bytes of output (all there is: G_MAXSIZE); to free. */
char *session_take(SessionFixture *f, gsize n_bytes);
/* All output is EXPECTED. */
void session_assert_output(SessionFixture *f, const char *expected);
/* Feeds all of TEXT, which the session must take. */
void session_feed(SessionFixture *f, const char *text);

#define GENERIC(desc) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\n"
#define GENERIC_ID(desc, id)                                                                       \
    "{\"id\": " id ", \"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\n"
#define NOT_FOUND(desc) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" desc "\"}}\n"
#define SYNC(id) "{\"execute\": \"guest-sync\", \"arguments\": {\"id\": " id "}}"
#define PING "{\"execute\":\"guest-ping\"}"
#define OK "{\"return\": {}}\n"
#define NOT_INTEGER GENERIC("Invalid parameter type for 'id', expected: integer")
#define STRAY_FF GENERIC("JSON parse error, stray '\\uFFFD'")
