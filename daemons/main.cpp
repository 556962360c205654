// `ringwayd`: the monitor that one may attach to a bus.
#include "run.hpp"

int main(int argc, char** argv) { return ringway::daemon::run(argc, argv); }
