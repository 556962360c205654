// A stream of bytes, read in blocks and consumed in slices that are never copied one by one.
//
// Not thread safe. Slices are valid until the next fill().
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace ringway::tool {

class Input {
 public:
  enum class Read { more, end, stopped };

  explicit Input(int descriptor) : descriptor_(descriptor) {}

  // What was read and is not consumed yet.
  [[nodiscard]] std::string_view pending() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes) { begin_ += bytes; }

  // Appends what one read(2) gives: as soon as there is something, so that a slow writer's lines pass at once.
  // `stopped`: a signal or --timeout came first. Throws std::system_error.
  Read fill();

 private:
  void make_room();

  int descriptor_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace ringway::tool
