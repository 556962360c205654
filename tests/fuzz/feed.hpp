// An input as a program: instructions of an operation and its operands, read from the front. What is missing at the end
// reads as zero. `Program` writes one, for the seeds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

namespace ringway_fuzz {

class Feed {
 public:
  Feed(const std::uint8_t* bytes, std::size_t size) : at_(bytes), end_(bytes + size) {}
  [[nodiscard]] bool done() const { return at_ == end_; }
  std::uint8_t u8() { return take<std::uint8_t>(); }
  std::uint16_t u16() { return take<std::uint16_t>(); }
  std::uint64_t u64() { return take<std::uint64_t>(); }
  std::int64_t i8() { return take<std::int8_t>(); }

 private:
  template <class T>
  T take() {
    T value{};
    const std::size_t bytes = std::min(sizeof value, static_cast<std::size_t>(end_ - at_));
    if (bytes != 0) std::memcpy(&value, at_, bytes);
    at_ += bytes;
    return value;
  }
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

class Program {
 public:
  template <class... Bytes>
  Program& put(Bytes... bytes) {
    (text_.push_back(static_cast<char>(static_cast<std::uint8_t>(bytes))), ...);
    return *this;
  }
  Program& u16(std::uint16_t value) { return raw(&value, sizeof value); }
  Program& u64(std::uint64_t value) { return raw(&value, sizeof value); }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  Program& raw(const void* bytes, std::size_t size) {
    text_.append(static_cast<const char*>(bytes), size);
    return *this;
  }
  std::string text_;
};

using WriteSeed = std::function<void(const std::string& name, const Program& program)>;
// Each target defines it: one seed for each thing worth starting from.
void write_seeds(const WriteSeed& write);

}  // namespace ringway_fuzz
