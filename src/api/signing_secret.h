// The secrets that callbacks of a space are signed with, as users see them (Standard Webhooks).
#pragma once

#include <string>

namespace sterna::api {

// "whsec_" and 32 bytes of the kernel's random source in base64. Any thread.
std::string new_signing_secret();

}  // namespace sterna::api
