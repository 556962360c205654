// The list of scenarios.
#include <iterator>

#include "scenario.hpp"

namespace model {
namespace {

constexpr Scenario kAll[] = {
    {"shared", "2 publishers, 2 reliable readers; positions pass 0", "4 threads, 7 frames of 2 lines in a ring of 8",
     run_shared, 15'000},
    {"laps", "3 publishers lap each other, nobody reads", "3 threads, 6 frames of 2 lines in a ring of 8", run_laps,
     20'000},
    {"exclusive", "an exclusive publisher and a reliable reader", "2 threads, 6 frames of 2 lines in a ring of 8",
     run_exclusive, 20'000},
    {"lossy", "an exclusive publisher overtakes a reader; losses counted",
     "2 threads, 6 frames of 2 lines in a ring of 8", run_lossy, 20'000},
    {"packed", "an exclusive publisher of packed frames, 2 reliable readers, one from the middle of a frame on",
     "3 threads, 5 frames of 2 messages in a ring of 8 lines", run_packed, 15'000},
    {"lossy-packed", "a publisher of packed frames overtakes a reader; losses counted",
     "2 threads, 6 frames of 2 messages in a ring of 8 lines", run_lossy_packed, 20'000},
    {"lossy-shared", "2 publishers overtake a reader; losses counted", "3 threads, 8 frames of 2 lines in a ring of 8",
     run_lossy_shared, 20'000},
    {"join", "joining at the oldest while 2 publishers move it", "3 threads, 8 frames of 2 lines in a ring of 8",
     run_join, 20'000},
    {"join-new", "joining at the newest of an exclusive topic", "2 threads, 6 frames of 2 lines in a ring of 8",
     run_join_new, 20'000},
    {"observe", "an observer joins at the newest of 2 publishers; losses counted", "3 threads, 5 frames of 1 line",
     run_observe, 20'000},
    {"observe-packed", "the same with a packed frame under way", "3 threads, frames of 1, 2, 2 lines",
     run_observe_packed, 20'000},
    {"observe-exclusive", "the same on an exclusive topic", "2 threads, 4 frames of 1 line", run_observe_exclusive,
     20'000},
    {"park", "2 publishers commit while a reader parks", "3 threads, 2 frames of 1 line", run_park, 20'000},
    {"arm", "2 readers park: one makes the publisher pass a barrier, one finds that done",
     "3 threads, 2 frames of 1 line", run_arm, 20'000},
    {"late-ready", "the same, and one tells late of a barrier that it made before the last disarming",
     "3 threads, 1 frame of 1 line", run_late_ready, 20'000},
    {"disarm", "2 publishers disarm the bias while a reader parks and parks again", "3 threads, 4 frames of 1 line",
     run_disarm, 20'000},
    {"wait", "a reader releases and parks while a publisher waits for it",
     "2 threads, 6 frames of 2 lines in a ring of 8", run_wait, 20'000},
    {"wait-claim", "a publisher waits for the end of another's claim", "2 threads, 8 frames of 2 lines in a ring of 8",
     run_wait_claim, 20'000},
    {"crash", "2 publishers die anywhere in one claim, a third goes on, a reader judges",
     "4 threads, frames of 1, 2, 1, 1 lines", run_crash, 40'000},
    {"evidence", "the same from their deaths on: only what the third leaves tells the frame's end",
     "2 threads, frames of 1 line", run_evidence, 20'000},
    {"resolve", "a dead publisher's frame becomes padding, a reader skips it",
     "3 threads, 4 frames of 2 lines in a ring of 8", run_resolve, 20'000},
    {"passed", "the same, with an observer that is overtaken there", "3 threads, 9 frames of 2 lines in a ring of 8",
     run_passed, 20'000},
    {"next-owner", "an exclusive publisher dies anywhere, the next one walks on", "3 threads, 3 frames of 2 lines",
     run_next_owner, 20'000},
    {"jobs", "2 members take and acknowledge, a publisher laps them", "3 threads, 6 frames of 2 lines in a ring of 8",
     run_jobs, 20'000},
    {"jobs-die", "a member dies anywhere in taking and acknowledging; another takes over",
     "3 threads, 5 frames of 2 lines in a ring of 8", run_jobs_die, 20'000},
    {"jobs-return", "a member gives back, another takes that; the slot of a dead one is owned anew",
     "3 threads, 4 frames of 2 lines in a ring of 8", run_jobs_return, 20'000},
    {"jobs-park", "a publisher commits while 2 members park", "3 threads, 3 frames of 1 line", run_jobs_park, 20'000},
    {"jobs-busy", "the same while one of them works, and wakes the other", "3 threads, 2 frames of 1 line",
     run_jobs_busy, 200'000},
};

}  // namespace

const Scenario* const kScenarios = kAll;
const std::size_t kScenarioCount = std::size(kAll);

}  // namespace model
