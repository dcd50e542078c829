/*
 * What doctor found: a list, and how it is shown.
 */
#pragma once

#include <glib.h>

#include "ctl/terminal.h"

typedef enum {
    FINDING_GOOD,
    FINDING_NOTE, /* worth knowing; nothing has to be done */
    FINDING_BAD,  /* keeps memory from being taken back, or may */
} FindingKind;

typedef struct Findings Findings;

Findings *findings_new(void);
void findings_free(Findings *findings);

/* Adds a finding about SUBJECT. FIX: the exact command or file to change, NULL: none; taken over.
 * DESC: a sentence without a full stop. */
void finding_add(Findings *findings, FindingKind kind, const char *subject, char *fix,
                 const char *desc_format, ...) G_GNUC_PRINTF(5, 6);
/* A finding that is the warning CODE of memory-get-status, with the same DESC; FIX is copied. */
void finding_add_warning(Findings *findings, FindingKind kind, const char *subject,
                         const char *code, const char *desc, const char *fix);

guint findings_count(const Findings *findings, FindingKind kind);

void findings_print(const Findings *findings, Terminal *terminal);
/* The list as JSON, on standard output. */
void findings_print_json(const Findings *findings);
