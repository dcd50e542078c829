/*
 * JSON values as D-Bus values and back: one rule for all commands, so that nobody converts a reply
 * by hand. It must never know a command, and never build more than its limits for a peer.
 *
 *     JSON                    D-Bus                  D-Bus read back
 *     object                  a{sv}                  any dictionary with string-like keys
 *     array                   av                     any array or struct
 *     string                  s                      s, o, g
 *     integer of int64        x                      y n q i u x, and t up to 2^63 - 1
 *     integer of uint64       t
 *     any other number        d                      d
 *     true, false             b                      b
 *     null                    none: -EINVAL          a variant is what it holds
 *
 * Arrays are av always, also where all elements are of one type: a type that hung on the contents
 * (an empty list has none) would be no type to rely on.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "qga-protocol/json-writer.h"

/* What a peer's message may hold: values (keys too), open containers, bytes of strings. */
#define QGA_BUS_MAX_VALUES (32 * 1024)
#define QGA_BUS_MAX_NESTING 64
#define QGA_BUS_MAX_BYTES (1024 * 1024)

/* A writer whose value goes into a message. A plain struct, so that it can live inside others. */
typedef struct {
    QgaWriter writer;
    sd_bus_message *message; /* borrowed */
    int result;              /* 0, or the first negative errno; nothing is appended after it */
    gboolean bare;           /* the outermost object is a{sv} itself, in no variant */
    guint depth;
    guint64 is_object; /* bit D-1: what is open at depth D is an object */
} QgaBusWriter;

/* Starts a value that is appended to MESSAGE: as one v; or, with BARE, an object as one a{sv}.
 * Returns the writer to write it with. */
QgaWriter *qga_bus_writer_init(QgaBusWriter *self, sd_bus_message *message, gboolean bare);

/* After the value: 0, or a negative errno of sd-bus; -EINVAL for null, for what is no object where
 * it must be, and for more than QGA_BUS_MAX_NESTING objects and arrays. */
int qga_bus_writer_result(const QgaBusWriter *self);

/* The complete D-Bus value at MESSAGE's position; free with json_node_unref(). MAX_VALUES and
 * MAX_BYTES are limits as above, for a reader that trusts its peer with more. NULL with QGA_ERROR
 * for what has no JSON value (a descriptor, an integer above 2^63 - 1, a key that is no string or
 * is there twice), for what passes a limit, and for a broken message. */
JsonNode *qga_bus_read_value(sd_bus_message *message, guint max_values, gsize max_bytes,
                             GError **error);

/* "memory-get-status" -> "GetStatus", "guest-get-memory-blocks" -> "GuestGetMemoryBlocks",
 * "MEMORY_UNPLUG_CHANGED" -> "UnplugChanged": NAME without PREFIX (where it has it), its words
 * joined with capitals. (transfer full) */
char *qga_bus_member_name(const char *name, const char *prefix);
