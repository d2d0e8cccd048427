#include "api/signing_secret.h"

#include <sys/random.h>

#include <array>

#include "api/base64.h"

namespace sterna::api {

std::string new_signing_secret() {
  std::array<char, 32> key{};
  // Up to 256 bytes come whole once the kernel has been seeded, which it has when servers start.
  const ssize_t got = ::getrandom(key.data(), key.size(), 0);
  STERNA_ASSERT(got == static_cast<ssize_t>(key.size()));
  return "whsec_" + base64_encode({key.data(), key.size()});
}

}  // namespace sterna::api
