// A group's jobs in an image: what each must come to, and a member that works until it has.
//
// Thread safety: a Crew belongs to one thread. Progress: calls that do not wait; a fault ends in an exception. Crash: none
// expected.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crash/survivor.hpp"
#include "ringway/ringway.hpp"

namespace ringway_crash {

// A job that is not done.
struct Due {
  std::uint64_t position = 0;
  Id id;
  std::uint32_t attempt = 0;  // that it has had
  bool taken = false;         // it is in an entry; else it comes for the first time, in the ring's order
  bool again = false;         // it must be marked, whatever its attempt
};
// Of the group in that row of the subscription table.
std::vector<Due> due_jobs(const Image& image, std::uint32_t row);
bool is_group(const Image& image, std::uint32_t row);

// Throws Bad unless the groups of `now` can be seen while the operation runs.
void check_jobs(const Image& now, const Rules& rules, bool finished);

class Crew {
 public:
  // Joins the group in that row of `found`, whose members are dead, or live elsewhere.
  Crew(const ringway::Bus& bus, const Image& found, std::uint32_t row);
  // A message that is published from here on.
  void expect(const Id& id);
  // Whatever there is, each job as it must come.
  void work();
  // All is done; what had its last attempt is among the dead letters, as often as it must; and every slot and entry is free.
  void finish();

 private:
  bool work_one();
  ringway::Bus bus_;
  Image found_;
  std::uint32_t row_;
  std::string name_;
  std::vector<Due> due_;
  ringway::GroupMember member_;
};

}  // namespace ringway_crash
