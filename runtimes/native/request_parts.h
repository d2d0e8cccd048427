// Parts of a request as several templates tell them to user code.
#pragma once

#include <string>
#include <string_view>

namespace sterna::native {

// A decoded path percent-encoded again: what a URL may hold plainly stays, so "%2F" arrives as "/".
void append_encoded_path(std::string& out, std::string_view path);

// Of an X-Forwarded-For list the last: the address that the server itself saw.
std::string_view client_address(std::string_view forwarded_for);

}  // namespace sterna::native
