#include "query.h"

#include <algorithm>

namespace sterna::python {
namespace {

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::string decode_query_part(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (byte == '%' && at + 2 < text.size()) {
      const int high = hex_value(text[at + 1]);
      const int low = hex_value(text[at + 2]);
      if (high >= 0 && low >= 0) {
        decoded.push_back(static_cast<char>(high * 16 + low));
        at += 2;
        continue;
      }
    }
    decoded.push_back(byte == '+' ? ' ' : byte);
  }
  return decoded;
}

bool QueryWalk::next(std::string_view& name, std::string_view& value) {
  while (!rest_.empty()) {
    const std::string_view part = rest_.substr(0, rest_.find('&'));
    rest_.remove_prefix(std::min(part.size() + 1, rest_.size()));
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    name = part.substr(0, equals);
    value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    return true;
  }
  return false;
}

}  // namespace sterna::python
