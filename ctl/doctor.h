/*
 * doctor: everything that decides whether memory here can be taken back. It reads the system's own
 * files, by the daemon's own readers (agent/system), and needs no daemon. Each file doctor-*.c is a
 * set of checks; each check adds one finding or several. None of them changes anything.
 *
 * What memory-get-status warns of, doctor says in the same words, from the same function
 * (agent/decide/warnings.h); where a daemon runs, from its own mouth: it alone knows what it is
 * doing at this moment.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "ctl/finding.h"
#include "system/setup.h"
#include "system/snapshot.h"

typedef struct {
    const AttrIo *io;
    gboolean is_elsewhere; /* another tree than the machine's own: nothing that runs may be asked */
    Snapshot *snapshot;    /* NULL: there are no memory blocks, or none can be told */
    const GError *fault;   /* why there is no snapshot */
    Setup *setup;
    JsonNode *status; /* memory-get-status of the daemon; NULL: none runs, or it does not say */
    gboolean is_daemon_up;
    char *policy; /* the running daemon's; NULL: none runs */
    Findings *findings;
} Doctor;

/* Asks the daemon: is_daemon_up, status. Before the others. */
void doctor_check_agent(Doctor *doctor);
void doctor_check_kernel(Doctor *doctor);
void doctor_check_memory(Doctor *doctor);
void doctor_check_warnings(Doctor *doctor);

/* The text at PATH (without a leading slash), "" where it cannot be read. (transfer full) */
static inline char *doctor_text(const Doctor *doctor, const char *path)
{
    char *text = NULL;

    return attr_read_all(doctor->io, path, 1024 * 1024, &text) < 0 ? g_strdup("") : text;
}
