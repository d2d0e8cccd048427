#include "native/http/listeners.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

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
    const std::size_t colon = local.rfind(':');
    if (next_word(line) != kListening || colon == std::string_view::npos) continue;
    std::uint16_t port = 0;
    const auto [end, error] =
        std::from_chars(local.data() + colon + 1, local.data() + local.size(), port, 16);
    if (error != std::errc() || end != local.data() + local.size()) continue;
    found.push_back({local.starts_with(kMapped) ? Family::kV4 : family, port});
  }
  return found;
}

std::vector<Listener> tcp_listeners() {
  std::vector<Listener> all = parse_listeners(read_table("/proc/net/tcp"), Family::kV4);
  for (const Listener& each : parse_listeners(read_table("/proc/net/tcp6"), Family::kV6)) all.push_back(each);
  return all;
}

}  // namespace sterna::native
