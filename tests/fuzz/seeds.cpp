// What every target does with `--write-seeds DIRECTORY`: writes its seeds there, and ends.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fuzz/feed.hpp"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc != 3 || std::string((*argv)[1]) != "--write-seeds") return 0;
  const std::filesystem::path directory = (*argv)[2];
  ringway_fuzz::write_seeds([&directory](const std::string& name, const ringway_fuzz::Program& program) {
    std::ofstream(directory / name, std::ios::binary) << program.text();
  });
  std::exit(0);
}
