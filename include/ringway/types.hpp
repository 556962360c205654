// What a typed topic may carry, and how a type tells its name and version.
//
// Thread safety, progress, crash: compile time only.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <string_view>
#include <type_traits>

namespace ringway {

// Specialise to share a type between programs: both sides must give the same name.
template <class T>
inline constexpr std::string_view type_name = {};

// Specialise to tell versions of one layout apart: both sides must give the same number.
template <class T>
inline constexpr std::uint64_t fingerprint = 0;

// A type whose bytes mean the same in every process: no pointer, no view, nothing with a constructor to run.
template <class T>
concept Payload =
    std::is_object_v<T> && !std::is_array_v<T> && std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> &&
    !std::is_const_v<T> && !std::is_volatile_v<T> && !std::is_pointer_v<T> && !std::is_member_pointer_v<T> &&
    !std::is_null_pointer_v<T> && !std::ranges::view<T> && alignof(T) <= 64;

// One byte of text or data.
template <class T>
concept Byte = std::same_as < std::remove_cv_t<T>,
char > || std::same_as<std::remove_cv_t<T>, unsigned char> || std::same_as<std::remove_cv_t<T>, std::byte>;

namespace detail {
// What is stored with a topic; size 0 means bytes.
struct TypeInfo {
  std::uint64_t size = 0;
  std::uint64_t alignment = 1;
  std::uint64_t fingerprint = 0;
  std::string_view name = {};
};

template <Payload T>
constexpr TypeInfo type_info() {
  static_assert(type_name<T>.size() < 256, "a type name has at most 255 bytes");
  return {sizeof(T), alignof(T), fingerprint<T>, type_name<T>};
}
}  // namespace detail

}  // namespace ringway
