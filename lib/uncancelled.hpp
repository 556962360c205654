// Keeps pthread_cancel away from calls that may not be left halfway, because they stand in functions that do not throw.
#pragma once

#include <pthread.h>

namespace ringway::detail {

// While it lives, this thread is not cancelled; it is at its next cancellation point afterwards.
class Uncancelled {
 public:
  Uncancelled() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  Uncancelled(const Uncancelled&) = delete;
  Uncancelled& operator=(const Uncancelled&) = delete;
  ~Uncancelled() { ::pthread_setcancelstate(before_, nullptr); }

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace ringway::detail
