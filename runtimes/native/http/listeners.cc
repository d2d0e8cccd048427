#include "native/http/listeners.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/number.h"

namespace sterna::native {
namespace {

constexpr std::string_view kListening = "0A";
// How an address of version 4 begins in the table of version 6: Java binds to 127.0.0.1 so. It is reached by
// version 4 only.
constexpr std::string_view kMapped = "0000000000000000FFFF0000";

std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <class Number>
std::optional<Number> hexadecimal(std::string_view word) {
  Number number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number, 16);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

std::string_view behind_last_colon(std::string_view word) {
  return word.substr(word.rfind(':') + 1);  // all of it without one
}

bool has_open(const std::filesystem::path& process, const std::string& link) {
  std::error_code error;
  for (std::filesystem::directory_iterator fd(process / "fd", error), end; !error && fd != end;
       fd.increment(error)) {
    std::error_code unreadable;  // closed meanwhile
    if (std::filesystem::read_symlink(fd->path(), unreadable) == link) return true;
  }
  return false;
}

std::string read_table(const char* path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

std::vector<Listener> parse_listeners(std::string_view table, Family family) {
  std::vector<Listener> found;
  while (!table.empty()) {
    std::string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(table.size(), line.size() + 1));
    next_word(line);  // the row's number
    const std::string_view local = next_word(line);
    next_word(line);  // the other side
    if (next_word(line) != kListening || !local.contains(':')) continue;
    const auto port = hexadecimal<std::uint16_t>(behind_last_colon(local));
    if (!port) continue;
    const std::string_view queues = next_word(line);  // "tx:rx"; of a listener, rx are connections
    const auto waiting = hexadecimal<std::uint32_t>(behind_last_colon(queues)).value_or(0);
    for (int skipped = 0; skipped < 4; ++skipped) next_word(line);  // timer, retransmits, uid, timeout
    const auto inode = parse_number<std::uint64_t>(next_word(line)).value_or(0);
    found.push_back({local.starts_with(kMapped) ? Family::kV4 : family, *port, waiting, inode});
  }
  return found;
}

bool is_shared(std::uint64_t inode) {
  const std::string link = "socket:[" + std::to_string(inode) + "]";
  int holders = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!parse_number<std::uint32_t>(name) || !has_open(entry->path(), link)) continue;
    if (++holders > 1) return true;
  }
  return false;
}

std::vector<Listener> tcp_listeners() {
  std::vector<Listener> all = parse_listeners(read_table("/proc/net/tcp"), Family::kV4);
  for (const Listener& each : parse_listeners(read_table("/proc/net/tcp6"), Family::kV6)) all.push_back(each);
  return all;
}

}  // namespace sterna::native
