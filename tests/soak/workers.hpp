// The processes of the soak: each runs until it is killed or told to end (SIGTERM).
#pragma once

#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>

#include "ringway/error.hpp"
#include "ringway/options.hpp"

#include "soak/ledger.hpp"

namespace ringway_soak {

inline constexpr const char* kTopicNames[kTopics] = {"shared", "exclusive"};
inline constexpr const char* kDeadNames[kTopics] = {"shared.letters", "exclusive.letters"};
inline constexpr const char* kGroup = "crew";
inline constexpr std::uint32_t kMaxAttempts = 3;
inline constexpr std::uint32_t kMembers = 4;    // that a group can have
inline constexpr std::uint32_t kInFlight = 16;  // few: members meet a full table

struct Place {
  std::string directory;
  Ledger* ledger;
  std::uint64_t seed;
};

// Each returns the exit status of its process: 0, or 1 after what went wrong was printed.
int run_publisher(const Place& place, std::uint32_t run);
// Dies between two stores of a claim, by its own hand.
int run_torn(const Place& place, std::uint32_t run);
int run_durable(const Place& place, std::uint32_t topic, std::uint32_t which);
int run_ephemeral(const Place& place, std::uint32_t topic);
int run_overtaken(const Place& place, std::uint32_t topic, bool limited);  // comes and goes; payloads and order only
int run_accountant(const Place& place, std::uint32_t topic);               // lossy, never killed: counts every loss
int run_observer(const Place& place, std::uint32_t topic);

// Takes jobs, holds several, acknowledges most; some are never done, whoever tries. `forgets`: acknowledges one that it does
// not note, so that the checker must miss it.
int run_member(const Place& place, std::uint32_t topic, std::uint32_t crew, bool forgets);
// Dies between two stores of taking a job, or of acknowledging it, by its own hand.
int run_torn_member(const Place& place, std::uint32_t topic, std::uint32_t crew);
int run_undertaker(const Place& place, std::uint32_t topic);  // reads the dead letters; never killed

// At fault. Whom that may harm is told so, nobody else notices.
// Writes cursors that cannot be into its own subscription, until publishers take that away.
int run_spoilt(const Place& place, std::uint32_t topic);
// Makes topics of its own, on each of which a publisher leaves what nobody can explain: all must say `corrupt` there.
int run_wrecked(const Place& place);

// Now and then there is no descriptor to be had in this process.
class Shortage {
 public:
  Shortage() = default;
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
  ~Shortage() { allow(true); }
  void comes_and_goes(std::mt19937_64& random) {
    if (random() % 64 == 0) allow(random() % 2 == 0);
  }
  void ends() { allow(true); }

 private:
  void allow(bool any);
  bool allowed_ = true;
};

// Every message that was given to the subscription durable0 was acknowledged or is a dead letter. Tells how many are wrong.
std::uint64_t judge_jobs(const Ledger& ledger);

// Ends at the next look of its loop.
void tell_to_end(int);
extern volatile sig_atomic_t told_to_end;

int complain(const char* who, const std::string& what);  // 1
inline constexpr int kTurnedAway = 3;                    // who holds the table lock is stopped, or does not get to run
int give_up(const char* who, const ringway::Error& error);  // kTurnedAway, or 1
bool over(const ringway::Status& status);                   // for good
std::string name_of(const Head& head);
void fill(const Head& head, std::byte* to);
// Whole, as one was published; else it is bad.
bool read_head(std::span<const std::byte> payload, Head& head);

}  // namespace ringway_soak
