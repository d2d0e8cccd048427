#include "native/executable.h"

#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

namespace sterna::native {
namespace {

constexpr std::size_t kLookedAt = 4096;
constexpr std::size_t kMaxHeaders = 64;

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
constexpr std::string_view kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
constexpr std::string_view kMachineName = "ARM64";
#endif

std::unexpected<Error> unusable(const std::string& path, std::string_view why) {
  return fail(Code::kInvalid, Component::kFunction, "command_unusable",
              fmt::format("{} cannot be run: {}", path, why));
}

std::string read_at(std::ifstream& file, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  file.clear();
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(text.data(), static_cast<std::streamsize>(bytes));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    words.emplace_back(word);
    line.remove_prefix(word.size());
  }
}

Status check_script(const std::string& path, std::string_view head, const Environment& environment) {
  const std::string_view line = head.substr(2, head.find('\n') - 2);
  if (line.ends_with('\r')) {
    return unusable(
        path,
        "its lines end as on Windows (CR LF), so that its interpreter is not found; save it with LF alone");
  }
  const std::vector<std::string> words = words_of(line);
  if (words.empty()) return unusable(path, "its first line names no interpreter after #!");
  const std::string& interpreter = words.front();
  if (::access(interpreter.c_str(), X_OK) != 0) {
    return unusable(
        path, fmt::format("its first line names the interpreter {}, which is not there; install it on the "
                          "server, below /usr, or name another",
                          interpreter));
  }
  const bool by_env = interpreter.ends_with("/env") && words.size() > 1;
  if (!by_env || words[1].starts_with('-') || words[1].contains('=')) return {};
  if (find_program(words[1], environment)) return {};
  return unusable(
      path,
      fmt::format("its first line asks env for {}, which is not in PATH ({}); install it on the server, "
                  "or name another",
                  words[1], environment.get("PATH")));
}

Status check_loader(const std::string& path, std::ifstream& file, const Elf64_Ehdr& elf) {
  if (elf.e_phentsize != sizeof(Elf64_Phdr)) return {};
  const std::size_t count = std::min<std::size_t>(elf.e_phnum, kMaxHeaders);
  const std::string headers = read_at(file, elf.e_phoff, count * sizeof(Elf64_Phdr));
  for (std::size_t at = 0; at + sizeof(Elf64_Phdr) <= headers.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr header{};
    std::memcpy(&header, headers.data() + at, sizeof header);
    if (header.p_type != PT_INTERP || header.p_filesz == 0 || header.p_filesz > kLookedAt) continue;
    const std::string loader(read_at(file, header.p_offset, header.p_filesz).c_str());
    if (::access(loader.c_str(), X_OK) != 0) {
      return unusable(
          path, fmt::format("it needs the loader {}, which is not there; link it statically, or for the "
                            "server's system",
                            loader));
    }
  }
  return {};
}

Status check_elf(const std::string& path, std::ifstream& file, std::string_view head) {
  Elf64_Ehdr elf{};
  if (head.size() < sizeof elf) return unusable(path, "it is a program that has been cut off");
  std::memcpy(&elf, head.data(), sizeof elf);
#if defined(__x86_64__) || defined(__aarch64__)
  if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != kMachine) {
    return unusable(path,
                    fmt::format("it is a program for another machine; build it for this one (Linux on {})",
                                kMachineName));
  }
#endif
  if (elf.e_type != ET_EXEC && elf.e_type != ET_DYN)
    return unusable(path, "it is an object file and no program; link it");
  return check_loader(path, file, elf);
}

}  // namespace

Status check_executable(const std::string& path, const Environment& environment) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};  // it may be executable and not readable
  const std::string head = read_at(file, 0, kLookedAt);
  if (head.starts_with("#!")) return check_script(path, head, environment);
  if (head.starts_with(ELFMAG)) return check_elf(path, file, head);
  return unusable(path, head.empty()
                            ? "it is empty"
                            : "it is neither a program nor a script; begin a script with a line such as "
                              "#!/bin/sh");
}

}  // namespace sterna::native
