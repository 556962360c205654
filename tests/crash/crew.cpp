#include "crash/crew.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "crash/operations.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;

bool below(std::uint64_t a, std::uint64_t b) { return static_cast<std::int64_t>(a - b) < 0; }

auto at(const std::vector<Due>& jobs, std::uint64_t position) {
  return std::find_if(jobs.begin(), jobs.end(), [&](const Due& job) { return job.position == position; });
}

std::size_t letters_of(const Image& image, std::uint64_t position) {
  if (image.dead_data.empty()) return 0;
  const std::vector<Frame> frames = image.dead_letters().frames();
  return static_cast<std::size_t>(
      std::count_if(frames.begin(), frames.end(), [&](const Frame& frame) { return frame.origin == position; }));
}

std::string text_of(const Due& job) {
  return "job " + to_string(job.id) + " after attempt " + std::to_string(job.attempt);
}

}  // namespace

bool is_group(const Image& image, std::uint32_t row) {
  return image.subscription(row).kind.load() == SubscriptionKind::group &&
         image.subscription(row).state.load() == SubscriptionState::reliable;
}

std::vector<Due> due_jobs(const Image& image, std::uint32_t row) {
  const std::uint32_t group = image.subscription(row).group.load();
  const std::uint64_t next = image.group(group).next.load();
  const std::uint64_t gate = image.subscription(row).cursor.load();
  std::vector<Due> due;
  const std::vector<Frame> frames = image.frames();
  for (std::uint32_t index = 0; index < image.limits().max_in_flight; ++index) {
    const JobWord word = unpack_word(image.entry(group, index).word.load());
    const std::uint64_t position = image.entry(group, index).position.load();
    const bool trying = word.state == EntryState::trying;
    if (!has_job(word.state) || (trying && !below(position, next))) continue;
    if ((trying || word.again) && below(position, gate)) continue;  // lost to another, who has done it
    const auto frame =
        std::find_if(frames.begin(), frames.end(), [&](const Frame& one) { return one.position == position; });
    if (frame == frames.end() || !frame->message || !frame->id.whole)
      throw Bad("the job at " + std::to_string(position) + " is not there any more");
    if (at(due, position) != due.end()) throw Bad("two entries have the job at " + std::to_string(position));
    due.push_back({position, frame->id, word.attempt, true, word.again || trying});
  }
  for (const Frame& frame : frames)
    if (frame.message && !below(frame.position, next)) due.push_back({frame.position, frame.id, 0, false, false});
  return due;
}

void check_jobs(const Image& now, const Rules& rules, bool finished) {
  std::size_t acked = 0;
  std::size_t buried = 0;
  for (std::uint32_t row = 0; row < now.limits().max_subscriptions; ++row) {
    if (!is_group(now, row) || !is_group(rules.base, row)) continue;
    const std::vector<Due> then = due_jobs(rules.base, row);
    const std::vector<Due> due = due_jobs(now, row);
    for (const Due& job : due) {
      if (below(job.position, now.subscription(row).cursor.load())) throw Bad("the gate passed " + text_of(job));
      const auto before_it = at(then, job.position);
      if (before_it == then.end() && below(job.position, rules.base.tail()))
        throw Bad(text_of(job) + " is not done any more");
      if (before_it != then.end() && (job.attempt < before_it->attempt || job.attempt > before_it->attempt + 1))
        throw Bad(text_of(job) + ", before it " + std::to_string(before_it->attempt));
    }
    for (const Due& job : then) {
      const std::size_t letters = letters_of(now, job.position) - letters_of(rules.base, job.position);
      buried += letters;
      if (letters != 0 && job.attempt != kAttempts) throw Bad(text_of(job) + " is a dead letter");
      if (at(due, job.position) == due.end() && letters == 0) ++acked;
    }
  }
  if (acked > rules.acks || (finished && acked != rules.acks))
    throw Bad(std::to_string(acked) + " jobs are done, due are " + std::to_string(rules.acks));
  if (buried > rules.buries || (finished && buried != rules.buries))
    throw Bad(std::to_string(buried) + " dead letters, due are " + std::to_string(rules.buries));
}

Crew::Crew(const ringway::Bus& bus, const Image& found, std::uint32_t row)
    : bus_(bus),
      found_(found),
      row_(row),
      name_(reinterpret_cast<const char*>(found.subscription(row).name.data())),
      due_(due_jobs(found, row)),
      member_(bus.group_member("t", {.group = name_, .prefetch = 2})) {}

void Crew::expect(const Id& id) { due_.push_back({0, id, 0, false, false}); }

bool Crew::work_one() {
  auto job = member_.try_receive();
  if (!job) {
    if (job.status() == ringway::Code::would_block) return false;
    throw Bad("the group " + name_ + " cannot work: " + job.status().text());
  }
  const Id id = identify(job.payload().data(), job.payload().size());
  const auto due = std::find_if(due_.begin(), due_.end(), [&](const Due& one) { return one.id == id; });
  if (due == due_.end()) throw Bad("job " + to_string(id) + " came, and is not due");
  const std::string text = text_of(*due) + " came at attempt " + std::to_string(job.attempt());
  if (job.attempt() != due->attempt + 1) throw Bad(text);
  if (job.redelivered() != (due->again || due->attempt > 0)) throw Bad(text + (due->again ? ", unmarked" : ", marked"));
  if (due->attempt == kAttempts) throw Bad(text);
  if (!due->taken)
    for (auto earlier = due_.begin(); earlier != due; ++earlier)
      if (!earlier->taken) throw Bad(text + " before " + to_string(earlier->id));
  if (!job.ack()) throw Bad(text + ", and cannot be acknowledged");
  due_.erase(due);
  return true;
}

void Crew::work() {
  for (int tries = 0; tries < 130; ++tries)  // twice as many as until a claimer is looked at
    if (work_one()) tries = 0;
}

void Crew::finish() {
  const auto left = [&] {
    return std::count_if(due_.begin(), due_.end(), [](const Due& job) { return job.attempt < kAttempts; });
  };
  for (int tries = 0; tries < 1000 && left() != 0; ++tries) {  // one that was given back may be due a little later
    work();
    if (left() != 0) ::usleep(1000);
  }
  work();  // buries
  for (const Due& job : due_)
    if (job.attempt < kAttempts) throw Bad(text_of(job) + " did not come");
  std::map<std::uint64_t, std::size_t> letters;  // by the job's position: how many there must be
  if (!found_.dead_data.empty())
    for (const Frame& frame : found_.dead_letters().frames())
      if (frame.message) ++letters[frame.origin];
  for (const Due& job : due_) ++letters[job.position];
  std::size_t all = 0;
  if (!letters.empty() || !found_.dead_data.empty()) {
    auto reader = bus_.observer("dead", {.from = ringway::From::oldest});
    while (const auto message = reader.try_receive()) {
      const auto letter = message.dead_letter();
      if (!letter || letter->topic != "t" || letter->group != name_ || letter->attempts != kAttempts ||
          letters[letter->position]-- == 0 || !identify(message.payload().data(), message.payload().size()).whole)
        throw Bad("a dead letter that should not be");
      ++all;
    }
  }
  for (const auto& [position, count] : letters)
    if (count != 0)
      throw Bad("the job at " + std::to_string(position) + " is no dead letter, after " + std::to_string(all));
  std::vector<ringway::GroupMember> members;
  for (std::uint32_t slot = 1; slot < found_.limits().max_members; ++slot)
    members.push_back(bus_.group_member("t", {.group = name_}));
  const Image after = read_image(bus_.directory());
  for (std::uint32_t index = 0; index < found_.limits().max_in_flight; ++index) {
    const std::uint32_t group = after.subscription(row_).group.load();
    const JobWord word = unpack_word(after.entry(group, index).word.load());
    const bool kept = word.state == EntryState::kept && word.owner < after.limits().max_members &&  // by one of these
                      (after.member(group, word.owner).incarnation.load() & kIncarnationMask) == word.incarnation;
    if (word.state != EntryState::free && !kept) throw Bad("entry " + std::to_string(index) + " is not free");
  }
  due_.clear();
}

}  // namespace ringway_crash
