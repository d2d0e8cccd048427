#include "native/request_parts.h"

#include <array>

namespace sterna::native {
namespace {

// pchar and "/" (RFC 3986 3.3).
constexpr std::array<bool, 256> kStays = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

}  // namespace

void append_encoded_path(std::string& out, std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (kStays[byte]) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 15U]);
    }
  }
}

std::string_view client_address(std::string_view forwarded_for) {
  const std::size_t comma = forwarded_for.rfind(',');
  if (comma != std::string_view::npos) forwarded_for.remove_prefix(comma + 1);
  while (forwarded_for.starts_with(' ')) forwarded_for.remove_prefix(1);
  return forwarded_for;
}

}  // namespace sterna::native
