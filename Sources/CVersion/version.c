#include "CVersion.h"

#ifndef CLIP_COMMIT
#define CLIP_COMMIT ""
#endif

const char *clip_commit(void) {
    return CLIP_COMMIT;
}
