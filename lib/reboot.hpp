// A bus on a disk across a reboot: who tells that everybody has left in order, and what becomes of contents that nobody
// vouches for.
//
// ControlHeader::boot is 0 while everybody who attached has left. Whoever attaches stores the kernel's boot there; the last
// one who leaves makes it 0 again. Where another boot's is found, and no kernel lock says that somebody lives (a container may
// show a boot of its own), the contents are discarded: names, subscriptions and counters stay. What does not outlive the
// kernel (a tmpfs) is never looked at.
//
// Thread safety: any thread. Progress: marks are wait-free, bounded by the tables; locks are tried. Crash: a death while
// leaving leaves the mark of a boot; discarding can be killed anywhere and is done again, to the same end.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "segment.hpp"

namespace ringway::detail {

// The kernel's, NUL-terminated; empty where it cannot be known (no /proc). Throws Error system.
std::array<char, 40> boot_id(const std::string& topic);

// The boot as ControlHeader::boot has it; 0: that file's file system does not outlive the kernel. Throws Error system.
std::uint64_t boot_of(const Descriptor& file, const std::string& topic);

// Somebody attached in another boot and nobody told since that all have left.
bool is_from_another_boot(const OpenFiles& files) noexcept;

// REQUIRES: a slot and a life of one's own; before anything is done with them.
void mark_attached(const Segment& segment) noexcept;
// REQUIRES: they are given up.
void mark_left(const Segment& segment, Prober& publishers, Prober& subscribers) noexcept;

// living: somebody is attached, so there was no reboot. busy: somebody else holds a lock. done: open the files again.
enum class Discard : std::uint8_t { done, living, busy };

// Puts a new data file in the place of one from another boot, and moves the subscriptions to its start. Throws Error.
Discard discard_contents(const std::string& directory, const std::string& topic, uid_t owner);

// Where the new data file stands before it takes the old one's name; no topic has such a name.
std::string next_data_path(const std::string& directory, const std::string& topic);

}  // namespace ringway::detail
