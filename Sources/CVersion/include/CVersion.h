// Facts about the build.

#ifndef CVERSION_H
#define CVERSION_H

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// The commit that was built, with a + behind it if files had been changed; "" if it is not known.
const char *clip_commit(void);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
