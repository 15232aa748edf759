/* What the writing files share: turns and priorities. */
#ifndef HEARTH_INDEX_UPDATE_H
#define HEARTH_INDEX_UPDATE_H

#include "index/index.h"

/* Where `background`, the calling thread runs when no other wants the processor, for good. */
void update_go_idle(bool background);
/* Sleeps while somebody is busy; false once it was cancelled. */
bool update_wait_turn(const struct index_update_options *opt);

#endif
