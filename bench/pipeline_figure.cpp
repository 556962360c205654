// A file through `ringway pub` and `ringway sub`, beside the same file through a pipe.

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ringway/ringway.hpp>
#include <thread>

#include "figures.hpp"
#include "process.hpp"

namespace bench {
namespace {

constexpr std::size_t kLine = 101;  // 100 bytes and a newline

class Descriptor {
 public:
  explicit Descriptor(int fd, const std::string& what) : fd_(fd) {
    if (fd < 0) fail_with_errno(what);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// A file of numbered lines without a name, so that nothing can be left behind.
int make_file(std::size_t lines) {
  std::string name = std::filesystem::temp_directory_path() / "ringway-bench.XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail_with_errno(name);
  ::unlink(name.c_str());
  std::string block;
  for (std::size_t line = 0; line < lines; ++line) {
    block += fmt::format("{:0>100}\n", line);
    if (block.size() < 1 << 20 && line + 1 != lines) continue;
    for (std::string_view left = block; !left.empty();) {
      const ssize_t written = ::write(fd, left.data(), left.size());
      if (written <= 0) fail_with_errno(name);
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    block.clear();
  }
  ::fsync(fd);  // so that nothing is written back while it is measured; it stays in the page cache
  return fd;
}

struct Pipeline {
  int input;
  int output;  // /dev/null
  std::vector<int> cpus;
  std::string directory;
  std::string ringway;  // the program
  std::size_t lines;

  double through_cat() const {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_with_errno("pipe2");
    ::lseek(input, 0, SEEK_SET);
    const std::uint64_t start = now_ns();
    Process writer = Process::spawn({"cat"}, {.in = input, .out = ends[1], .cpu = cpus[0]});
    Process reader = Process::spawn({"cat"}, {.in = ends[0], .out = output, .cpu = cpus[1]});
    ::close(ends[0]);
    ::close(ends[1]);
    join_both(writer, reader, "cat | cat");
    return static_cast<double>(now_ns() - start);
  }

  double through_ringway() const {
    const ringway::Bus bus = ringway::Bus::at(directory);
    bus.create_topic("pipeline");
    ::lseek(input, 0, SEEK_SET);
    const std::uint64_t start = now_ns();
    SpawnOptions options = {.in = -1, .out = output, .cpu = cpus[1], .environment = {"RINGWAY_DIR=" + directory}};
    Process reader = Process::spawn({ringway, "sub", "pipeline", "--count", std::to_string(lines)}, options);
    while (bus.topic("pipeline").subscriptions.empty()) std::this_thread::sleep_for(std::chrono::microseconds(200));
    options.in = input;
    options.cpu = cpus[0];
    Process writer = Process::spawn({ringway, "pub", "pipeline"}, options);
    join_both(writer, reader, "ringway pub, ringway sub");
    const auto time = static_cast<double>(now_ns() - start);
    bus.remove_topic("pipeline");
    return time;
  }
};

}  // namespace

std::vector<Row> pipeline_figures(const Options& options) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "ringway";
  Row row = {.group = "pipeline", .figure = "rate: ringway pub <file, ringway sub >/dev/null"};
  if (::access(program.c_str(), X_OK) != 0) {
    row.note = "skipped: the ringway program is not built";
    return {row};
  }
  const std::size_t bytes = options.quick ? 128U << 20 : 1U << 30;
  const int rounds = options.quick ? 5 : std::clamp(options.rounds, 5, 10);
  const std::size_t lines = bytes / kLine;
  const Descriptor input(make_file(lines), "temporary file");
  const Descriptor output(::open("/dev/null", O_WRONLY | O_CLOEXEC), "/dev/null");
  const Pipeline pipeline = {input.get(), output.get(), allowed_cpus(), options.bus("pipeline"), program, lines};
  std::vector<double> cat;
  std::vector<double> ringway;
  for (int round = -1; round < rounds; ++round) {
    const double a = pipeline.through_cat();
    const double b = pipeline.through_ringway();
    if (round < 0) continue;  // the first warms up
    cat.push_back(a);
    ringway.push_back(b);
  }
  const auto rate = [&](const std::vector<double>& ns) {
    return Value{static_cast<double>(lines * kLine) / median(ns) * 1e3, "MB/s"};
  };
  row.value = rate(ringway);
  row.yardstick = Yardstick{"cat file | cat", rate(cat)};
  row.ratio = ratio(cat, ringway);
  row.target = Target{Target::Kind::at_least, 0.3};
  row.note = fmt::format("{:.1f} million lines a second; {} rounds of {} MiB",
                         static_cast<double>(lines) / median(ringway) * 1e3, rounds, bytes >> 20);
  return {row};
}

}  // namespace bench
