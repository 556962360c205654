# How everything of ours is compiled.

# A user may still say --compile-no-warning-as-error, for a compiler newer than ours.
if(PROJECT_IS_TOP_LEVEL AND NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

set(RINGWAY_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow)

if(RINGWAY_SANITIZE)
  add_compile_options(-fsanitize=${RINGWAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RINGWAY_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  # gcc sees paths through the sanitizers' own code that do not exist.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

# Coverage guides the fuzzer; every load calls back, so that a word can be changed between two of them.
if(RINGWAY_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "RINGWAY_FUZZ needs clang++")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link -fsanitize-coverage=trace-loads)
endif()

# Imported targets (Boost, gtest, ...) are SYSTEM by themselves, so the warnings see only our code.
function(ringway_own target)
  target_compile_options(${target} PRIVATE ${RINGWAY_WARNINGS})
  target_compile_definitions(${target} PRIVATE RINGWAY_VERSION="${PROJECT_VERSION}")
endfunction()
