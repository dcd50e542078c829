/*
 * doctor: everything that decides whether memory here can be taken back. It reads the system's own
 * files and needs no daemon. Each file doctor-*.c is a set of checks; each check adds one finding
 * or several. None of them changes anything.
 */
#pragma once

#include <glib.h>

typedef enum {
    FINDING_GOOD,
    FINDING_NOTE, /* worth knowing; nothing has to be done */
    FINDING_BAD,  /* keeps memory from being taken back, or may */
} Verdict;

typedef struct Doctor Doctor;

/* Adds a finding about SUBJECT (static). FIX: the exact command or file to change, NULL: none;
 * taken over. DESC: a sentence without a full stop. */
void doctor_add(Doctor *doctor, Verdict verdict, const char *subject, char *fix,
                const char *desc_format, ...) G_GNUC_PRINTF(5, 6);

/* The text of PATH (without a leading slash), cut at 1 MiB, its last newline stripped. NULL: it
 * cannot be read. (transfer full) */
char *doctor_read(const Doctor *doctor, const char *path);
/* The same as a number; -1: it cannot be read, or is none. */
gint64 doctor_read_number(const Doctor *doctor, const char *path, guint base);
gboolean doctor_exists(const Doctor *doctor, const char *path);
/* The names in the directory PATH, sorted; empty where there is none. (transfer full) */
GPtrArray *doctor_list(const Doctor *doctor, const char *path);
/* The path as the C library takes it. (transfer full) */
char *doctor_path(const Doctor *doctor, const char *path);
/* TRUE: another tree than the machine's own is looked at, so nothing that runs may be asked. */
gboolean doctor_is_elsewhere(const Doctor *doctor);

void doctor_check_kernel(Doctor *doctor);
void doctor_check_rules(Doctor *doctor);
void doctor_check_memory(Doctor *doctor);
void doctor_check_agent(Doctor *doctor);
