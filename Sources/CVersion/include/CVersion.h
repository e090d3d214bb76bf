// Facts about the build.

#ifndef CVERSION_H
#define CVERSION_H

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Returns the hash of the commit that was built, with a + appended if files differed from it; "" if
// it is unknown.
const char *clip_commit(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
