// ringwayd from its command line to its end.
#pragma once

#include <functional>

#include "http.hpp"

namespace ringway::daemon {

// The program. `prepare` may change the server before it listens: a test puts another task queue in. Gives the exit code: 0 done,
// 1 failed, 2 wrong use.
int run(int argc, char** argv, const std::function<void(HttpServer&)>& prepare = {});

}  // namespace ringway::daemon
