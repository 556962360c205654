// What a call throws, as a value: tests compare its code and look into its text.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "ringway/error.hpp"

namespace ringway_test {

struct Thrown {
  ringway::Code code = ringway::Code::ok;  // ok: nothing was thrown
  std::string text;
  int system_errno = 0;
};

template <class Call>
Thrown thrown(Call&& call) {
  try {
    static_cast<void>(std::forward<Call>(call)());
  } catch (const ringway::Error& error) {
    return {error.code(), error.what(), error.system_errno()};
  }
  return {};
}

// The error has that code, and its text has every word.
template <class... Words>
testing::AssertionResult is_error(const Thrown& error, ringway::Code code, const Words&... words) {
  const bool said = (... && (error.text.find(std::string_view(words)) != std::string::npos));
  if (error.code == code && said) return testing::AssertionSuccess();
  auto result = testing::AssertionFailure() << "expected " << code << " with";
  ((result << " \"" << words << '"'), ...);
  return result << ", got " << error.code << ": " << error.text;
}

}  // namespace ringway_test
