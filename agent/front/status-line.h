/*
 * The one line that `systemctl status` shows: what there is and what goes on.
 */
#pragma once

#include "front/agent.h"

/* "1 GiB of 2 GiB can be unplugged; job 3 offlining, 5 of 8 blocks". (transfer full) */
char *status_line(Agent *agent);

/* Sends the line to the service manager when the loop has nothing better to do. */
void status_line_queue_update(Agent *agent);
