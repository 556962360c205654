// The processes of `ringway demo`: started together, watched, and ended with this object.
//
// One thread. A child that the parent leaves behind is ended by the kernel.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "demo.hpp"

namespace ringway::tool {

class Cast {
 public:
  // Starts them on the bus in `directory`, before this process opens any handle. Throws std::system_error.
  explicit Cast(const std::string& directory);
  Cast(const Cast&) = delete;
  Cast& operator=(const Cast&) = delete;
  ~Cast();

  [[nodiscard]] const Scene& scene() const { return *scene_; }
  [[nodiscard]] pid_t pid(std::size_t part) const { return pids_[part]; }
  [[nodiscard]] bool failed() const { return failed_; }  // somebody ended early, or saw something wrong
  void enter(Phase phase) { scene_->phase.store(phase, std::memory_order_relaxed); }

  // False: not everybody could attach, or it was told to stop.
  bool await_attached();
  // True while nobody has ended.
  bool look_after();
  void await_end(bool publishers);

 private:
  void start(std::size_t part, const std::string& directory);
  int child(std::size_t part, const std::string& directory, pid_t parent) noexcept;
  bool reap(std::size_t part, int options);
  void end();

  Scene* scene_;
  std::array<pid_t, kParts.size()> pids_{};
  std::array<bool, kParts.size()> running_{};
  bool failed_ = false;
};

}  // namespace ringway::tool
