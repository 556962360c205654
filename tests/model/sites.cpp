#include "sites.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace model {

const Site kOutside{"outside", "", ""};

namespace {

constexpr std::size_t kMaxSites = 128;

struct Found {
  int first = 0;
  int last = 0;
  bool mutants = false;
};
std::array<Found, kMaxSites> found;

const Site* mutated = nullptr;
std::memory_order weaker = std::memory_order_relaxed;
std::size_t weakened = 0;

// Which site a line of a file is in: asked once a line.
struct Known {
  const char* file = nullptr;
  int line = 0;
  const Site* site = nullptr;
};
std::array<Known, 1024> known;

[[noreturn]] void end(const std::string& what) {
  std::fprintf(stderr, "model: %s\n", what.c_str());
  std::_Exit(3);
}

bool ends_with(const char* file, const char* name) {
  const std::size_t size = std::strlen(file);
  const std::size_t tail = std::strlen(name);
  return size >= tail && std::strcmp(file + size - tail, name) == 0;
}

const Site* look_up(const char* file, int line) {
  for (std::size_t i = 0; i < kSiteCount; ++i)
    if (found[i].first <= line && line <= found[i].last && ends_with(file, kSites[i].file)) {
      if (!found[i].mutants) {
        std::fprintf(stderr, "model: %s has no mutant\n", kSites[i].label.data());
        std::_Exit(3);
      }
      return &kSites[i];
    }
  std::fprintf(stderr, "model: %s:%d: an ordered access that is no site of tests/model/sites.cpp\n", file, line);
  std::_Exit(3);
}

const Site* site_at(const Where& where) {
  if (where.site != nullptr) return where.site;
  Known& entry =
      known[(reinterpret_cast<std::uintptr_t>(where.file) * 31 + static_cast<unsigned>(where.line)) % known.size()];
  if (entry.file != where.file || entry.line != where.line)
    entry = {where.file, where.line, look_up(where.file, where.line)};
  return entry.site;
}

// The line without its comment and the blanks at its end.
std::string code_of(std::string line) {
  if (const std::size_t comment = line.find("//"); comment != std::string::npos) line.erase(comment);
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

// The lines of the statement that `at` is in.
Found statement(const std::string& source, std::size_t at) {
  std::vector<std::string> lines;
  std::istringstream in(source);
  for (std::string line; std::getline(in, line);) lines.push_back(code_of(line));
  auto line =
      static_cast<std::size_t>(std::count(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  std::size_t first = line;
  while (first > 0 && !lines[first - 1].empty() && std::strchr(";{}:", lines[first - 1].back()) == nullptr) --first;
  while (line + 1 < lines.size() && (lines[line].empty() || std::strchr(";{", lines[line].back()) == nullptr)) ++line;
  return {static_cast<int>(first) + 1, static_cast<int>(line) + 1, false};
}

// Every ordered access of a shipping header is in a site. The policy's own members are not: the model has its own.
void check_cover(const std::string& root, const char* file) {
  std::ifstream in(root + "/" + file);
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = code_of(line);
    if (line.find("atomic_signal_fence") != std::string::npos) continue;  // within one thread: nothing to interleave
    bool ordered = line.find("Memory::peek(") != std::string::npos || line.find("_fence();") != std::string::npos;
    for (const char* order : {"order_acquire", "order_release", "order_acq_rel", "order_seq_cst"})
      ordered = ordered || line.find(order) != std::string::npos;
    if (!ordered || line.find("  static ") == 0 || line.find("    fence.fetch_add(") == 0) continue;
    bool covered = false;
    for (std::size_t i = 0; i < kSiteCount; ++i)
      covered = covered || (std::strcmp(kSites[i].file, file) == 0 && found[i].mutants && found[i].first <= number &&
                            number <= found[i].last);
    if (!covered)
      throw std::runtime_error(std::string(file) + ":" + std::to_string(number) +
                               ": an ordered access without a mutant: " + line);
  }
}

}  // namespace

void find_sites(const std::string& root) {
  if (kSiteCount > kMaxSites) throw std::runtime_error("more sites than kMaxSites");
  for (std::size_t i = 0; i < kSiteCount; ++i) {
    std::ifstream in(root + "/" + kSites[i].file);
    std::ostringstream out;
    out << in.rdbuf();
    const std::string source = out.str();
    const std::size_t at = source.find(kSites[i].text);
    const std::string what =
        std::string(kSites[i].label) + ": '" + std::string(kSites[i].text) + "' in " + kSites[i].file;
    if (at == std::string::npos) throw std::runtime_error("not found: " + what);
    if (source.find(kSites[i].text, at + 1) != std::string::npos) throw std::runtime_error("not unique: " + what);
    found[i] = statement(source, at);
    for (std::size_t j = 0; j < i; ++j)
      if (kSites[i].file == kSites[j].file && found[j].first <= found[i].last && found[i].first <= found[j].last)
        throw std::runtime_error("one statement with " + std::string(kSites[j].label) + ": " + what);
  }
  for (std::size_t i = 0; i < kMutantCount; ++i)
    found[static_cast<std::size_t>(site(kMutants[i].site) - kSites)].mutants = true;
  for (const char* file : {"ring.hpp", "slots.hpp", "wait.hpp", "jobs.hpp"})
    check_cover(root, (std::string("include/ringway/detail/") + file).c_str());
  check_cover(root, "lib/resolve.hpp");
}

const Site* site(std::string_view label) {
  for (std::size_t i = 0; i < kSiteCount; ++i)
    if (kSites[i].label == label) return &kSites[i];
  end("no site is called " + std::string(label));
}

void set_mutant(const Mutant* mutant) {
  mutated = mutant == nullptr ? nullptr : site(mutant->site);
  weaker = mutant == nullptr ? std::memory_order_relaxed : mutant->weakened;
  weakened = 0;
}

std::memory_order effective(const Where& where, std::memory_order asked) {
  if (asked == std::memory_order_relaxed) return asked;
  if (site_at(where) != mutated) return asked;
  ++weakened;
  return weaker;
}

std::size_t weakened_accesses() { return weakened; }

const char* name_of(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed: return "relaxed";
    case std::memory_order_acquire: return "acquire";
    case std::memory_order_release: return "release";
    case std::memory_order_acq_rel: return "acq_rel";
    case std::memory_order_seq_cst: return "seq_cst";
    default: return "consume";
  }
}

std::string name_of(const Mutant& mutant) { return std::string(mutant.site) + ":" + name_of(mutant.weakened); }

}  // namespace model
