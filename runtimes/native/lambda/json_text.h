// Writes JSON text straight into a string: events carry bodies of megabytes, which a document would copy.
#pragma once

#include <string>
#include <string_view>

namespace sterna::native {

// With its quotes; what is not UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// "name": with the comma before it unless it is an object's first member.
void append_json_name(std::string& out, std::string_view name);

void append_json_member(std::string& out, std::string_view name, std::string_view text);

}  // namespace sterna::native
