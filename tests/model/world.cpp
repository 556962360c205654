#include "world.hpp"

namespace model {

using detail::before;
using detail::Blocker;
using detail::Claimed;
using detail::Found;
using detail::Look;

std::array<std::byte, 2 * kCapacity>& Memory::space() {
  static std::array<std::byte, 2 * kCapacity> all{};
  return all;
}

Topic*& Memory::current() {
  static Topic* topic = nullptr;
  return topic;
}

void Memory::racy_copy(std::byte* to, const std::byte* from, std::uint64_t bytes) {
  const auto start = static_cast<std::uint64_t>(from - space().data());
  for (std::uint64_t at = 0; at < bytes; at += 8) {
    Line& line = current()->lines[(start + at) / kLine % 8];
    Word<std::uint64_t>* const words[8] = {&line.frame.tag, &line.frame.size, &line.frame.origin, &line.frame.stamp,
                                           &line.payload};
    const Word<std::uint64_t>* word = words[(start + at) % kLine / 8];
    const std::uint64_t value = word == nullptr ? 0 : word->load(std::memory_order_relaxed);
    std::memcpy(to + at, &value, 8);
  }
}

World::World(bool exclusive, std::uint64_t first, unsigned publishers) {
  machine.reset();
  machine.watched = &topic.tail;
  machine.context = this;
  machine.on_exchange = &World::on_exchange;
  Memory::current() = &topic;
  memory.exclusive = exclusive;
  memory.topic = &topic;
  memory.parked = topic.parked.data();
  memory.waiting = topic.waiting.data();
  topic.tail.set(first);
  topic.oldest.set(first);
  topic.publishers_used.set(publishers);
  for (unsigned slot = 0; slot < publishers; ++slot) writers[slot].attach(memory, slot, first, true);
}

void World::on_exchange(void* world, std::uint64_t from, std::uint64_t to) {
  World& self = *static_cast<World*>(world);
  self.claims_[self.claim_count_++ % self.claims_.size()] = {from, to, me()};
}

void World::leave_dead(unsigned slot, unsigned lines, bool won) {
  PublisherRow& row = topic.publishers[slot];
  const std::uint64_t tail = topic.tail.latest();
  row.record.set(tail | detail::kRecordStanding);
  row.record_extent.set(lines * kLine);
  row.dead.set(1);
  died[slot] = true;
  if (!won) return;
  topic.tail.set(tail + lines * kLine);
  claims_[claim_count_++] = {tail, tail + lines * kLine, slot};
}

const Claim* World::claim_at(std::uint64_t start) const {
  for (std::size_t i = 0; i < claims_.size(); ++i)
    if (claims_[i].end != claims_[i].start && claims_[i].start == start) return &claims_[i];
  return nullptr;
}

void World::fill(unsigned slot, unsigned frames, unsigned lines) {
  Blocker blocker;
  for (unsigned i = 0; i < frames; ++i) check(publish(slot, lines, blocker), "the ring has space when it is filled");
}

void World::subscribe(std::uint32_t slot, std::uint64_t cursor, detail::SubscriptionState state) {
  if (topic.subscriptions_used.latest() <= slot) topic.subscriptions_used.set(slot + 1);
  topic.subscriptions[slot].cursor.set(cursor);
  topic.subscriptions[slot].state.set(state);
}

void World::write_and_commit(unsigned slot) {
  Writer& writer = writers[slot];
  const std::uint64_t position = writer.position();
  const unsigned lines = lines_[slot];
  for (unsigned line = 0; line < lines; ++line) {
    Line& here = memory.line(position + line * kLine);
    if (topic.plain) here.bytes.write(word_of(position, line));
    if (topic.copied)
      (line == 0 ? here.payload : here.frame.tag).store(word_of(position, line), std::memory_order_relaxed);
  }
  const bool parked = packed(slot, lines) ? writer.commit_packed(2, 8, 0)
                                          : writer.commit(static_cast<std::uint32_t>(bytes_for(lines)), 0);
  if (parked) wake_sleepers(slot);
}

void World::wake_sleepers(unsigned slot) {
  detail::wake_parked(memory);
  if (!memory.exclusive && detail::anyone_waiting(memory))
    detail::wake_waiting(memory, slot | detail::kBlockedByPublisher, memory.tail().load(std::memory_order_relaxed));
}

bool World::publish(unsigned slot, unsigned lines, Blocker& blocker) {
  const std::uint64_t bytes = packed(slot, lines) ? 64 : bytes_for(lines);
  for (;;) {
    const Claimed claimed = writers[slot].claim(bytes, packed(slot, lines) ? 2 : 0);
    if (claimed == Claimed::ok) {
      lines_[slot] = lines;
      write_and_commit(slot);
      return true;
    }
    check(claimed == Claimed::needs_space, "a claim is neither busy nor too large");
    if (!writers[slot].make_space(bytes, blocker)) return false;
  }
}

void World::publish_all(unsigned slot, unsigned frames, unsigned lines) {
  for (unsigned i = 0; i < frames;) {
    Blocker blocker;
    if (publish(slot, lines, blocker))
      ++i;
    else
      yield();
  }
}

void World::check_header(const Found& found) {
  if (detail::kind_of(found.size) == detail::FrameKind::packed) {
    const std::uint64_t index = detail::index_of(found.position);
    check(index < 2 && found.length == 8, "a packed frame has two messages");
    check(found.next == (index == 0 ? found.position + 1 : found.position - 1 + 2 * kLine),
          "they are handed out in turn");
  } else {
    check(found.next == found.position + (found.length == bytes_for(1) ? 1 : 2) * kLine, "the header is the frame's");
  }
}

void World::check_in_place(const Found& found) {
  check_header(found);
  const std::uint64_t start = detail::frame_start(found.position);
  if (detail::kind_of(found.size) == detail::FrameKind::packed) {
    const std::uint64_t index = detail::index_of(found.position);
    check(found.payload == memory.bytes_at(start) + detail::kFrameHeader + 32 * index, "a stride apart");
    check(memory.line(start + index * kLine).bytes.read() == word_of(start, static_cast<unsigned>(index)),
          "the payload is the message's");
    return;
  }
  const unsigned lines = found.length == bytes_for(1) ? 1 : 2;
  for (unsigned line = 0; line < lines; ++line)
    check(memory.line(found.position + line * kLine).bytes.read() == word_of(found.position, line),
          "the payload is the frame's");
}

void World::check_copy(const Found& found, const std::byte* buffer) {
  check_header(found);
  if (detail::kind_of(found.size) == detail::FrameKind::packed) {
    const std::uint64_t index = detail::index_of(found.position);
    std::uint64_t value = 0;
    std::memcpy(&value, buffer + 32 * index, 8);
    check(
        found.payload == buffer + 32 * index && value == word_of(found.position - index, static_cast<unsigned>(index)),
        "the copy is the message's");
    return;
  }
  const unsigned lines = found.length == bytes_for(1) ? 1 : 2;
  for (unsigned line = 0; line < lines; ++line) {
    std::uint64_t value = 0;
    std::memcpy(&value, buffer + line * (kLine - detail::kFrameHeader), 8);
    check(value == word_of(found.position, line), "the copy is the frame's");
  }
}

void World::check_sequence(const Found& found, std::array<std::uint64_t, 3>& next) {
  const std::uint32_t publisher = detail::publisher_of(found.origin);
  check(publisher < 3 && detail::sequence_of(found.origin) == next[publisher],
        "no message of this publisher is missing");
  ++next[publisher];
}

void World::release(std::uint32_t slot, std::uint64_t cursor) {
  if (detail::release(memory, slot, cursor)) detail::wake_waiting(memory, slot, cursor);
}

bool World::receive(std::uint32_t slot, Reader& reader, Found& found) {
  const Look look = reader.look(found);
  check(look == Look::message || look == Look::nothing, "a reliable reader sees no corruption");
  if (look == Look::nothing) return false;
  check_in_place(found);
  release(slot, found.next);
  return true;
}

unsigned World::receive_all(std::uint32_t slot, std::uint64_t from, unsigned messages, std::uint64_t first) {
  Reader reader;
  reader.attach(memory, from);
  std::array<std::uint64_t, 3> next{first, first, first};
  Found found;
  for (unsigned i = 0; i < messages;) {
    if (receive(slot, reader, found)) {
      check_sequence(found, next);
      ++i;
    } else {
      yield();
    }
  }
  return messages;
}

bool World::in_the_way(const Blocker& blocker) {
  static const Site* const sites[] = {site("blocker record"), site("blocker cursor")};
  if ((blocker.slot & detail::kBlockedByPublisher) != 0) {
    const std::uint64_t record = topic.publishers[blocker.slot & ~detail::kBlockedByPublisher].record.load(
        std::memory_order_acquire, Where(sites[0]));
    return record != detail::kNoRecord && detail::position_of(record) == blocker.position &&
           !detail::tagged(memory, blocker.position);
  }
  const SubscriptionRow& row = topic.subscriptions[blocker.slot];
  return row.state.load(std::memory_order_acquire, Where(sites[1])) == detail::SubscriptionState::reliable &&
         before(row.cursor.load(std::memory_order_acquire, Where(sites[1])), blocker.position);
}

bool World::truly_in_the_way(const Blocker& blocker) const {
  if ((blocker.slot & detail::kBlockedByPublisher) == 0)
    return before(topic.subscriptions[blocker.slot].cursor.latest(), blocker.position);
  const std::uint64_t record = topic.publishers[blocker.slot & ~detail::kBlockedByPublisher].record.latest();
  return record != detail::kNoRecord && detail::position_of(record) == blocker.position;
}

detail::Verdict World::judge(std::uint64_t position, detail::Ruling& ruling) {
  ruling = detail::judge(memory, position, [this](std::uint32_t slot) { return is_dead(slot); });
  check(ruling.verdict != detail::Verdict::corrupt, "nothing is judged corrupt");
  if (ruling.verdict != detail::Verdict::resolved) return ruling.verdict;
  const Claim* claim = claim_at(position);
  check(claim != nullptr, "what is resolved was claimed");
  check(died[claim->thread], "only the dead are passed");
  check(ruling.end == claim->end, "a dead publisher's frame ends where it ends");
  return ruling.verdict;
}

bool World::settle_record(std::uint32_t slot) {
  static const Site* const sites[] = {site("settle record"), site("settle tail"), site("settle oldest"),
                                      site("settle none")};
  PublisherRow& row = topic.publishers[slot];
  const std::uint64_t record = row.record.load(std::memory_order_acquire, Where(sites[0]));
  if (record == detail::kNoRecord) return true;
  const std::uint64_t position = detail::position_of(record);
  const bool never = !before(position, memory.tail().load(std::memory_order_acquire, Where(sites[1])));
  const bool passed = never || before(position, memory.oldest().load(std::memory_order_acquire, Where(sites[2])));
  if (!passed && !detail::tagged(memory, position)) return false;
  row.record.store(detail::kNoRecord, std::memory_order_release, Where(sites[3]));
  return true;
}

detail::Ruling World::resolve_frame(std::uint64_t position) {
  static const Site* const sites[] = {site("resolve record"), site("resolve fence")};
  detail::Ruling ruling;
  if (judge(position, ruling) != detail::Verdict::resolved) return ruling;
  const std::uint64_t size = detail::pack_size(0, ruling.end - position, detail::FrameKind::aborted);
  const std::uint64_t sequence = topic.publishers[ruling.slot].sequence.load(std::memory_order_relaxed);
  detail::write_frame(memory, position, size, detail::pack_origin(ruling.slot, sequence), 0);
  const std::uint32_t used = memory.publishers_used();
  std::array<bool, 3> settled{};
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    const std::uint64_t record = topic.publishers[slot].record.load(std::memory_order_acquire, Where(sites[0]));
    if (record != detail::kNoRecord && detail::position_of(record) == position && is_dead(slot))
      settled[slot] = settle_record(slot);
  }
  Memory::full_fence(Where(sites[1]));
  detail::wake_parked(memory);
  if (!detail::anyone_waiting(memory)) return ruling;
  for (std::uint32_t slot = 0; slot < used; ++slot)
    if (settled[slot])
      detail::wake_waiting(memory, slot | detail::kBlockedByPublisher, memory.tail().load(std::memory_order_relaxed));
  return ruling;
}

}  // namespace model
