// The kill harness: every operation killed and stopped at its instructions, and what the survivors make of it.
//
//   kill [--full] [--seed N] [--only OPERATION] [--keep DIRECTORY] [--jobs N]
//
// Ends with a table; exit status 1 if anything was bad.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "crash/harness.hpp"

namespace {

using ringway_crash::Options;
using ringway_crash::Row;

struct Job {
  std::string operation;
  std::function<Row()> run;
};

std::vector<Job> all_jobs(const Options& options) {
  std::vector<Job> jobs;
  for (const auto& operation : ringway_crash::operations())
    for (const bool exclusive : {false, true})
      if (exclusive ? operation.exclusive : operation.shared)
        jobs.push_back({operation.name, [&operation, exclusive, &options] {
                          return ringway_crash::run_operation(operation, exclusive, options);
                        }});
  jobs.push_back({"pairs", [&options] { return ringway_crash::run_pairs(options); }});
  for (std::size_t i = 0; i < ringway_crash::sleepers(); ++i)
    for (const bool exclusive : {false, true})
      jobs.push_back({ringway_crash::sleeper(i),
                      [i, exclusive, &options] { return ringway_crash::run_sleeper(i, exclusive, options); }});
  for (std::size_t i = 0; i < ringway_crash::directory_operations(); ++i)
    jobs.push_back({ringway_crash::directory_operation(i),
                    [i, &options] { return ringway_crash::run_directory_operation(i, options); }});
  return jobs;
}

// Runs a job in a process of its own, which writes its row to `to`.
pid_t start(const Job& job, int to) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  int status = 1;
  try {
    const Row row = job.run();
    ::dprintf(to, "%-30s %12llu %7llu %8llu %6llu %6llu %5llu\n", row.name.c_str(),
              static_cast<unsigned long long>(row.instructions), static_cast<unsigned long long>(row.images),
              static_cast<unsigned long long>(row.doubles), static_cast<unsigned long long>(row.kills),
              static_cast<unsigned long long>(row.stops), static_cast<unsigned long long>(row.bad));
    status = row.bad == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("BAD %s: the harness failed: %s\n", job.operation.c_str(), error.what());
  }
  std::fflush(stdout);
  std::exit(status);
}

std::string rest_of(int file) {
  std::string text;
  char buffer[4096];
  ssize_t bytes = 0;
  for (off_t at = 0; (bytes = ::pread(file, buffer, sizeof buffer, at)) > 0; at += bytes)
    text.append(buffer, static_cast<std::size_t>(bytes));
  return text;
}

int run_all(const std::vector<Job>& jobs, std::size_t at_once) {
  struct Running {
    std::size_t job;
    int file;
  };
  std::map<pid_t, Running> running;
  std::vector<std::string> rows(jobs.size());
  std::size_t next = 0;
  int failed = 0;
  while (next < jobs.size() || !running.empty()) {
    if (next < jobs.size() && running.size() < at_once) {
      char name[] = "/tmp/ringway-kill.XXXXXX";
      const int file = ::mkstemp(name);
      if (file < 0) throw std::runtime_error("no temporary file");
      ::unlink(name);
      running[start(jobs[next], file)] = {next, file};
      ++next;
      continue;
    }
    int status = 0;
    const pid_t pid = ::wait(&status);
    const auto found = running.find(pid);
    if (found == running.end()) continue;
    std::string& row = rows[found->second.job];
    row = rest_of(found->second.file);
    ::close(found->second.file);
    if (row.empty()) row = jobs[found->second.job].operation + " did not end as it should\n";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++failed;
    running.erase(found);
  }
  std::printf("%-30s %12s %7s %8s %6s %6s %5s\n", "operation", "instructions", "images", "doubles", "kills", "stops",
              "bad");
  for (const std::string& row : rows) std::fputs(row.c_str(), stdout);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.seed = std::random_device()();
  std::string only;
  std::size_t at_once = static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool more = i + 1 < argc;
    if (argument == "--full") {
      options.full = true;
    } else if (argument == "--seed" && more) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--only" && more) {
      only = argv[++i];
    } else if (argument == "--keep" && more) {
      options.keep = argv[++i];
    } else if (argument == "--jobs" && more) {
      at_once = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: kill [--full] [--seed N] [--only OPERATION] [--keep DIRECTORY] [--jobs N]\n");
      return 2;
    }
  }
  std::vector<Job> jobs;
  for (auto& job : all_jobs(options))
    if (only.empty() || job.operation == only) jobs.push_back(job);
  if (jobs.empty()) {
    std::fprintf(stderr, "kill: there is no operation %s; they are:", only.c_str());
    for (const auto& job : all_jobs(options)) std::fprintf(stderr, " %s", job.operation.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  return run_all(jobs, at_once == 0 ? 1 : at_once);
}
