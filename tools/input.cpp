#include "input.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "stop.hpp"

namespace ringway::tool {

namespace {
constexpr std::size_t kBlock = std::size_t{256} << 10;
}

Input::Read Input::fill() {
  make_room();
  while (!stopping()) {
    const ssize_t count = ::read(descriptor_, buffer_.get() + end_, kBlock);
    if (count > 0) {
      end_ += static_cast<std::size_t>(count);
      return Read::more;
    }
    if (count == 0) return Read::end;
    if (errno == EAGAIN) {  // somebody made our standard input non-blocking
      pollfd readable{descriptor_, POLLIN, 0};
      ::poll(&readable, 1, -1);
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot read standard input");
    }
  }
  return Read::stopped;
}

// A block's room behind what is pending.
void Input::make_room() {
  const std::size_t size = end_ - begin_;
  if (capacity_ - end_ >= kBlock) return;
  if (capacity_ >= size + kBlock && buffer_ != nullptr) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, size);
  } else {
    capacity_ = 2 * (size + kBlock);
    auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
    if (size != 0) std::memcpy(larger.get(), buffer_.get() + begin_, size);
    buffer_ = std::move(larger);
  }
  begin_ = 0;
  end_ = size;
}

}  // namespace ringway::tool
