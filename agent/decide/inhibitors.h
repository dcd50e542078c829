/*
 * Inhibitors: what applications in the guest have to say about memory that leaves. A delay lock
 * asks for time to make room, a block lock says no. Pure: the descriptor that a lock is belongs to
 * the front, and nothing here knows D-Bus.
 */
#pragma once

#include <glib.h>

#define INHIBITORS_MAX 64        /* locks in all */
#define INHIBITORS_OTHERS_MAX 48 /* of these, of users other than root */
#define INHIBITORS_USER_MAX 16   /* of one user other than root */
#define INHIBIT_WHO_MAX 128      /* bytes of who */
#define INHIBIT_WHY_MAX 512      /* bytes of why */

typedef enum { INHIBIT_DELAY, INHIBIT_BLOCK } InhibitMode;

const char *inhibit_mode_name(InhibitMode mode); /* "delay", "block" */
gboolean inhibit_mode_parse(const char *name, InhibitMode *mode);

typedef struct {
    guint64 id; /* grows: a lock with a greater one was taken later */
    char *who;  /* printable: text_safe() */
    char *why;
    InhibitMode mode;
    guint32 uid, pid;
} Inhibitor;

typedef struct Inhibitors Inhibitors;

Inhibitors *inhibitors_new(void);
void inhibitors_free(Inhibitors *inhibitors); /* accepts NULL */

/* One more lock, as in REQUEST, whose texts are copied and escaped, and whose id is not looked at.
 * Return its id; 0: refused, and *PROBLEM is a static sentence that says why. */
guint64 inhibitors_add(Inhibitors *inhibitors, const Inhibitor *request, const char **problem);
/* What is wrong with the texts that a request has; NULL: nothing. Static. */
const char *inhibitors_judge_texts(const char *who, const char *why);
/* An id that is not there is no error. */
void inhibitors_remove(Inhibitors *inhibitors, guint64 id);

/* All of them, the oldest first. Borrowed; until the next change. */
const GPtrArray *inhibitors_list(const Inhibitors *inhibitors);
/* Differs after each change. */
guint64 inhibitors_generation(const Inhibitors *inhibitors);
/* The id of the lock that was taken last, also where it is gone; 0: there was none. */
guint64 inhibitors_last_id(const Inhibitors *inhibitors);
/* The oldest lock of MODE, or NULL. */
const Inhibitor *inhibitors_oldest(const Inhibitors *inhibitors, InhibitMode mode);
