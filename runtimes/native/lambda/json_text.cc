#include "native/lambda/json_text.h"

#include "worker/log_lines.h"

namespace sterna::native {
namespace {

bool stays(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  switch (c) {
    case '"':
      out.append("\\\"");
      break;
    case '\\':
      out.append("\\\\");
      break;
    case '\n':
      out.append("\\n");
      break;
    case '\r':
      out.append("\\r");
      break;
    case '\t':
      out.append("\\t");
      break;
    default:
      out.append("\\u00");
      out.push_back(kDigits[static_cast<unsigned char>(c) >> 4U]);
      out.push_back(kDigits[static_cast<unsigned char>(c) & 15U]);
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  std::string mended;
  if (!worker::is_valid_utf8(text)) text = mended = worker::to_valid_utf8(text);
  out.push_back('"');
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && stays(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    append_escaped(out, text.front());
    text.remove_prefix(1);
  }
  out.push_back('"');
}

void append_json_name(std::string& out, std::string_view name) {
  if (!out.ends_with('{')) out.push_back(',');
  append_json_string(out, name);
  out.push_back(':');
}

void append_json_member(std::string& out, std::string_view name, std::string_view text) {
  append_json_name(out, name);
  append_json_string(out, text);
}

}  // namespace sterna::native
