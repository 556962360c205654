// Looking at a bus again and again: snapshots of its topics from mappings that stay.
//
// Takes no slot and writes nothing: those who publish and receive do not notice whether it runs, is stopped or is killed.
// Thread safety: one thread at a time. Progress: look() takes no lock and waits for nobody; bounded by the tables of all
// topics. Crash: leaves nothing behind.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ringway/detail/export.hpp"
#include "ringway/info.hpp"

namespace ringway {

class Bus;

// Opened by Bus::watch.
class RINGWAY_EXPORT Watch {
 public:
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch();

  // Every topic that is there now, in the order of their names; one that cannot be read has a `problem`. Topics that are new,
  // or whose files were replaced, are mapped on the way, those that have gone let go. A descriptor or two are kept for each
  // topic, up to half of RLIMIT_NOFILE. Throws Error not_found or no_permission if the directory cannot be listed.
  [[nodiscard]] std::vector<TopicInfo> look();

 private:
  friend class Bus;
  class State;
  explicit Watch(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace ringway
