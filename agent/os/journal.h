/*
 * The journal: what outlives the daemon, in statedir. All jobs, written whole and atomically before
 * the first write to sysfs that they lead to, so that a killed or upgraded daemon takes them over.
 *
 * The file is believed only as far as it makes sense: whoever could write it could make the daemon
 * bring memory online, nothing worse.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "decide/unplug.h"
#include "qga-protocol/json-writer.h"

#define JOURNAL_FILE "jobs.json"
#define JOURNAL_MAX_BYTES (8 * 1024 * 1024)

typedef struct {
    char *boot_id; /* of the boot in which it was written */
    guint64 next_job_id;
    gint64 eject_enabled; /* what hotplug/memory/enabled was before a barrier, -1: no barrier */
    GPtrArray *jobs;      /* of UnplugJob, owned */
} JournalState;

JournalState *journal_state_new(void);
void journal_state_free(JournalState *state); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalState, journal_state_free)

/* Replaces DIR's journal, atomically, mode 0600. FALSE and ERROR (G_FILE_ERROR) if it cannot. */
gboolean journal_save(const char *dir, const JournalState *state, GError **error);

/**
 * journal_load: what an earlier daemon of this boot left.
 *
 * Return: NULL without @error if there is nothing (no file, or one of another boot); NULL with
 * @error (G_IO_ERROR_INVALID_DATA, or G_FILE_ERROR) if the file is truncated or makes no sense.
 */
JournalState *journal_load(const char *dir, const char *boot_id, GError **error);

/* One job as JSON and back; the second is NULL with ERROR naming the member that makes no sense. */
void journal_job_write(QgaWriter *writer, const UnplugJob *job);
UnplugJob *journal_job_from_json(JsonNode *node, GError **error);
