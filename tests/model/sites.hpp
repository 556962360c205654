// Where the shipping code orders its accesses, and how each of them is weakened.
//
// A site is a statement of the shipping source, found by a piece of its text when the program starts: a piece that is
// missing or not unique ends the program, so no mutant can go stale unnoticed. A mutant weakens one site. An ordered access
// of a shipping header that is in no site, or whose site has no mutant, ends the program as well.
//
// Thread safety: one thread, with the fibers of the search on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

namespace model {

struct Site {
  std::string_view label;  // as in the comments of the headers, with a word where a label covers several accesses
  const char* file;        // below the tree's root
  std::string_view text;   // unique in that file
};

struct Mutant {
  std::string_view site;
  std::memory_order weakened;  // relaxed on a fence: no fence
  const char* scenario;        // which catches it; null: it survives, because of
  const char* why;
};

// What calls an ordered operation: a line of the source, or a site by name.
struct Where {
  const char* file = nullptr;
  int line = 0;
  const Site* site = nullptr;
  constexpr Where(const char* from_file, int from_line) : file(from_file), line(from_line) {}
  constexpr explicit Where(const Site* of, const char* from_file = __builtin_FILE(), int from_line = __builtin_LINE())
      : file(from_file), line(from_line), site(of) {}
};

extern const Site* const kSites;
extern const std::size_t kSiteCount;
extern const Mutant* const kMutants;
extern const std::size_t kMutantCount;

// A site by its label, for what is written here as a copy of a library function's step. Ends the program if there is none.
const Site* site(std::string_view label);
// What belongs to the model itself, and is never weakened.
extern const Site kOutside;

// Reads the sources below `root` and finds every site. Throws std::runtime_error.
void find_sites(const std::string& root);
// From now on `mutant` is weakened; null: none.
void set_mutant(const Mutant* mutant);
// The order that an access asked for, or its mutant's.
std::memory_order effective(const Where& where, std::memory_order asked);
// How many accesses the mutant in force has weakened.
std::size_t weakened_accesses();

std::string name_of(const Mutant& mutant);  // "W4:relaxed"
const char* name_of(std::memory_order order);

}  // namespace model
