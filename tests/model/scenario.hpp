// A scenario: a few threads over a small topic, searched by relacy.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iosfwd>
#include <string>

#include "world.hpp"
//
#include "relacy.hpp"

namespace model {

enum class Search : std::uint8_t { random, bounded };

struct Settings {
  Search search = Search::random;
  std::uint64_t seed = 1;        // random: the first execution's; a failure names its own
  std::uint64_t executions = 1;  // at most
  unsigned bound = 2;            // bounded: preemptions
  bool show = false;             // print every step of a failure
};

struct Outcome {
  bool failed = false;
  std::string why;
  std::uint64_t executions = 0;  // until the failure, or all
  std::uint64_t seed = 0;        // of the failure
};

struct Scenario {
  const char* name;
  const char* about;
  const char* bounds;  // threads and sizes
  Outcome (*run)(const Settings&);
  std::uint64_t brief;  // executions of the short form
};

extern const Scenario* const kScenarios;
extern const std::size_t kScenarioCount;

// Declared here, defined by the scenario's file.
Outcome run_shared(const Settings&);
Outcome run_laps(const Settings&);
Outcome run_exclusive(const Settings&);
Outcome run_packed(const Settings&);
Outcome run_lossy(const Settings&);
Outcome run_lossy_packed(const Settings&);
Outcome run_lossy_shared(const Settings&);
Outcome run_observe(const Settings&);
Outcome run_observe_packed(const Settings&);
Outcome run_observe_exclusive(const Settings&);
Outcome run_join(const Settings&);
Outcome run_join_new(const Settings&);
Outcome run_park(const Settings&);
Outcome run_arm(const Settings&);
Outcome run_late_ready(const Settings&);
Outcome run_disarm(const Settings&);
Outcome run_wait(const Settings&);
Outcome run_wait_claim(const Settings&);
Outcome run_crash(const Settings&);
Outcome run_evidence(const Settings&);
Outcome run_resolve(const Settings&);
Outcome run_passed(const Settings&);
Outcome run_next_owner(const Settings&);
Outcome run_jobs(const Settings&);
Outcome run_jobs_die(const Settings&);
Outcome run_jobs_return(const Settings&);
Outcome run_jobs_park(const Settings&);
Outcome run_jobs_busy(const Settings&);

std::ostream& nowhere();
std::ostream& report();

template <class Suite>
Outcome search(const Settings& settings) {
  constexpr rl::thread_id_t threads = Suite::params::thread_count;
  rl::test_params params;
  params.iteration_count =
      settings.search == Search::random ? settings.seed + settings.executions - 1 : settings.executions;
  params.output_stream = settings.show ? &report() : &nowhere();
  params.progress_stream = &nowhere();
  params.execution_depth_limit = 20'000;
  params.context_bound = settings.bound;
  if (settings.search == Search::random) params.initial_state = (std::to_string(settings.seed) + " ").c_str();
  const auto once = [&](bool again) {
    machine.executions = 0;
    machine.limit = settings.search == Search::random || again ? 0 : settings.executions;
    rl::ostringstream state;
    const rl::test_result_e result =
        settings.search == Search::random
            ? rl::run_test<Suite, rl::random_scheduler<threads>>(params, state, again)
            : rl::run_test<Suite, rl::context_bound_scheduler<threads>>(params, state, again);
    if (result != rl::test_result_success) params.initial_state = state.str();
    return result;
  };
  const rl::test_result_e result = once(false);
  Outcome outcome;
  outcome.failed = result != rl::test_result_success && result != rl::test_result_until_condition_hit;
  outcome.executions =
      settings.search == Search::random ? params.stop_iteration - settings.seed + 1 : params.stop_iteration;
  outcome.seed = params.stop_iteration;
  if (outcome.failed) {
    outcome.why = result == rl::test_result_user_assert_failed ? machine.failure : rl::test_result_str(result);
    if (settings.show) {
      params.collect_history = true;
      once(true);
    }
  }
  return outcome;
}

}  // namespace model
