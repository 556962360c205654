// ringwayd with the thread pool that cpp-httplib brings: broken. Slow clients keep the others waiting, which the test must notice.
#include "run.hpp"

int main(int argc, char** argv) {
  return ringway::daemon::run(argc, argv, [](ringway::daemon::HttpServer& server) {
    server.new_task_queue = [] { return new httplib::ThreadPool(CPPHTTPLIB_THREAD_POOL_COUNT); };
  });
}
