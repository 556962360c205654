// expect: read-only|const value|const-qualified
// A subscriber cannot change a message: its mapping is read-only.
#include <ringway/ringway.hpp>

struct Quote {
  int bid;
};

void change(ringway::TypedSubscriber<Quote>& in) {
#ifdef RINGWAY_COMPILE_OK
  auto message = in.receive();
  Quote mine = *message;
  mine.bid = 1;
  static_cast<void>(mine);
#else
  auto message = in.receive();
  message->bid = 1;
#endif
}
