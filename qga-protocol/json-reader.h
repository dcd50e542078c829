/*
 * Reading JSON: text in, a tree out. The only reader of this project: requests, answers, replies
 * of a hypervisor and the journal all pass here. It is used instead of json-glib's own parser,
 * which accepts much that is not JSON, misreads some that is (leading zeros, NUL, 2^64 - 1), and
 * recurses without a limit. It must never read behind the text, whoever wrote it, nor build more
 * than its limits.
 *
 * The text is JSON with QEMU's single-quoted strings (json-string.h).
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* Members of one object. No command takes a tenth of it; the bound is there because g_str_hash()
 * has no secret: keys that all fall into one bucket cost their number squared. */
#define QGA_JSON_MAX_MEMBERS 256

/* What a text may have; each is the largest that is taken. */
typedef struct {
    gsize bytes;
    guint tokens;
    guint nesting;      /* open objects and arrays, at most QGA_GRAMMAR_MAX_NESTING */
    gsize string_bytes; /* of one string or number as it stands in the text */
} QgaJsonLimits;

/* A member of the outermost object whose text is wanted beside its value. */
typedef struct {
    const char *name;
    const char
        *text; /* gets where the value stands in the text that was read; NULL: there is none */
    gsize n_bytes;
} QgaJsonMark;

/* The one value of TEXT (N bytes; needs no NUL) as a tree; free with json_node_unref(). Integers of
 * int64 stay integers, larger ones become doubles. MARK may be NULL. NULL with QGA_ERROR where TEXT
 * is no JSON value, ends early, goes on behind it, is over a limit, or has an object with a key
 * twice or with more than QGA_JSON_MAX_MEMBERS. */
JsonNode *qga_json_parse(const char *text, gsize n_bytes, const QgaJsonLimits *limits,
                         QgaJsonMark *mark, GError **error);
